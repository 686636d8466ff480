"""The mask cache: which tokens are recomputed, and that reuse changes nothing it should not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import CPU, PAIRED, TINY, NaiveCache, draw_latents, tiny_dit, tiny_text_kv

from liveedit_cam.model import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.generator import denoise_chunk
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.mask_cache import CacheTarget, MaskCache
from liveedit_cam.model.schedule import FlowSchedule

GRID = (TINY.height // TINY.token_px, TINY.width // TINY.token_px)
NUM_CHUNKS = 7
"""More than the window holds, so that it rolls."""


def run(
    dit: CausalDiT,
    mask: MaskCache | None,
    forced: torch.Tensor | None = None,
    cache: KVCache | NaiveCache | None = None,
) -> list[torch.Tensor]:
    """Denoise chunks in float64; ``forced`` overrides the mask of every chunk but the first."""
    config = dit.config
    cache = cache or KVCache(config, GRID, CPU, torch.float64)
    schedule = FlowSchedule(config.timesteps, config.shift)
    noise = torch.Generator().manual_seed(4)
    text = tiny_text_kv(dit)
    outputs = []
    for chunk in range(NUM_CHUNKS):
        source = draw_latents(config, config.chunk_latents, seed=chunk).double()
        if mask is not None and forced is not None and chunk:
            mask.edit_mask = forced
        outputs.append(denoise_chunk(dit, source, text, schedule, cache, mask, noise))
    return outputs


def difference(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("target", ["self_attention", "ffn"])
@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_all_tokens_kept_equals_no_mask_cache(config: ModelConfig, target: CacheTarget) -> None:
    """Catches a gather or scatter in the wrong order; the window rolls on the way.

    float64 with float32 rotation: gathered products may round differently, hence 1e-6.
    """
    dit = tiny_dit(config).double()
    every = torch.ones(config.chunk_latents * GRID[0] * GRID[1], dtype=torch.bool)
    assert difference(run(dit, MaskCache(config, target), every), run(dit, None)) < 1e-6


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_some_tokens_kept_in_a_rolled_window_equals_the_slow_twin(config: ModelConfig) -> None:
    """Catches a rewrite of kept tokens that rolls the window or turns them wrongly."""
    dit = tiny_dit(config).double()
    some = torch.arange(config.chunk_latents * GRID[0] * GRID[1]) % 3 == 1
    fast = run(dit, MaskCache(config), some)
    slow = run(dit, MaskCache(config), some, NaiveCache(config, GRID))
    assert difference(fast, slow) < 1e-6
    assert difference(fast, run(dit, None)) > 1e-3


@pytest.mark.parametrize("target", ["self_attention", "ffn"])
def test_no_token_kept_works(target: CacheTarget) -> None:
    """Catches a crash or NaN where the mask is empty, which the released code does not guard."""
    none = torch.zeros(GRID[0] * GRID[1], dtype=torch.bool)
    outputs = run(tiny_dit().double(), MaskCache(TINY, target), none)
    assert all(bool(x.isfinite().all()) for x in outputs)
    assert difference(outputs, run(tiny_dit().double(), None)) > 1e-3


def test_target_none_changes_nothing() -> None:
    """Catches a cache that acts although it is switched off."""
    dit = tiny_dit().double()
    mask = MaskCache(TINY, "none")
    none = torch.zeros(GRID[0] * GRID[1], dtype=torch.bool)
    assert difference(run(dit, mask, none), run(dit, None)) == 0.0
    mask.edit_mask = none
    assert mask.skip_ratio == 0.0


def test_only_middle_steps_reuse() -> None:
    """Catches a pruned first or last step: the first fills the store, the last is the result."""
    mask = MaskCache(TINY)
    mask.edit_mask = torch.arange(24) < 2
    recomputed = []
    for step in range(4):
        mask.begin_step(step, 4)
        tokens = mask.attention_tokens()
        recomputed.append(None if tokens is None else tokens.tolist())
    assert recomputed == [None, [0, 1], [0, 1], None]


def test_skipped_tokens_take_the_first_step_of_their_own_chunk() -> None:
    """Catches outputs of step 1 reused in step 2, or of another layer."""
    mask = MaskCache(TINY)
    mask.edit_mask = torch.tensor([False, True, False])
    first, fresh = torch.zeros(1, 3, 2), torch.ones(1, 1, 2)
    mask.begin_step(0, 4)
    mask.self_attention(0, None, first)
    mask.self_attention(1, None, first + 5)
    for step in (1, 2):
        mask.begin_step(step, 4)
        merged = mask.self_attention(0, mask.attention_tokens(), fresh * step)
        assert merged[0, :, 0].tolist() == [0, step, 0]
        assert mask.self_attention(1, mask.attention_tokens(), fresh)[0, :, 0].tolist() == [5, 1, 5]
    mask.begin_step(3, 4)
    whole = torch.full((1, 3, 2), 9.0)
    assert mask.self_attention(0, None, whole) is whole


def test_targets_do_not_mix() -> None:
    """Catches the ablation (FFN cached) that also prunes self-attention, and the reverse."""
    for target in ("self_attention", "ffn"):
        mask = MaskCache(TINY, target)
        mask.edit_mask = torch.arange(24) < 2
        mask.begin_step(1, 4)
        assert (mask.attention_tokens() is None) == (target == "ffn")
        assert (mask.ffn_tokens() is None) == (target == "self_attention")
        out = torch.ones(1, 24, 2)
        other = mask.ffn if target == "self_attention" else mask.self_attention
        assert other(0, None, out) is out


def test_no_edit_skips_everything_and_a_global_edit_nothing() -> None:
    """Catches a fixed share (the released code always prunes 70 %)."""
    mask = MaskCache(TINY)
    source = draw_latents(TINY, 1, seed=0)
    assert mask.skip_ratio == 0.0
    mask.observe(source, source)
    assert mask.skip_ratio == 1.0
    mask.observe(source + 1, source)
    assert mask.skip_ratio == 0.0
    assert mask.edit_mask is None


def test_threshold_is_the_mean_square_over_channels() -> None:
    """Catches a sum over channels or a root: a change of 0.1 is 0.01 squared, below 0.02."""
    mask = MaskCache(replace(TINY, mask_threshold=0.02))
    source = draw_latents(TINY, 1, seed=0)
    mask.observe(source + 0.1, source)
    assert mask.skip_ratio == 1.0
    mask.observe(source + 0.15, source)
    assert mask.skip_ratio == 0.0


def mask_of_one_cell(dilation: int, row: int, column: int) -> torch.Tensor:
    """The mask (T, h, w) after a change of one cell in the second latent of a chunk."""
    mask = MaskCache(replace(PAIRED, mask_dilation=dilation))
    source = draw_latents(PAIRED, 2, seed=0)
    edited = source.clone()
    edited[:, :, 1, row, column] += 1
    mask.observe(edited, source)
    assert mask.edit_mask is not None
    return mask.edit_mask.view(2, *GRID)


@pytest.mark.parametrize("dilation", [0, 1, 2])
def test_mask_grows_by_its_dilation_in_every_latent(dilation: int) -> None:
    """Catches a mask without room for motion, and one that is kept for its own latent only."""
    got = mask_of_one_cell(dilation, row=5, column=4)  # token (2, 2)
    rows, columns = torch.arange(GRID[0]), torch.arange(GRID[1])
    near = ((rows - 2).abs() <= dilation)[:, None] & ((columns - 2).abs() <= dilation)[None]
    assert torch.equal(got, near.expand(2, -1, -1))


def test_one_changed_cell_of_a_token_is_enough() -> None:
    """Catches average pooling, which lets thin changes vanish; all four cells of token (0, 5)."""
    for row, column in ((0, 10), (0, 11), (1, 10), (1, 11)):
        got = mask_of_one_cell(0, row, column)
        assert got[0].nonzero().tolist() == [[0, 5]]


def test_reset_recomputes_everything_again() -> None:
    """Catches a mask that survives a cut or a new instruction."""
    mask = MaskCache(TINY)
    source = draw_latents(TINY, 1, seed=0)
    mask.observe(source, source)
    mask.reset()
    assert mask.skip_ratio == 0.0
    mask.begin_step(1, 4)
    assert mask.attention_tokens() is None
