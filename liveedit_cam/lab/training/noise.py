"""Noise on latents, drawn on their device from the random numbers of a stage."""

from __future__ import annotations

import torch
from torch import Tensor

from liveedit_cam.model.schedule import add_noise


def noised(x0: Tensor, sigma: Tensor, random_source: torch.Generator) -> Tensor:
    """Latents (B, C, T, H, W) under noise; sigma (B, T) or (B, 1).

    On another device than ``random_source``'s the noise is made there, from a seed that it draws.
    """
    own = random_source
    if x0.device != random_source.device:
        seed = int(torch.randint(2**62, (), generator=random_source))
        own = torch.Generator(x0.device).manual_seed(seed)
    noise = torch.randn(x0.shape, generator=own, device=x0.device).to(x0)
    return add_noise(x0, noise, sigma[:, None, :, None, None])
