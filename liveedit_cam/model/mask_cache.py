"""The mask cache: tokens that the edit leaves alone reuse their stored self-attention outputs.

Where the last chunk's edited latent differs from its source more than ``threshold``, tokens are
recomputed in the middle denoising steps; all others take the output this same chunk had in its
first step (LiveEdit, section on the AR-oriented mask cache). A threshold, not a fixed share: an
edit of the whole picture recomputes everything, no edit recomputes almost nothing. First and last
step and the clean-context pass are always whole.
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.config import ModelConfig

CacheTarget = Literal["none", "self_attention", "ffn"]


class MaskCache:
    """Stored outputs and the mask of one stream; implements ``dit.Reuse``. One thread owns it."""

    def __init__(self, config: ModelConfig, target: CacheTarget = "self_attention") -> None:
        """Start with nothing stored: the first chunk recomputes everything."""
        self.config = config
        self.target = target
        self.edit_mask: Tensor | None = None
        """bool (chunk tokens,), True = recompute; None = everything."""
        self._stored: dict[int, Tensor] = {}
        self._tokens: Tensor | None = None
        self._is_first = False

    def reset(self) -> None:
        """Forget mask and outputs: after a cut, a new instruction, a new stream."""
        self.edit_mask = None
        self._stored = {}
        self._tokens = None

    def begin_step(self, step: int, num_steps: int) -> None:
        """Choose what the coming step recomputes: everything in the first and the last."""
        self._is_first = step == 0
        is_middle = 0 < step < num_steps - 1
        self._tokens = None
        if is_middle and self.target != "none" and self.edit_mask is not None:
            self._tokens = self.edit_mask.nonzero().flatten()

    @property
    def skip_ratio(self) -> float:
        """Share of tokens that the middle steps of the coming chunk reuse, 0..1."""
        if self.edit_mask is None or self.target == "none":
            return 0.0
        return 1.0 - float(self.edit_mask.float().mean())

    def observe(self, edited: Tensor, source: Tensor) -> None:
        """Make the next chunk's mask from this chunk's latents, both (1, C, T, H, W).

        A token is recomputed when the mean squared change of its strongest latent cell exceeds the
        threshold, or one within ``mask_dilation`` tokens does in any latent of the chunk.
        """
        config = self.config
        distance = (edited - source).float().square().mean(dim=1)  # (1, T, H, W)
        token = F.max_pool2d(distance, config.patch)
        strongest = token.amax(dim=1, keepdim=True)  # (1, 1, h, w)
        size = 2 * config.mask_dilation + 1
        grown = F.max_pool2d(strongest, size, stride=1, padding=config.mask_dilation)
        mask = (grown > config.mask_threshold).expand_as(token).flatten()
        self.edit_mask = None if bool(mask.all()) else mask

    def attention_tokens(self) -> Tensor | None:
        return self._tokens if self.target == "self_attention" else None

    def ffn_tokens(self) -> Tensor | None:
        return self._tokens if self.target == "ffn" else None

    def self_attention(self, layer: int, tokens: Tensor | None, out: Tensor) -> Tensor:
        return self._merge(layer, tokens, out) if self.target == "self_attention" else out

    def ffn(self, layer: int, tokens: Tensor | None, out: Tensor) -> Tensor:
        return self._merge(layer, tokens, out) if self.target == "ffn" else out

    def _merge(self, layer: int, tokens: Tensor | None, out: Tensor) -> Tensor:
        if tokens is None:
            if self._is_first:
                self._stored[layer] = out
            return out
        return self._stored[layer].index_copy(1, tokens, out)
