"""Edit a whole clip the slow way: every latent sees every other, many steps, guidance.

What the paper's first stage is evaluated by (50 steps, 100 evaluations), and the scores of its
third.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import predict_x0


def predict_bidirectional(
    dit: CausalDiT, noisy: Tensor, source: Tensor, sigma: Tensor, text: Sequence[TextKV]
) -> Tensor:
    """x0 (B, C, T, H, W) with all latents visible to each other; ``sigma`` (B,), one a clip."""
    num_latents = source.shape[2]
    rotation = rotation_table(
        range(num_latents), dit.grid(source), dit.config.head_dim, source.device
    )
    levels = sigma[:, None].expand(-1, num_latents)
    attend = MaskedAttend(rotation, None)
    return predict_x0(dit, noisy, source, levels, 1000 * levels, text, attend)


@torch.no_grad()
def sample_offline(
    dit: CausalDiT,
    source: Tensor,
    text: Sequence[TextKV],
    no_text: Sequence[TextKV],
    *,
    num_steps: int,
    guidance: float,
    shift: float,
    noise: torch.Generator,
) -> Tensor:
    """Edit a whole clip of latents (B, C, T, H, W) the slow way: Euler steps, guided.

    Two network evaluations a step; ``guidance`` 1 = the instruction alone, one evaluation. With 50
    steps this is the paper's 100 NFE.
    """
    u = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    sigmas = (shift * u / (1 + (shift - 1) * u)).tolist()
    x = torch.randn(source.shape, generator=noise).to(source)
    for sigma, following in itertools.pairwise(sigmas):
        levels = source.new_full((len(source),), sigma)
        x0 = predict_bidirectional(dit, x, source, levels, text)
        if guidance != 1.0:
            plain = predict_bidirectional(dit, x, source, levels, no_text)
            x0 = plain + guidance * (x0 - plain)
        flow = (x - x0) / sigma
        x = x + (following - sigma) * flow
    return x
