"""The seam between network and mask cache: passes that recompute some of their tokens.

It knows neither the network nor the rule that chooses the tokens.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from liveedit_cam.model.attention import SelfAttend
from liveedit_cam.model.config import ReusePart


class Reuse(Protocol):
    """Which tokens a pass recomputes and what the others take instead (the mask cache)."""

    def tokens(self, part: ReusePart) -> Tensor | None:
        """Tokens whose ``part`` this pass recomputes, int64, shape (n,); None = all."""

    def merge(self, part: ReusePart, layer: int, tokens: Tensor | None, out: Tensor) -> Tensor:
        """Merge fresh outputs of ``tokens`` (B, n, D) into stored ones; returns (B, N, D)."""


def attend_only(attend_self: SelfAttend, tokens: Tensor) -> SelfAttend:
    """Self-attention of a pass (B, n, H, D) that holds ``tokens`` (int64, shape (n,)) alone."""

    held = tokens

    def attend_some(layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None) -> Tensor:
        assert tokens is None, "a pass that leaves out tokens reuses nothing within its blocks"
        return attend_self(layer, q, k, v, held)

    return attend_some


def of_tokens(rows: Tensor, tokens: Tensor, num_tokens: int) -> Tensor:
    """Of rows (B, T, ...), one per latent of ``num_tokens`` in all, those of ``tokens``, shape
    (n,).

    A single row does for all of them and stays (B, 1, ...); otherwise (B, n, ...).
    """
    num_latents = rows.shape[1]
    return rows if num_latents == 1 else rows[:, tokens // (num_tokens // num_latents)]
