"""What a token knows besides its content: sinusoids of its noise level and of its place."""

from __future__ import annotations

import math

import torch
from torch import Tensor

PLACE_SIZE = 4.0
"""Amplitude of the place features; at 1 they are small beside the latents and learnt too slowly."""


def timestep_features(timestep: Tensor, dim: int) -> Tensor:
    """Sinusoids of ``timestep`` (any shape), cosines first, base 10000; float32, ``dim`` added."""
    half = dim // 2
    frequency = torch.exp(
        -math.log(10000) * torch.arange(half, dtype=torch.float64, device=timestep.device) / half
    )
    angle = timestep.double().unsqueeze(-1) * frequency
    return torch.cat((angle.cos(), angle.sin()), dim=-1).float()


def place_features(grid: tuple[int, int], waves: int, device: torch.device) -> Tensor:
    """Where each token of a latent lies in the picture; float32, shape (h w, 2 waves + 1).

    Rotary positions tell distances only; "the left half" and "light from above" need places. The
    features are PLACE_SIZE times cos(k pi x) and cos(k pi y), k = 1..waves, of the token's middle,
    0..1 from the top left, and the logarithm of the aspect ratio.
    """
    height, width = grid
    k = math.pi * torch.arange(1, waves + 1, dtype=torch.float32, device=device)
    x = ((torch.arange(width, device=device) + 0.5) / width).unsqueeze(-1) * k
    y = ((torch.arange(height, device=device) + 0.5) / height).unsqueeze(-1) * k
    columns = x.cos().expand(height, width, waves)
    rows = y.cos().unsqueeze(1).expand(height, width, waves)
    aspect = x.new_full((height, width, 1), math.log(width / height))
    return PLACE_SIZE * torch.cat((columns, rows, aspect), dim=-1).flatten(0, 1)
