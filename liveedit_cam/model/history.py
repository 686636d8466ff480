"""The latents a window shows, kept so that a new instruction can rewrite their keys and values."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from torch import Tensor

from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.kv_cache import KVCache


class ShownLatents:
    """Edited and source latents of every chunk in the window, oldest first. One thread owns it."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[Tensor, Tensor]] = deque()

    def add(self, x0: Tensor, source: Tensor, config: ModelConfig) -> None:
        """Keep one chunk's latents, (B, C, T, h, w); what the window shows no more goes."""
        self._chunks.append((x0, source))
        if len(self._chunks) > config.window_latents // config.chunk_latents - 1:
            del self._chunks[config.num_sink_latents // config.chunk_latents]

    def rewrite(self, dit: CausalDiT, cache: KVCache, text: Sequence[TextKV]) -> None:
        """Fill an empty ``cache`` with all of them under ``text``."""
        for x0, source in self._chunks:
            cache.make_room()
            dit.write_context(x0, source, text, cache)
            cache.commit()

    def clear(self) -> None:
        """Forget them."""
        self._chunks.clear()
