"""Keys and values of the latents a stream still sees: sinks, a rolling window, the current chunk.

Layout per layer, in latents: [sinks | history | current chunk]. Keys are stored un-rotated, so
a latent can move towards the front as the window rolls; positions are its place in the window,
never its age, so a stream has no end. The current chunk has one fixed slot: each denoising
step and the clean-context pass overwrite it. Positions are Python ints and advance in
``generator.py`` only. One thread owns a cache.
"""

from __future__ import annotations

import torch
from torch import Tensor

from liveedit_cam.model.attention import PLAIN_KERNELS, Kernels, rotation_table
from liveedit_cam.model.config import ModelConfig


class KVCache:
    """Preallocated K and V of every layer for one stream; also the live way to attend."""

    def __init__(
        self,
        config: ModelConfig,
        grid: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
        batch: int = 1,
        *,
        kernels: Kernels = PLAIN_KERNELS,
        keeps_rotated: bool = True,
    ) -> None:
        """Allocate 3 x layers x (B, window N, H, D); ``grid`` = tokens (h, w) of one latent.

        ``keeps_rotated`` False allocates 2 x as much instead, and turns all visible keys anew in
        every call: less memory, more work.
        """
        self.config = config
        self._kernels = kernels
        self._keeps_rotated = keeps_rotated
        self.grid = grid
        self.latent_tokens = grid[0] * grid[1]
        self.num_latents = 0
        """Committed latents now in the cache, sinks included."""
        size = config.window_latents * self.latent_tokens
        shape = (config.num_layers, batch, size, config.num_heads, config.head_dim)
        self._k = torch.zeros(shape, device=device, dtype=dtype)
        self._v = torch.zeros(shape, device=device, dtype=dtype)
        rotated_shape = shape if keeps_rotated else (config.num_layers, 0)
        self._rotated = torch.zeros(rotated_shape, device=device, dtype=dtype)
        self._rotated_layers = [False] * config.num_layers
        self._rotation = rotation_table(range(config.window_latents), grid, config.head_dim, device)

    @property
    def chunk_tokens(self) -> int:
        """Tokens of the current chunk."""
        return self.config.chunk_latents * self.latent_tokens

    @property
    def _slot_start(self) -> int:
        return self.num_latents * self.latent_tokens

    @property
    def is_rolling(self) -> bool:
        """Whether the window is full with the current chunk: slots no longer change place."""
        return self.num_latents + self.config.chunk_latents == self.config.window_latents

    def reset(self) -> None:
        """Forget every latent."""
        self.num_latents = 0
        self._forget_rotated()

    def make_room(self) -> None:
        """Evict the oldest window latents, never the sinks, until the next chunk fits."""
        config, n = self.config, self.latent_tokens
        excess = self.num_latents + config.chunk_latents - config.window_latents
        if excess > 0:
            sinks, end, step = config.num_sink_latents * n, self._slot_start, excess * n
            for start in range(sinks, end - step, step):  # no copy of it all: source and goal of
                goal = slice(start, min(start + step, end - step))  # one step do not overlap
                source = slice(goal.start + step, goal.stop + step)
                for store in (self._k, self._v):
                    store[:, :, goal] = store[:, :, source]
            self.num_latents -= excess
        self._forget_rotated()

    def commit(self) -> None:
        """Keep what the clean-context pass wrote to the current slot as history."""
        assert self.num_latents + self.config.chunk_latents <= self.config.window_latents, (
            f"{self.num_latents} latents committed in a window of {self.config.window_latents}: "
            "make_room was not called"
        )
        self.num_latents += self.config.chunk_latents
        self._forget_rotated()

    def _forget_rotated(self) -> None:
        self._rotated_layers = [False] * self.config.num_layers

    def write(self, layer: int, k: Tensor, v: Tensor, tokens: Tensor | None) -> None:
        """Store K and V (B, n, H, D) of the current chunk; ``tokens`` = which of its tokens."""
        start = self._slot_start
        if tokens is None:
            slot = slice(start, start + k.shape[1])
            self._k[layer][:, slot] = k
            self._v[layer][:, slot] = v
            if self._keeps_rotated:
                self._rotated[layer][:, slot] = self._kernels.rotate(k, self._rotation[slot])
        else:
            slot_index = tokens + start
            self._k[layer].index_copy_(1, slot_index, k)
            self._v[layer].index_copy_(1, slot_index, v)
            if self._keeps_rotated:
                rotated = self._kernels.rotate(k, self._rotation[slot_index])
                self._rotated[layer].index_copy_(1, slot_index, rotated)

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        """Write the current chunk's K, V, then attend over sinks, history and the chunk.

        ``q``, ``k``, ``v`` (B, n, H, D), un-rotated; returns the shape of ``q``.
        """
        self.write(layer, k, v, tokens)
        start = self._slot_start
        end = start + self.chunk_tokens
        index = slice(start, end) if tokens is None else tokens + start
        query = self._kernels.rotate(q, self._rotation[index])
        return self._kernels.attend(query, self._visible_keys(layer, end), self._v[layer][:, :end])

    def _visible_keys(self, layer: int, end: int) -> Tensor:
        """Rotated keys of the first ``end`` tokens, (B, end, H, D)."""
        if not self._keeps_rotated:
            return self._kernels.rotate(self._k[layer][:, :end], self._rotation[:end])
        if not self._rotated_layers[layer]:
            self._rotate_history(layer)
        return self._rotated[layer][:, :end]

    def rotate_histories(self) -> None:
        """Turn the history of every layer now, where it is kept, not when first attended to."""
        if self._keeps_rotated:
            for layer, is_done in enumerate(self._rotated_layers):
                if not is_done:
                    self._rotate_history(layer)

    def _rotate_history(self, layer: int) -> None:
        history = slice(0, self._slot_start)
        self._rotated[layer][:, history] = self._kernels.rotate(
            self._k[layer][:, history], self._rotation[history]
        )
        self._rotated_layers[layer] = True

    def history(self, layer: int) -> tuple[Tensor, Tensor]:
        """Un-rotated K and V (B, N, H, D) of the committed latents; copies, fit for autograd."""
        end = self._slot_start
        return self._k[layer][:, :end].clone(), self._v[layer][:, :end].clone()

    def rotation(self, num_tokens: int) -> Tensor:
        """Rotation (N, 1, D/2) of the history and the next ``num_tokens`` tokens."""
        return self._rotation[: self._slot_start + num_tokens]

    @property
    def num_bytes(self) -> int:
        """Memory of the cache; constant over its life."""
        return sum(t.numel() * t.element_size() for t in (self._k, self._v, self._rotated))
