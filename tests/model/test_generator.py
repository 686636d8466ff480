"""Denoising a chunk: the sampler's steps, its noise, and the clean-context pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import CPU, PAIRED, TINY, draw_latents, tiny_dit, tiny_text_kv
from torch import nn

from liveedit_cam.model import ModelConfig
from liveedit_cam.model.config import Prediction
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.generator import denoise_chunk, predict_x0
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.schedule import FlowSchedule

SCHEDULE = FlowSchedule(TINY.timesteps, TINY.shift)
GRID = (TINY.height // TINY.token_px, TINY.width // TINY.token_px)


def cache_of(config: ModelConfig = TINY) -> KVCache:
    return KVCache(config, GRID, CPU, torch.float32)


def stream(dit: CausalDiT, seed: int, num_chunks: int = 6) -> torch.Tensor:
    """Edited latents of a stream whose window rolls."""
    cache, noise, text = cache_of(), torch.Generator().manual_seed(seed), tiny_text_kv(dit)
    sources = [draw_latents(TINY, 1, seed=chunk) for chunk in range(num_chunks)]
    return torch.cat(
        [denoise_chunk(dit, source, text, SCHEDULE, cache, None, noise) for source in sources], 2
    )


def test_same_seed_same_latents(dit: CausalDiT) -> None:
    """Catches noise from the global generator, and a seed that has no effect."""
    assert torch.equal(stream(dit, seed=3), stream(dit, seed=3))
    assert (stream(dit, seed=3) - stream(dit, seed=4)).abs().max() > 1e-3


@pytest.mark.parametrize("prediction", ["source_change", "flow"])
def test_sampler_by_hand(prediction: Prediction) -> None:
    """Catches reused noise, a step off by one in sigma, and noise added after the last step.

    The sampler written out: start from pure noise, and between steps re-noise
    the estimate with fresh noise at the next sigma.
    """
    config = replace(PAIRED, prediction=prediction)
    dit = tiny_dit(config)
    text, source = tiny_text_kv(dit), draw_latents(config, 2, seed=1)
    cache, noise = cache_of(config), torch.Generator().manual_seed(0)
    got = denoise_chunk(dit, source, text, SCHEDULE, cache, None, noise)

    again, x = torch.Generator().manual_seed(0), None
    attend = cache_of(config)
    for timestep, sigma in zip((1000, 750, 500, 250), SCHEDULE.sigmas, strict=True):
        fresh = torch.randn(source.shape, generator=again)
        x = fresh if x is None else (1 - sigma) * x + sigma * fresh
        out = dit(x, source, torch.full((1, 2), float(timestep)), text, attend)
        x = source + out if prediction == "source_change" else x - sigma * out
    assert torch.allclose(got, x, rtol=0, atol=1e-5)


def test_predict_x0_uses_the_sigma_of_each_latent(dit: CausalDiT) -> None:
    """Catches one sigma for a whole sequence: training draws one per latent."""
    flow = tiny_dit(replace(PAIRED, prediction="flow"))
    noisy, source = draw_latents(PAIRED, 2, 1), draw_latents(PAIRED, 2, 2)
    sigma = torch.tensor([[0.25, 0.75]])
    text = tiny_text_kv(flow)
    out = flow(noisy, source, 1000 * sigma, text, cache_of(PAIRED))
    got = predict_x0(flow, noisy, source, sigma, 1000 * sigma, text, cache_of(PAIRED))
    assert torch.allclose(got[:, :, 0], noisy[:, :, 0] - 0.25 * out[:, :, 0], atol=1e-6)
    assert torch.allclose(got[:, :, 1], noisy[:, :, 1] - 0.75 * out[:, :, 1], atol=1e-6)


def test_four_evaluations_and_one_context_pass() -> None:
    """Catches a hidden extra pass (guidance) and a context pass that also runs the head."""
    dit = tiny_dit()
    calls: list[str] = []

    def count(module: nn.Module, name: str) -> None:
        module.register_forward_pre_hook(lambda *_: calls.append(name))

    count(dit, "evaluation")
    count(dit.head, "head")
    for block in dit.blocks:
        count(block, "block")
    last = dit.blocks[-1]
    assert isinstance(last, nn.Module)
    count(last.get_submodule("ffn"), "last ffn")
    stream(dit, seed=0, num_chunks=3)
    found = {name: calls.count(name) / 3 for name in sorted(set(calls))}
    assert found == {"evaluation": 4, "head": 4, "block": 5 * len(dit.blocks), "last ffn": 4}


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_context_pass_writes_what_a_full_pass_at_zero_writes(config: ModelConfig) -> None:
    """Catches a context pass at another timestep, or one that stops a layer too early.

    What the next chunk sees is compared: the outputs of a chunk after each kind of pass.
    """
    dit = tiny_dit(config)
    text, size = tiny_text_kv(dit), config.chunk_latents
    clean, source, noisy = (draw_latents(config, size, seed) for seed in (1, 2, 3))
    after = []
    for timestep in (None, 0.0, 4.0):
        cache = cache_of(config)
        if timestep is None:
            dit.write_context(clean, source, text, cache)
        else:
            dit(clean, source, torch.full((1, size), timestep), text, cache)
        cache.commit()
        after.append(dit(noisy, source, torch.full((1, size), 500.0), text, cache))
    assert torch.equal(after[0], after[1])
    assert not torch.equal(after[0], after[2])


def test_a_chunk_advances_the_stream_by_itself_once(dit: CausalDiT) -> None:
    """Catches positions that advance with every denoising step."""
    cache, noise, text = cache_of(), torch.Generator().manual_seed(0), tiny_text_kv(dit)
    counts = []
    for chunk in range(6):
        denoise_chunk(dit, draw_latents(TINY, 1, chunk), text, SCHEDULE, cache, None, noise)
        counts.append(cache.num_latents)
    assert counts == [1, 2, 3, 4, 4, 4]
