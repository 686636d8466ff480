"""The student as it runs live: chunk by chunk over its own KV cache, with gradients where wanted.

The denoising loop for training: same steps, same cache, same positions; only the exit step
keeps its graph, and its keys and values are joined to the cache instead of written into it,
because a write in place would spoil what the backward pass needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from liveedit_cam.model.attention import attend, rotate
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import denoise_step
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.schedule import FlowSchedule


class JoinedAttend:
    """Attention over a cache's history and the current chunk, without writing to the cache.

    The history is that of the first call of a layer, kept: where blocks are computed again in the
    backward pass, the cache has gone on to later chunks.
    """

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self._kept: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        assert tokens is None, "a rollout recomputes every token"
        if layer not in self._kept:
            self._kept[layer] = (*self.cache.history(layer), self.cache.rotation(q.shape[1]))
        past_k, past_v, rotation = self._kept[layer]
        keys = torch.cat((past_k, k), dim=1)
        values = torch.cat((past_v, v), dim=1)
        return attend(rotate(q, rotation[-q.shape[1] :]), rotate(keys, rotation), values)


def rollout(
    dit: CausalDiT,
    source: Tensor,
    text: Sequence[TextKV],
    schedule: FlowSchedule,
    exit_step: int,
    noise: torch.Generator,
) -> Tensor:
    """Edit latents (B, C, T, H, W) chunk by chunk and leave each chunk at ``exit_step``'s x0.

    Gradients reach the weights through the exit step of every chunk, never through the cache
    (facts 7.4). T must be a whole number of chunks.
    """
    config = dit.config
    cache = KVCache(config, dit.grid(source), source.device, source.dtype, batch=len(source))
    frozen = [(k.detach(), v.detach()) for k, v in text]
    chunks = []
    for part in source.split(config.chunk_latents, dim=2):
        cache.make_room()
        x0 = part
        with torch.no_grad():
            for step in range(exit_step):
                x0 = denoise_step(dit, x0, part, frozen, schedule, step, cache, noise)
        joined = JoinedAttend(cache)
        x0 = denoise_step(dit, x0, part, text, schedule, exit_step, joined, noise)
        chunks.append(x0)
        with torch.no_grad():
            dit.write_context(x0.detach(), part, frozen, cache)
        cache.commit()
    return torch.cat(chunks, dim=2)
