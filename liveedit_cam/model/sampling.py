"""Edit a whole clip the slow way: many steps, guidance.

What the paper's first stage (every latent sees every other) and second (chunk by chunk) are
evaluated by, 50 steps and 100 evaluations, and the scores of its third.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor

from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import predict_x0
from liveedit_cam.model.kv_cache import KVCache


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
    sigmas = _sigmas(num_steps, shift)
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


@torch.no_grad()
def sample_causal(
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
    """Chunk by chunk over the KV cache, each chunk by Euler steps: the paper's stage 2.

    As ``sample_offline`` but causal. With guidance the history is kept twice, once under the
    instruction and once without.
    """
    sigmas = _sigmas(num_steps, shift)
    sides = [(text, new_cache(dit, source))]
    if guidance != 1.0:
        sides.append((no_text, new_cache(dit, source)))
    chunks = []
    for part in source.split(dit.config.chunk_latents, dim=2):
        for _, cache in sides:
            cache.make_room()
        x = torch.randn(part.shape, generator=noise).to(part)
        for sigma, following in itertools.pairwise(sigmas):
            levels = part.new_full((len(part), part.shape[2]), sigma)
            asked, *plain = [
                predict_x0(dit, x, part, levels, 1000 * levels, side, cache)
                for side, cache in sides
            ]
            x0 = plain[0] + guidance * (asked - plain[0]) if plain else asked
            x = x + (following - sigma) * (x - x0) / sigma
        for side, cache in sides:
            dit.write_context(x, part, side, cache)
            cache.commit()
        chunks.append(x)
    return torch.cat(chunks, dim=2)


def new_cache(dit: CausalDiT, source: Tensor) -> KVCache:
    """A KV cache for latents like ``source``."""
    dtype = dit.patch_embedding.weight.dtype
    return KVCache(dit.config, dit.grid(source), source.device, dtype)


def _sigmas(num_steps: int, shift: float) -> list[float]:
    """From 1 to 0, shifted as in training."""
    u = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    found: list[float] = (shift * u / (1 + (shift - 1) * u)).tolist()
    return found
