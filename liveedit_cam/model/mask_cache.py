"""The mask cache: tokens that the edit leaves alone reuse stored outputs.

Where the last chunk's edited latent differs from its source more than ``threshold``, tokens are
recomputed in the middle denoising steps; all others take the output this same chunk had in its
first step (LiveEdit, section on the AR-oriented mask cache). A threshold adapts: an edit of the
whole picture recomputes everything, no edit recomputes almost nothing. The paper's code takes a
fixed share of each latent's tokens instead (``ModelConfig.mask_share``), and aligns means. Unlike
it, tokens keep their places in the cache, and none is dropped for being low in the picture.
First and last step and the clean-context pass are always whole. ``ModelConfig.mask_target`` says
whose outputs: the self-attention's, as in the paper, the FFN's, or the whole network's, whose
middle passes then hold no other tokens at all.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.config import ModelConfig, ReusePart

CUT_DISTANCE = 0.35
"""Mean absolute change of source latents between chunks above which the picture was cut."""


class MaskCache:
    """Stored outputs and the mask of one stream; implements ``Reuse``. One thread owns it."""

    def __init__(self, config: ModelConfig, num_buckets: int = 0) -> None:
        """Start with nothing stored: the first chunk recomputes everything.

        ``num_buckets`` 0 recomputes exactly the tokens of the mask. Another number rounds their
        count up to so many different ones (the tokens on top are recomputed too), stays at fixed
        addresses and looks at the device once a chunk: what recorded work needs.
        """
        self.config = config
        self.num_buckets = num_buckets
        self.edit_mask: Tensor | None = None
        """bool (chunk tokens,), True = recompute; None = everything."""
        self._stored: dict[int, Tensor] = {}
        self._index: Tensor | None = None
        self._planned: Tensor | None = None
        self._is_planned = False
        self._tokens: Tensor | None = None
        self._is_first = False
        self.recomputed: Tensor | None = None
        """bool (chunk tokens,): what the newest chunk's middle steps recomputed; None = all."""

    def reset(self) -> None:
        """Forget mask and outputs: after a cut, a new instruction, a new stream."""
        self.edit_mask = None
        self._tokens = self._planned = None
        self._is_planned = False
        if self.num_buckets == 0:
            self._stored = {}

    def plan(self, moved: Tensor | None = None) -> None:
        """Decide what the coming chunk recomputes; the one copy from the device in a chunk.

        ``moved`` float, shape (): mean absolute change of the source latents since the last chunk;
        a cut forgets the mask. ``begin_step`` plans where nobody did.
        """
        self._planned, self._is_planned, self.recomputed = None, True, None
        mask = self.edit_mask
        if mask is None or self.config.mask_target == "none":
            return
        count = mask.sum(dtype=torch.float32)
        moved = torch.zeros_like(count) if moved is None else moved.float()
        num_tokens, distance = torch.stack((count, moved)).tolist()
        if distance > CUT_DISTANCE:
            self.reset()
            self._is_planned = True
            return
        size = self._rounded_up(int(num_tokens), len(mask))
        if self.num_buckets and size == len(mask):
            self.edit_mask = None
            return
        order = mask.logical_not().byte().argsort(stable=True)  # those of the mask first
        self._planned = self._at_fixed_address(order[:size], len(mask))
        self.recomputed = torch.zeros_like(mask).index_fill_(0, self._planned, value=True)

    def _rounded_up(self, count: int, total: int) -> int:
        """The smallest bucket that holds ``count`` of ``total`` tokens; at least one token."""
        if self.num_buckets == 0 or self.config.mask_share is not None:
            return count
        step = -(-total // self.num_buckets)
        return min(total, max(1, -(-count // step)) * step)

    def counts(self, num_tokens: int) -> list[int]:
        """Counts of tokens that masked steps of ``num_tokens`` may have, where they are few."""
        if self.config.mask_target == "none":
            return []
        if self.config.mask_share is not None:
            chunk = self.config.chunk_latents
            return [chunk * self._kept(num_tokens // chunk)]
        return [bucket * num_tokens // self.num_buckets for bucket in range(1, self.num_buckets)]

    def _kept(self, num_tokens: int) -> int:
        """Tokens of one latent that a fixed share recomputes; at least one."""
        assert self.config.mask_share is not None, "a threshold has no fixed share"
        return max(1, round(self.config.mask_share * num_tokens))

    def _at_fixed_address(self, tokens: Tensor, total: int) -> Tensor:
        """The same numbers, shape (n,), in memory that recordings know."""
        if self.num_buckets == 0:
            return tokens
        if self._index is None or len(self._index) != total:
            self._index = tokens.new_zeros(total)
        return self._index[: len(tokens)].copy_(tokens)

    def begin_step(self, step: int, num_steps: int) -> None:
        """Choose what the coming step recomputes: everything in the first and the last."""
        if not self._is_planned:
            self.plan()
        self._is_first = step == 0
        is_middle = 0 < step < num_steps - 1
        self._tokens = self._planned if is_middle else None

    @property
    def kind(self) -> tuple[bool, int | None]:
        """What tells the coming pass from others: whether it stores, and its count of tokens."""
        return self._is_first, None if self._tokens is None else len(self._tokens)

    @property
    def skip_ratio(self) -> float:
        """Share of tokens that the middle steps of the coming chunk reuse, 0..1."""
        if self.edit_mask is None or self.config.mask_target == "none":
            return 0.0
        if self._planned is not None:
            return 1.0 - len(self._planned) / len(self.edit_mask)
        return 1.0 - float(self.edit_mask.float().mean())

    def observe(self, edited: Tensor, source: Tensor) -> None:
        """Make the next chunk's mask from this chunk's latents, both of shape (1, C, T, H, W).

        A token is recomputed when the mean squared change of its strongest latent cell exceeds the
        threshold, or one within ``mask_dilation`` tokens does in any latent of the chunk; with a
        fixed share when its mean change is among the largest of its latent, exactly so many.
        """
        config = self.config
        distance = (edited - source).float().square().mean(dim=1)  # (1, T, H, W)
        self._planned, self._is_planned = None, False
        if config.mask_share is not None:
            means = F.avg_pool2d(distance, config.patch).flatten(2)[0]  # (T, h w)
            most = means.topk(self._kept(means.shape[1]), dim=1).indices
            chosen = torch.zeros_like(means, dtype=torch.bool)
            self.edit_mask = chosen.scatter_(1, most, value=True).flatten()
            return
        token = F.max_pool2d(distance, config.patch)
        strongest = token.amax(dim=1, keepdim=True)  # (1, 1, h, w)
        size = 2 * config.mask_dilation + 1
        grown = F.max_pool2d(strongest, size, stride=1, padding=config.mask_dilation)
        mask = (grown > config.mask_threshold).expand_as(token).flatten()
        is_known_whole = self.num_buckets == 0 and bool(mask.all())  # else ``plan`` finds out
        self.edit_mask = None if is_known_whole else mask

    def tokens(self, part: ReusePart) -> Tensor | None:
        """As ``Reuse``: their numbers, shape (n,)."""
        return self._tokens if self.config.mask_target == part else None

    def merge(self, part: ReusePart, layer: int, tokens: Tensor | None, out: Tensor) -> Tensor:
        """As ``Reuse``: (B, n, D) into (B, N, D)."""
        if self.config.mask_target != part:
            return out
        if tokens is not None:
            stored = self._stored[layer]
            if part == "self_attention" and self.config.mask_alignment:
                replaced = stored[:, tokens]
                out = out + (replaced.mean(1, keepdim=True) - out.mean(1, keepdim=True))
            return stored.index_copy(1, tokens, out)
        if self._is_first:
            self._store(layer, out)
        return out

    def _store(self, layer: int, out: Tensor) -> None:
        if self.num_buckets == 0:
            self._stored[layer] = out
        elif layer in self._stored and self._stored[layer].shape == out.shape:
            self._stored[layer].copy_(out)
        else:
            self._stored[layer] = out.clone()
