"""The KV cache: chunk by chunk equals the whole sequence, before and after the window rolls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import (
    CPU,
    PAIRED,
    TINY,
    NaiveCache,
    draw_latents,
    tiny_dit,
    tiny_text_kv,
)

from liveedit_cam.model import ModelConfig
from liveedit_cam.model.attention import MaskedAttend, rotation_table, teacher_forcing_mask
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.generator import denoise_chunk
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.schedule import FlowSchedule

ROUNDING = 1e-6
"""Both ways run in float64, but rotation and RMS norm round to float32 (6e-8 of numbers about 1),
and a difference of 1e-16 before them may round the other way."""
TIMESTEP = 750.0


def cache_of(config: ModelConfig, dtype: torch.dtype = torch.float64) -> KVCache:
    grid = (config.height // config.token_px, config.width // config.token_px)
    return KVCache(config, grid, CPU, dtype)


def chunked(
    dit: CausalDiT,
    clean: torch.Tensor,
    noisy: torch.Tensor,
    source: torch.Tensor,
    cache: KVCache | NaiveCache,
) -> list[torch.Tensor]:
    """Outputs per chunk of a stream: a noisy pass, then the clean-context pass, then commit."""
    size = dit.config.chunk_latents
    text = tiny_text_kv(dit)
    outputs = []
    for first in range(0, clean.shape[2], size):
        part = slice(first, first + size)
        cache.make_room()
        timestep = torch.full((1, size), TIMESTEP)
        outputs.append(dit(noisy[:, :, part], source[:, :, part], timestep, text, cache))
        dit.write_context(clean[:, :, part], source[:, :, part], text, cache)
        cache.commit()
    return outputs


def whole(
    dit: CausalDiT, clean: torch.Tensor, noisy: torch.Tensor, source: torch.Tensor
) -> torch.Tensor:
    """The same in one pass over [clean | noisy] under the teacher-forcing mask; the noisy half."""
    count = clean.shape[2]
    grid = dit.grid(clean)
    mask = teacher_forcing_mask(
        count // dit.config.chunk_latents, dit.config.chunk_latents * grid[0] * grid[1]
    )
    rotation = rotation_table(list(range(count)) * 2, grid, dit.config.head_dim)
    timestep = torch.tensor([[0.0] * count + [TIMESTEP] * count])
    both = torch.cat((clean, noisy), dim=2)
    text = tiny_text_kv(dit)
    out = dit(both, torch.cat((source, source), 2), timestep, text, MaskedAttend(rotation, mask))
    return out[:, :, count:]


def latents(config: ModelConfig, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clean, noisy and source latents in float64."""
    clean, noisy, source = (draw_latents(config, count, seed).double() for seed in (1, 2, 3))
    return clean, noisy, source


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_chunks_equal_the_whole_until_the_window_is_full(config: ModelConfig) -> None:
    """Catches wrong positions, a misplaced context pass, and a chunk that sees ahead."""
    dit = tiny_dit(config).double()
    given = latents(config, config.window_latents)
    stream = torch.cat(chunked(dit, *given, cache_of(config)), dim=2)
    assert stream.abs().mean() > 0.1
    assert torch.allclose(stream, whole(dit, *given), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_rolled_window_equals_a_recompute_of_what_it_shows(config: ModelConfig) -> None:
    """Catches positions that grow with age and a window that loses sinks or the newest history.

    One layer, because its keys depend on its own latent only; deeper ones remember what the window
    showed when they were written (the next test compares those). The recompute takes the sinks,
    the newest history and the chunk, at positions 0 to n - 1.
    """
    config = replace(config, num_layers=1)
    dit = tiny_dit(config).double()
    count = 3 * config.window_latents
    given = latents(config, count)
    outputs = chunked(dit, *given, cache_of(config))
    kept = config.window_latents - config.num_sink_latents
    for end in range(config.window_latents, count + 1, config.chunk_latents):
        shown = [*range(config.num_sink_latents), *range(end - kept, end)]
        expected = whole(dit, *(x[:, :, shown] for x in given))[:, :, -config.chunk_latents :]
        got = outputs[end // config.chunk_latents - 1]
        assert torch.allclose(got, expected, rtol=0, atol=ROUNDING), f"at latent {end}"


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_rolled_window_equals_its_slow_twin(config: ModelConfig) -> None:
    """Catches a wrong move inside the preallocated tensors and stale rotated keys."""
    dit = tiny_dit(config).double()
    given = latents(config, 3 * config.window_latents)
    fast = chunked(dit, *given, cache_of(config))
    slow = chunked(dit, *given, NaiveCache(config, dit.grid(given[0])))
    for number, (got, expected) in enumerate(zip(fast, slow, strict=True)):
        assert torch.allclose(got, expected, rtol=0, atol=ROUNDING), f"at chunk {number}"


def visible(cache: KVCache, chunk: int) -> list[int]:
    """Numbers of the chunks that chunk ``chunk`` sees, itself included, and commit it.

    Keys of zero give equal weights; values of a chunk are 1 in its own channel, 0 in others.
    """
    config, n = cache.config, cache.chunk_tokens
    value = torch.zeros(1, n, config.num_heads, config.head_dim, dtype=torch.float64)
    value[..., chunk] = 1.0
    zero = torch.zeros_like(value)
    cache.make_room()
    for layer in range(config.num_layers):
        out = cache(layer, zero, zero, value, None)
    cache.commit()
    return [int(i) for i in out[0, 0, 0].nonzero()]


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_sinks_stay_and_the_oldest_history_goes(config: ModelConfig) -> None:
    """Catches an evicted sink, and a window one chunk too long or too short: 0, then the last 3."""
    cache = cache_of(config)
    seen = [visible(cache, chunk) for chunk in range(20)]
    assert seen[:4] == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]
    assert seen[4:] == [[0, n - 2, n - 1, n] for n in range(4, 20)]
    cache.reset()
    assert cache.num_latents == 0
    assert visible(cache, 7) == [7]


def test_no_sinks_is_a_plain_rolling_window() -> None:
    """Catches a window that needs at least one sink."""
    cache = cache_of(replace(TINY, num_sink_latents=0))
    assert [visible(cache, chunk) for chunk in range(6)][-1] == [2, 3, 4, 5]


def test_rewriting_the_slot_leaves_history_alone() -> None:
    """Catches a rewrite that is appended: after 20 other writes the last one counts alone."""
    dit = tiny_dit().double()
    once, often = cache_of(TINY), cache_of(TINY)
    given = latents(TINY, 6)
    for cache in (once, often):
        chunked(dit, *given, cache)
        cache.make_room()
    shape = (1, once.chunk_tokens, TINY.num_heads, TINY.head_dim)
    drawn = torch.Generator().manual_seed(9)
    for _ in range(20):
        q, k, v = torch.randn(3, *shape, generator=drawn, dtype=torch.float64)
        rewritten = often(1, q, k, v, None)
    assert torch.equal(rewritten, once(1, q, k, v, None))
    assert often.num_latents == once.num_latents == TINY.window_latents - 1


def test_some_tokens_rewritten_equal_all_rewritten() -> None:
    """Catches kept tokens packed at the front of the slot, not at their own places."""
    part, full = cache_of(PAIRED), cache_of(PAIRED)
    shape = (1, part.chunk_tokens, PAIRED.num_heads, PAIRED.head_dim)
    drawn = torch.Generator().manual_seed(5)
    q, k, v, k2, v2 = torch.randn(5, *shape, generator=drawn, dtype=torch.float64)
    tokens = torch.tensor([3, 4, 30, 47])
    part(0, q, k, v, None)
    got = part(0, q[:, tokens], k2[:, tokens], v2[:, tokens], tokens)
    k[:, tokens], v[:, tokens] = k2[:, tokens], v2[:, tokens]
    expected = full(0, q, k, v, None)[:, tokens]
    assert torch.allclose(got, expected, rtol=0, atol=ROUNDING)


def test_more_than_a_thousand_latents_in_a_row() -> None:
    """Catches positions, memory or outputs that grow with uptime (a table of 1,024 ends here)."""
    config = replace(
        PAIRED,
        dim=12,
        num_heads=1,
        ffn_dim=12,
        num_layers=1,
        height=32,
        width=32,
        timesteps=(1000,),
    )
    dit = tiny_dit(config)
    text, schedule = tiny_text_kv(dit), FlowSchedule(config.timesteps, config.shift)
    source = draw_latents(config, 2, seed=0)
    cache = cache_of(config, torch.float32)
    num_bytes, noise = cache.num_bytes, torch.Generator().manual_seed(0)
    for _ in range(520):  # chunks of two latents
        x0 = denoise_chunk(dit, source, text, schedule, cache, None, noise)
    assert cache.num_latents == config.window_latents
    assert cache.num_bytes == num_bytes
    assert bool(x0.isfinite().all())
    assert (x0 - source).abs().max() < 10


def test_commit_without_room_is_our_own_mistake() -> None:
    """Catches a forgotten make_room, which would write past the window."""
    cache = cache_of(TINY)
    for chunk in range(TINY.window_latents):
        visible(cache, chunk)
    with pytest.raises(AssertionError, match="make_room was not called"):
        cache.commit()


def test_one_cache_per_sample_of_a_batch() -> None:
    """Catches a batch whose samples share keys; training rollouts use batches."""
    cache = KVCache(TINY, (4, 6), CPU, torch.float64, batch=2)
    shape = (2, cache.chunk_tokens, TINY.num_heads, TINY.head_dim)
    drawn = torch.Generator().manual_seed(2)
    q, k, v = torch.randn(3, *shape, generator=drawn, dtype=torch.float64)
    both = cache(0, q, k, v, None)
    for row in range(2):
        alone = cache_of(TINY)(0, q[row : row + 1], k[row : row + 1], v[row : row + 1], None)
        assert torch.allclose(both[row : row + 1], alone, rtol=0, atol=ROUNDING)
