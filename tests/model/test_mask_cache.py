"""The mask cache: which tokens are recomputed, and that reuse changes nothing it should not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import get_args

import pytest
import torch
from tiny_model import CPU, PAIRED, TINY, NaiveCache, draw_latents, tiny_dit, tiny_text_kv

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.model import NANO, WAN_1_3B, ModelConfig
from liveedit_cam.model.attention import SelfAttend
from liveedit_cam.model.config import CacheTarget, ReusePart, paper_mode, with_window
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import denoise_chunk
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.reuse import Reuse
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


@pytest.mark.parametrize("target", ["self_attention", "ffn", "network"])
@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_all_tokens_kept_equals_no_mask_cache(config: ModelConfig, target: CacheTarget) -> None:
    """Catches a gather or scatter in the wrong order; the window rolls on the way.

    float64 with float32 rotation: gathered products may round differently, hence 1e-6.
    """
    dit = tiny_dit(config).double()
    every = torch.ones(config.chunk_latents * GRID[0] * GRID[1], dtype=torch.bool)
    mask = MaskCache(replace(config, mask_target=target))
    assert difference(run(dit, mask, every), run(dit, None)) < 1e-6


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_some_tokens_kept_in_a_rolled_window_equals_the_slow_twin(config: ModelConfig) -> None:
    """Catches a rewrite of kept tokens that rolls the window or turns them wrongly."""
    dit = tiny_dit(config).double()
    some = torch.arange(config.chunk_latents * GRID[0] * GRID[1]) % 3 == 1
    fast = run(dit, MaskCache(config), some)
    slow = run(dit, MaskCache(config), some, NaiveCache(config, GRID))
    assert difference(fast, slow) < 1e-6
    assert difference(fast, run(dit, None)) > 1e-3


@pytest.mark.parametrize("target", ["self_attention", "ffn", "network"])
def test_no_token_kept_works(target: CacheTarget) -> None:
    """Catches a crash or NaN where the mask is empty, which the released code does not guard."""
    none = torch.zeros(GRID[0] * GRID[1], dtype=torch.bool)
    outputs = run(tiny_dit().double(), MaskCache(replace(TINY, mask_target=target)), none)
    assert all(bool(x.isfinite().all()) for x in outputs)
    assert difference(outputs, run(tiny_dit().double(), None)) > 1e-3


def test_target_none_changes_nothing() -> None:
    """Catches a cache that acts although it is switched off."""
    dit = tiny_dit().double()
    mask = MaskCache(replace(TINY, mask_target="none"))
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
        tokens = mask.tokens("self_attention")
        recomputed.append(None if tokens is None else tokens.tolist())
    assert recomputed == [None, [0, 1], [0, 1], None]


def test_skipped_tokens_take_the_first_step_of_their_own_chunk() -> None:
    """Catches outputs of step 1 reused in step 2, or of another layer."""
    mask = MaskCache(TINY)
    mask.edit_mask = torch.tensor([False, True, False])
    first, fresh = torch.zeros(1, 3, 2), torch.ones(1, 1, 2)
    mask.begin_step(0, 4)
    mask.merge("self_attention", 0, None, first)
    mask.merge("self_attention", 1, None, first + 5)
    for step in (1, 2):
        mask.begin_step(step, 4)
        merged = mask.merge("self_attention", 0, mask.tokens("self_attention"), fresh * step)
        assert merged[0, :, 0].tolist() == [0, step, 0]
        other = mask.merge("self_attention", 1, mask.tokens("self_attention"), fresh)
        assert other[0, :, 0].tolist() == [5, 1, 5]
    mask.begin_step(3, 4)
    whole = torch.full((1, 3, 2), 9.0)
    assert mask.merge("self_attention", 0, None, whole) is whole


@pytest.mark.parametrize("target", ["none", "self_attention", "ffn", "network"])
def test_targets_do_not_mix(target: CacheTarget) -> None:
    """Catches the ablation (FFN cached) that also prunes self-attention, and the reverse."""
    mask = MaskCache(replace(TINY, mask_target=target))
    mask.edit_mask = torch.arange(24) < 2
    stored = {"self_attention": 5.0, "ffn": 7.0, "network": 9.0}
    fresh = torch.ones(1, 24, 2)
    mask.begin_step(0, 4)
    for part in get_args(ReusePart):
        mask.merge(part, 0, None, stored[part] * fresh)
    mask.begin_step(1, 4)
    for part in get_args(ReusePart):
        tokens = mask.tokens(part)
        if part != target:
            assert tokens is None
            assert mask.merge(part, 0, None, fresh) is fresh
            continue
        assert tokens is not None
        assert tokens.tolist() == [0, 1]
        merged = mask.merge(part, 0, tokens, fresh[:, tokens])
        assert merged[0, :, 0].tolist() == [1.0, 1.0] + 22 * [stored[part]]


class WholePasses:
    """The exact twin of target "network": every pass whole, what is reused put in afterwards."""

    def __init__(self, dit: CausalDiT, mask: torch.Tensor) -> None:
        """``mask`` bool (N,), True = recompute."""
        self.config = dit.config
        self.write_context = dit.write_context
        self._dit = dit
        self._mask = mask.view(1, -1, 1, 1)
        self._step = 0
        self._keys: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._first = torch.empty(0)

    def __call__(
        self,
        noisy: torch.Tensor,
        source: torch.Tensor,
        timestep: torch.Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> torch.Tensor:
        """As CausalDiT, for chunks of four steps whose first writes what is reused."""
        step, self._step = self._step, (self._step + 1) % 4

        def attend(
            layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, _: object
        ) -> torch.Tensor:
            if step == 0:
                self._keys[layer] = (k, v)
            elif step < 3:
                first_k, first_v = self._keys[layer]
                k, v = (torch.where(self._mask, a, b) for a, b in ((k, first_k), (v, first_v)))
            return attend_self(layer, q, k, v, None)

        out = self._dit(noisy, source, timestep, text, attend)
        if step == 0:
            self._first = out
        return self._merged(out) if 0 < step < 3 else out

    def _merged(self, out: torch.Tensor) -> torch.Tensor:
        patch = self.config.patch
        cells = self._mask.view(1, 1, self.config.chunk_latents, *GRID)
        for axis in (3, 4):
            cells = cells.repeat_interleave(patch, dim=axis)
        return torch.where(cells, out, self._first)


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_a_network_that_leaves_tokens_out_equals_whole_passes(config: ModelConfig) -> None:
    """Catches tokens that take another latent's timestep, place or keys, and a wrong scatter.

    The mask differs from latent to latent, as buckets may make it.
    """
    dit = tiny_dit(config).double()
    some = torch.arange(config.chunk_latents * GRID[0] * GRID[1]) % 5 == 1
    fast = run(dit, MaskCache(replace(config, mask_target="network")), some)
    assert difference(fast, run(dit, None)) > 1e-3
    schedule, text = FlowSchedule(config.timesteps, config.shift), tiny_text_kv(dit)
    cache, noise = KVCache(config, GRID, CPU, torch.float64), torch.Generator().manual_seed(4)
    twin = WholePasses(dit, torch.ones_like(some))
    for chunk, got in enumerate(fast):
        source = draw_latents(config, config.chunk_latents, seed=chunk).double()
        wanted = denoise_chunk(twin, source, text, schedule, cache, None, noise)
        assert float((got - wanted).abs().max()) < 1e-6, chunk
        twin = WholePasses(dit, some)


def test_a_model_of_the_flow_cannot_reuse_the_network() -> None:
    """Catches the flow of one step's noise taken for another's."""
    with pytest.raises(WeightsError, match="got mask_target 'network' for a model that predicts"):
        replace(TINY, prediction="flow", mask_target="network")


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
    assert mask.tokens("self_attention") is None


SHARED = replace(TINY, mask_share=0.3, mask_alignment=True)
"""The paper's rule: a fixed share of each latent's tokens, and means aligned."""


def test_a_fixed_share_takes_the_most_changed_tokens_of_each_latent() -> None:
    """Catches a share of the whole chunk, ties that take more, and a mask of the other latent."""
    config = replace(PAIRED, mask_share=0.25)
    mask = MaskCache(config)
    source = draw_latents(PAIRED, 2, seed=0)
    edited = source.clone()
    edited[:, :, 0, :2] += 1  # the first row of tokens, in latent 0
    edited[:, :, 1, -2:] += 0.01  # and the last one, in latent 1: little, but the most there
    mask.observe(edited, source)
    assert mask.edit_mask is not None
    chosen = mask.edit_mask.view(2, *GRID)
    assert chosen.sum(dim=(1, 2)).tolist() == [6, 6]  # a quarter of 24
    assert bool(chosen[0, 0].all())
    assert bool(chosen[1, -1].all())
    mask.observe(source, source)  # all alike: still exactly so many
    assert int(mask.edit_mask.sum()) == 12
    assert mask.skip_ratio == 0.75


@pytest.mark.parametrize("num_buckets", [0, 4])
def test_a_fixed_share_needs_one_recording(num_buckets: int) -> None:
    """Catches a share rounded up to a bucket: three eighths instead of 0.3."""
    mask = MaskCache(SHARED, num_buckets)
    source = draw_latents(TINY, 1, seed=0)
    mask.observe(source + 0.1, source)
    mask.begin_step(1, 4)
    tokens = mask.tokens("self_attention")
    assert tokens is not None
    assert mask.counts(24) == [len(tokens)] == [7]
    assert mask.recomputed is not None
    assert int(mask.recomputed.sum()) == 7


def test_aligned_outputs_have_the_mean_of_those_they_replace() -> None:
    """Catches a mean over channels, or of all stored tokens instead of the replaced ones."""
    torch.manual_seed(0)
    mask = MaskCache(SHARED)
    mask.edit_mask = torch.arange(24) < 7
    first, fresh = torch.randn(1, 24, 5), 3 + 2 * torch.randn(1, 7, 5)
    mask.begin_step(0, 4)
    mask.merge("self_attention", 0, None, first)
    mask.begin_step(1, 4)
    merged = mask.merge("self_attention", 0, mask.tokens("self_attention"), fresh)
    assert torch.equal(merged[:, 7:], first[:, 7:])
    assert torch.allclose(merged[:, :7].mean(1), first[:, :7].mean(1), atol=1e-6)
    centred = fresh - fresh.mean(1, keepdim=True)
    assert torch.allclose(merged[:, :7] - merged[:, :7].mean(1, keepdim=True), centred, atol=1e-6)


def test_the_released_model_runs_the_papers_rule() -> None:
    """Catches a default of ours where the paper's is meant, and a paper mode of another window."""
    assert (WAN_1_3B.mask_share, WAN_1_3B.mask_alignment) == (0.3, True)
    assert (NANO.mask_share, NANO.mask_alignment) == (None, False)
    paper = paper_mode(WAN_1_3B)
    assert (paper.window_latents, paper.num_sink_latents, paper.squeezes) == (21, 0, True)
    assert paper.size.of(640, 480) == paper.size.of(1080, 1920) == (832, 480)
    with pytest.raises(UsageError, match="got paper mode for nano"):
        paper_mode(NANO)


@pytest.mark.parametrize("window", [6, 9, 12, 21])
def test_windows_of_the_setting_fit_the_released_model(window: int) -> None:
    """Catches a window the setting offers and the model refuses."""
    assert with_window(WAN_1_3B, window).window_latents == window


@pytest.mark.parametrize("window", [3, 7])
def test_a_window_without_room_or_of_part_chunks_is_refused(window: int) -> None:
    """Catches one that fails later, in the middle of a stream."""
    with pytest.raises(UsageError, match=f"got a window of {window} latents"):
        with_window(WAN_1_3B, window)
