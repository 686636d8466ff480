"""Edit a whole clip the slow way: many steps, guidance.

What the paper's first stage (every latent sees every other) and second (chunk by chunk) are
evaluated by, 50 steps and 100 evaluations, and the scores of its third.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

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

    def x0_of(x: Tensor, sigma: float) -> Tensor:
        levels = source.new_full((len(source),), sigma)
        asked = predict_bidirectional(dit, x, source, levels, text)
        if guidance == 1.0:
            return asked
        plain = predict_bidirectional(dit, x, source, levels, no_text)
        return plain + guidance * (asked - plain)

    x = torch.randn(source.shape, generator=noise).to(source)
    return _euler(x, _sigmas(num_steps, shift), x0_of)


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

        def x0_of(x: Tensor, sigma: float, part: Tensor = part) -> Tensor:
            levels = part.new_full((len(part), part.shape[2]), sigma)
            asked, *plain = [
                predict_x0(dit, x, part, levels, 1000 * levels, side, cache)
                for side, cache in sides
            ]
            return plain[0] + guidance * (asked - plain[0]) if plain else asked

        x = _euler(torch.randn(part.shape, generator=noise).to(part), sigmas, x0_of)
        for side, cache in sides:
            dit.write_context(x, part, side, cache)
            cache.commit()
        chunks.append(x)
    return torch.cat(chunks, dim=2)


def _euler(x: Tensor, sigmas: Sequence[float], x0_of: Callable[[Tensor, float], Tensor]) -> Tensor:
    """From noise at the first of ``sigmas`` to the last, along the flow towards ``x0_of``."""
    for sigma, following in itertools.pairwise(sigmas):
        x = x + (following - sigma) * (x - x0_of(x, sigma)) / sigma
    return x


def new_cache(dit: CausalDiT, source: Tensor) -> KVCache:
    """A KV cache for latents like ``source``."""
    dtype = dit.patch_embedding.weight.dtype
    return KVCache(dit.config, dit.grid(source), source.device, dtype)


def _sigmas(num_steps: int, shift: float) -> list[float]:
    """From 1 to 0, shifted as in training."""
    u = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    return [float(sigma) for sigma in shift * u / (1 + (shift - 1) * u)]
