"""Rotary positions and the two ways to attend: over a cache (live) and under a mask (training).

Both take un-rotated queries and keys of one layer and return attention outputs, so a block does
not know which of them runs. K and V are (B, N, H, D).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

ROPE_THETA = 10000.0


Rotation = Tensor
"""complex64 (N, 1, D/2): for every token, the unit numbers its channel pairs are turned by."""


def rotation_table(
    latent_positions: Sequence[int],
    grid: tuple[int, int],
    head_dim: int,
    device: torch.device | None = None,
) -> Rotation:
    """Rotary angles of Wan2.1 for latents at the given temporal positions.

    Tokens run frame-major, then rows, then columns over ``grid`` (h, w). Of head_dim/2 complex
    pairs (adjacent channels) the first ``head_dim/2 - 2 (head_dim//6)`` turn with time, then
    head_dim//6 with the row and head_dim//6 with the column; angles are made in float64.
    """
    side = 2 * (head_dim // 6)
    axes = (head_dim - 2 * side, side, side)
    rows, columns = grid
    index = torch.meshgrid(
        torch.tensor(list(latent_positions), dtype=torch.float64),
        torch.arange(rows, dtype=torch.float64),
        torch.arange(columns, dtype=torch.float64),
        indexing="ij",
    )
    angles = [
        position.reshape(-1, 1)
        * ROPE_THETA ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        for position, dim in zip(index, axes, strict=True)
    ]
    angle = torch.cat(angles, dim=1).unsqueeze(1)  # (N, 1, D/2)
    return torch.polar(torch.ones_like(angle), angle).to(torch.complex64).to(device)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn the channel pairs of ``x`` (B, N, H, D) by the angles of its N tokens; same dtype."""
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * rotation).flatten(-2).to(x)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention with scale 1/sqrt(D); (B, N, H, D) in and out, ``mask`` bool (N, M)."""
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=mask
    )
    return out.transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Kernels:
    """The inner functions of attention over a cache; exchangeable for faster ones alike."""

    rotate: Callable[[Tensor, Rotation], Tensor] = rotate
    attend: Callable[[Tensor, Tensor, Tensor], Tensor] = attend


PLAIN_KERNELS = Kernels()


class SelfAttend(Protocol):
    """How the self-attention of one layer sees other tokens."""

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        """Attend with un-rotated ``q``, ``k``, ``v`` (B, N, H, D); returns the same shape.

        ``tokens`` int64 (n,) = which tokens of the chunk they are, None = all.
        """


class MaskedAttend:
    """Attention of a whole sequence under a mask: training, and the exact twin of the cache."""

    def __init__(self, rotation: Rotation, mask: Tensor | None) -> None:
        """``rotation`` of all N tokens; ``mask`` bool (N, N), True = visible, None = everything."""
        self.rotation = rotation
        self.mask = mask

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        assert tokens is None, "the mask cache needs a KV cache"
        return attend(rotate(q, self.rotation), rotate(k, self.rotation), v, self.mask)


def teacher_forcing_mask(
    num_chunks: int,
    chunk_tokens: int,
    window_chunks: int | None = None,
    *,
    device: torch.device | None = None,
) -> Tensor:
    """Visibility for a sequence [clean | noisy] of ``num_chunks`` chunks each; bool, shape
    (2 N, 2 N) with N = ``num_chunks`` times ``chunk_tokens``.

    A clean chunk sees clean chunks up to itself; a noisy chunk sees the clean chunks strictly
    before it and itself. ``window_chunks`` limits how many chunks, itself included, are seen.
    """
    place = torch.arange(2 * num_chunks * chunk_tokens, device=device)
    is_visible = teacher_forcing_rule(num_chunks, chunk_tokens, window_chunks)
    return is_visible(place, place, place[:, None], place[None, :])


def teacher_forcing_rule(
    num_chunks: int, chunk_tokens: int, window_chunks: int | None
) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """Whether a query sees a key, by their places; its first two arguments count for nothing."""
    window = num_chunks if window_chunks is None else window_chunks

    def is_visible(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        query, key = query // chunk_tokens, key // chunk_tokens
        query_is_noisy, key_is_noisy = query >= num_chunks, key >= num_chunks
        query, key = query % num_chunks, key % num_chunks
        past = (key < query) & (key > query - window) & ~key_is_noisy
        return past | ((key == query) & (query_is_noisy == key_is_noisy))

    return is_visible
