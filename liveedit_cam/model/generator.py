"""Denoise one chunk: four steps and the clean-context pass. The only place positions advance.

Live editing and training rollouts both call ``denoise_chunk``; neither has a loop of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from liveedit_cam.model.attention import SelfAttend
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import TextKV
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.reuse import Reuse
from liveedit_cam.model.schedule import FlowSchedule, add_noise, x0_from_flow


class Denoiser(Protocol):
    """A CausalDiT, or what runs one faster."""

    @property
    def config(self) -> ModelConfig:
        """Sizes of the network."""
        ...

    def __call__(
        self,
        noisy: Tensor,
        source: Tensor,
        timestep: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """Network output, as ``CausalDiT.forward``; may be overwritten by the next call."""
        ...

    def write_context(
        self, clean: Tensor, source: Tensor, text: Sequence[TextKV], attend_self: SelfAttend
    ) -> None:
        """The clean-context pass, as ``CausalDiT.write_context``."""
        ...


def predict_x0(
    model: Denoiser,
    noisy: Tensor,
    source: Tensor,
    sigma: Tensor,
    timestep: Tensor,
    text: Sequence[TextKV],
    attend_self: SelfAttend,
    reuse: Reuse | None = None,
) -> Tensor:
    """The network's estimate of the edited latents, (B, C, T, H, W) like ``noisy`` and ``source``.

    sigma and timestep are float (B, T). ``source_change`` models predict x0 - source, ``flow``
    models noise - x0; either way x0 comes out, and training and sampling share this line.
    """
    out = model(noisy, source, timestep, text, attend_self, reuse)
    if model.config.prediction == "source_change":
        return source + out
    return x0_from_flow(noisy, out, sigma[:, None, :, None, None])


def denoise_chunk(
    model: Denoiser,
    source: Tensor,
    text: Sequence[TextKV],
    schedule: FlowSchedule,
    cache: KVCache,
    mask: MaskCache | None,
    noise: torch.Generator,
    *,
    context_pass: bool = True,
) -> Tensor:
    """Edit one chunk of source latents (B, C, T, H, W) and commit it to the cache.

    Each step predicts x0 and re-noises it with fresh noise at the next sigma (facts: stochastic
    consistency sampling, 4 evaluations, no guidance); the last x0 is the result. Then the
    clean-context pass leaves the chunk's final keys and values in its slot; without it those of
    the last step stay. ``noise`` lies on any device, where it is drawn.
    """
    cache.make_room()
    shape = (source.shape[0], source.shape[2])
    num_steps = len(schedule.timesteps)
    x0 = source
    for step, (timestep, sigma) in enumerate(zip(schedule.timesteps, schedule.sigmas, strict=True)):
        fresh = torch.randn(
            source.shape, generator=noise, device=noise.device, dtype=torch.float32
        ).to(source)
        noisy = add_noise(x0, fresh, sigma)
        if mask is not None:
            mask.begin_step(step, num_steps)
        x0 = predict_x0(
            model,
            noisy,
            source,
            source.new_full(shape, sigma),
            source.new_full(shape, timestep, dtype=torch.float32),
            text,
            cache,
            mask,
        )
    if context_pass:
        model.write_context(x0, source, text, cache)
    cache.commit()
    if mask is not None:
        mask.observe(x0, source)
    return x0
