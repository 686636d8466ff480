"""Denoise one chunk: four steps and the clean-context pass. The only place positions advance.

Live editing and training rollouts both take ``denoise_step``; neither has a step of its own.
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

    def __call__(
        self,
        noisy: Tensor,
        source: Tensor,
        timestep: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """Network output (B, C, T, H, W), as ``CausalDiT``; the next call may overwrite it."""

    def write_context(
        self, clean: Tensor, source: Tensor, text: Sequence[TextKV], attend_self: SelfAttend
    ) -> None:
        """The clean-context pass of (B, C, T, H, W), as ``CausalDiT.write_context``."""


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


def denoise_step(
    model: Denoiser,
    x0: Tensor,
    source: Tensor,
    text: Sequence[TextKV],
    schedule: FlowSchedule,
    step: int,
    attend_self: SelfAttend,
    noise: torch.Generator,
    reuse: Reuse | None = None,
) -> Tensor:
    """Noise ``x0`` (B, C, T, H, W) anew to ``step``'s sigma and estimate it again, same shape.

    Each step has fresh noise (facts: stochastic consistency sampling), drawn as float32 on the
    device of ``noise``; before step 0, sigma 1, what ``x0`` holds does not matter.
    """
    shape, sigma = (source.shape[0], source.shape[2]), schedule.sigmas[step]
    fresh = torch.randn(source.shape, generator=noise, device=noise.device, dtype=torch.float32)
    return predict_x0(
        model,
        add_noise(x0, fresh.to(source), sigma),
        source,
        source.new_full(shape, sigma),
        source.new_full(shape, schedule.timesteps[step], dtype=torch.float32),
        text,
        attend_self,
        reuse,
    )


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

    The last step's x0 is the result (no guidance). Then the clean-context pass leaves the chunk's
    final keys and values in its slot; without it those of the last step stay.
    """
    cache.make_room()
    num_steps = len(schedule.timesteps)
    x0 = source
    for step in range(num_steps):
        if mask is not None:
            mask.begin_step(step, num_steps)
        x0 = denoise_step(model, x0, source, text, schedule, step, cache, noise, mask)
    if context_pass:
        model.write_context(x0, source, text, cache)
    cache.commit()
    if mask is not None:
        mask.observe(x0, source)
    return x0
