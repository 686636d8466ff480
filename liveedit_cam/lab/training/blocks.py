"""Attention of whole sequences under a mask of blocks: what is not visible is not computed.

For a GPU: the mask of stage 2 is 4 GB as a matrix of 65,520 tokens, and a few MB in blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from liveedit_cam.model.attention import Rotation, rotate, teacher_forcing_rule

Attention = Callable[..., Tensor]


@cache
def _compiled() -> Attention:
    return cast("Attention", torch.compile(flex_attention))


class BlockAttend:
    """The twin of ``MaskedAttend`` over blocks; a SelfAttend."""

    def __init__(self, rotation: Rotation, mask: BlockMask) -> None:
        """``rotation`` of all N tokens."""
        self.rotation = rotation
        self.mask = mask

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        assert tokens is None, "the mask cache needs a KV cache"
        attention = _compiled() if q.is_cuda else cast("Attention", flex_attention)
        query, keys = rotate(q, self.rotation), rotate(k, self.rotation)
        turned = (x.transpose(1, 2) for x in (query, keys, v))
        return attention(*turned, block_mask=self.mask).transpose(1, 2)


def teacher_forcing_blocks(
    num_chunks: int, chunk_tokens: int, window_chunks: int | None, device: torch.device
) -> BlockMask:
    """``teacher_forcing_mask`` in blocks, on ``device``."""
    size = 2 * num_chunks * chunk_tokens
    rule = teacher_forcing_rule(num_chunks, chunk_tokens, window_chunks)
    return create_block_mask(
        rule, None, None, size, size, device=str(device), _compile=device.type == "cuda"
    )
