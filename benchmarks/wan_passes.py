"""Ways to run the passes of liveedit-1.3b for ``wan.py``: as the public code does, and timed.

The plain way is eager, reads counters back from the device in every layer, turns all visible keys
in float64 in every call, projects the text in every pass and runs the clean-context pass whole. Its
window and sinks are ours, so that both do the same work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from liveedit_cam.model import ModelConfig
from liveedit_cam.model.attention import SelfAttend, attend
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import Denoiser
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.reuse import Reuse

CEILING_S = 0.5


class RandomText:
    """A PromptEncoder without weights: the encoder is no part of a chunk."""

    def __init__(self, config: ModelConfig, device: torch.device) -> None:
        self._shape = (config.text.max_tokens, config.text.width)
        self._device = device

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Random rows (B, L, D)."""
        return torch.randn(len(prompts), *self._shape, device=self._device)


class PlainCache(KVCache):
    """The public way to attend."""

    def __init__(self, config: ModelConfig, grid: tuple[int, int], like: Tensor) -> None:
        super().__init__(config, grid, like.device, like.dtype, keeps_rotated=False)
        self._turns = self._rotation.to(torch.complex128)
        self._ends = torch.zeros(config.num_layers, 2, dtype=torch.long, device=like.device)

    def make_room(self) -> None:
        super().make_room()
        self._ends[:, 0] = self.num_latents * self.latent_tokens
        self._ends[:, 1] = self._ends[:, 0] + self.chunk_tokens

    def __call__(
        self, layer: int, q: Tensor, k: Tensor, v: Tensor, tokens: Tensor | None
    ) -> Tensor:
        assert tokens is None, "the plain path has no mask cache"
        start, end = (int(self._ends[layer, side].item()) for side in (0, 1))
        self._k[layer][:, start:end] = k
        self._v[layer][:, start:end] = v
        keys = _rotate_double(self._k[layer][:, :end], self._turns[:end])
        return attend(_rotate_double(q, self._turns[start:end]), keys, self._v[layer][:, :end])


def _rotate_double(x: Tensor, turns: Tensor) -> Tensor:
    pairs = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns).flatten(-2).to(x.dtype)


class PlainPasses:
    """A Denoiser that projects the text anew in every pass, as the public code does."""

    def __init__(self, dit: CausalDiT) -> None:
        config, weight = dit.config, dit.patch_embedding.weight
        self._dit = dit
        self._text = weight.new_zeros(1, config.text.max_tokens, config.text.width)

    @property
    def config(self) -> ModelConfig:
        """Sizes of the network."""
        return self._dit.config

    def __call__(
        self,
        noisy: Tensor,
        source: Tensor,
        timestep: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """As CausalDiT; the projection is made and, like theirs, not used again."""
        self._dit.text_embedding(self._text)
        return self._dit(noisy, source, timestep, text, attend_self)

    def write_context(
        self, clean: Tensor, source: Tensor, text: Sequence[TextKV], attend_self: SelfAttend
    ) -> None:
        """As theirs: a whole pass, whose output nobody reads."""
        timestep = torch.zeros(clean.shape[0], clean.shape[2], device=clean.device)
        self(clean, source, timestep, text, attend_self)


class TimedPasses:
    """A Denoiser that notes how long each pass takes, waiting for the device."""

    def __init__(self, inner: Denoiser, sync: Callable[[], None]) -> None:
        self._inner = inner
        self._sync = sync
        self.seconds: list[float] = []

    @property
    def config(self) -> ModelConfig:
        """Sizes of the network."""
        return self._inner.config

    def __call__(
        self,
        noisy: Tensor,
        source: Tensor,
        timestep: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """As the one inside."""
        run = partial(self._inner, noisy, source, timestep, text, attend_self, reuse)
        return self._timed(run)

    def write_context(
        self, clean: Tensor, source: Tensor, text: Sequence[TextKV], attend_self: SelfAttend
    ) -> None:
        """As the one inside."""
        self._timed(lambda: self._inner.write_context(clean, source, text, attend_self))

    def _timed(self, run: Callable[[], Tensor]) -> Tensor:
        self._sync()
        began = time.perf_counter()
        out = run()
        self._sync()
        self.seconds.append(time.perf_counter() - began)
        return out


def product_ceiling(config: ModelConfig, device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of matrix products: the best of the FFN's size and a large square."""
    tokens = config.num_tokens * config.chunk_latents
    side = 8192 if device.type == "cuda" else 512
    best = 0.0
    for n, k, m in ((tokens, config.dim, config.ffn_dim), (side, side, side)):
        a, b = (torch.randn(*s, device=device, dtype=dtype) for s in ((n, k), (k, m)))
        ends_at = time.perf_counter() + CEILING_S
        while time.perf_counter() < ends_at:
            if device.type == "cuda":
                torch.cuda.synchronize()
            began = time.perf_counter()
            a @ b
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = max(best, 2 * n * k * m / (time.perf_counter() - began))
    return best
