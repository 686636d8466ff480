"""What makes it fast: each fast twin against the plain code, on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from tiny_model import CPU, PAIRED, TINY, draw_latents, tiny_dit, tiny_text_kv
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.model.attention import attend, rotate, rotation_table
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.speed.fast import Speed, best_speed, compiled_parts, prepare, rotate_pairs
from liveedit_cam.model.speed.fp8 import (
    LARGEST_FP8,
    Fp8Linear,
    decibels,
    float_product,
    sample_pass,
    scaled_product,
    to_8bit,
    use_fp8,
)
from liveedit_cam.model.speed.kernels import (
    attention_candidates,
    attention_seconds,
    fastest,
    imported,
)

GRID = (PAIRED.height // PAIRED.token_px, PAIRED.width // PAIRED.token_px)
CHUNK_TOKENS = PAIRED.chunk_latents * GRID[0] * GRID[1]


def one_pass(dit: CausalDiT) -> Tensor:
    """Output of one pass of a new stream."""
    noisy, source = draw_latents(PAIRED, 2, 1), draw_latents(PAIRED, 2, 2)
    window = KVCache(PAIRED, GRID, CPU, torch.float32)
    return dit(noisy, source, torch.full((1, 2), 750.0), tiny_text_kv(dit), window)


def test_the_processor_takes_the_plain_path() -> None:
    """Catches options that change nano's numbers on the CPU, or measure where there is nothing."""
    assert best_speed(CPU) == Speed()
    assert list(attention_candidates(CPU)) == ["plain"]
    cuda = best_speed(torch.device("cuda"))
    assert cuda.replays
    assert cuda.num_buckets > 1
    assert not cuda.uses_fp8


def test_recording_needs_few_counts_of_tokens() -> None:
    """Catches one recording for each count of tokens there may be: thousands."""
    with pytest.raises(UsageError, match="0 buckets, expected at least 1"):
        Speed(replays=True)


@pytest.mark.parametrize("head_dim", [24, 128])
def test_rotation_in_real_numbers(head_dim: int) -> None:
    """Catches a turn the other way, pairs taken as halves, and angles in the wrong type.

    One rounding of float32 more or less: 2^-23 of numbers up to 5.
    """
    torch.manual_seed(0)
    x = torch.randn(2, 48, 3, head_dim)
    rotation = rotation_table(range(2), GRID, head_dim)
    turn = torch.view_as_real(rotation)
    assert float((rotate_pairs(x, turn) - rotate(x, rotation)).abs().max()) < 2e-6
    assert rotate_pairs(x.bfloat16(), turn).dtype == torch.bfloat16


def test_compiled_parts_are_whole_and_shared_by_the_blocks() -> None:
    """Catches a part that breaks into several graphs, or is compiled anew for every block.

    The stand-in for the compiler runs what was captured as it is, so the numbers must be equal.
    """
    captured: list[object] = []

    def keep(graph: torch.fx.GraphModule, inputs: object) -> Callable[..., object]:
        captured.append(graph)
        return graph.forward

    plain, fast = tiny_dit(PAIRED), tiny_dit(PAIRED)
    parts = compiled_parts(lambda f: torch.compile(f, fullgraph=True, backend=keep))
    for block in fast.blocks:
        block.parts = parts
    with torch.inference_mode():
        assert torch.equal(one_pass(fast), one_pass(plain))
    assert len(captured) == 5


def test_the_fastest_usable_kernel_is_chosen() -> None:
    """Catches the slowest, the first, or a kernel that this machine lacks."""

    def seconds(candidate: float | None) -> float:
        if candidate is None:
            raise RuntimeError("no such kernel")
        return candidate

    assert fastest({"missing": None, "slow": 2.0, "fast": 1.0}, seconds) == "fast"
    with pytest.raises(UsageError) as caught:
        fastest({"cudnn": None, "flash": None}, seconds)
    assert "cudnn: no such kernel; flash: no such kernel" in str(caught.value)


def test_attention_is_measured_at_the_models_sizes() -> None:
    """Catches a measurement of another shape: it would choose for that one."""
    shapes: list[tuple[int, ...]] = []

    def candidate(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        shapes.extend((tuple(q.shape), tuple(k.shape), tuple(v.shape)))
        return attend(q, k, v)

    assert 0 < attention_seconds(TINY, CPU, torch.float32, num_tries=1)(candidate) < math.inf
    assert shapes == 2 * [(1, 24, 2, 24), (1, 96, 2, 24), (1, 96, 2, 24)]  # compared, timed


def test_a_wrong_kernel_is_never_chosen() -> None:
    """Catches a build that returns NaN or garbage at once and so wins the measurement."""
    measure = attention_seconds(TINY, CPU, torch.float32, num_tries=1)
    candidates = {
        "garbage": lambda q, k, v: q,
        "nan": lambda q, k, v: q * torch.nan,
        "plain": attend,
    }
    assert fastest(candidates, measure) == "plain"


def test_a_module_built_for_another_torch_costs_a_kernel_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a load that dies of an import: OSError (undefined symbol), a missing function."""
    (tmp_path / "broken_attn.py").write_text("raise OSError('undefined symbol: _ZN3c10')")
    (tmp_path / "empty_attn.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for module, told in (("broken_attn", "undefined symbol"), ("empty_attn", "no attribute")):
        assert imported(module, "flash_attn_func") is None
        assert told in caplog.text
    assert imported("math", "sqrt") is math.sqrt


def test_8_bit_numbers_keep_three_bits() -> None:
    """Catches a scale that overflows, or one of another tensor; zeros must stay zeros.

    Half a step of three bits of mantissa is 2^-4 of a number; below 2^-6 / 448 of the largest the
    format is denormal, with steps of 2^-9 / 448.
    """
    torch.manual_seed(0)
    x = torch.randn(64, 32) * 300
    eight, scale = to_8bit(x)
    assert eight.dtype == torch.float8_e4m3fn
    error = (eight.float() * scale - x).abs()
    denormal = x.abs().amax(1, keepdim=True) / LARGEST_FP8 * 2**-10
    allowed = torch.maximum(x.abs() * 2**-4, denormal)
    assert bool((error <= allowed * 1.001).all())
    eight, scale = to_8bit(torch.zeros(4, 4))
    assert float((eight.float() * scale).abs().max()) == 0.0


def test_an_8_bit_layer_is_near_its_linear() -> None:
    """Catches scales lost or used twice, a bias scaled, and shapes mixed up.

    Each product errs by 2^-4 at most in either factor, random signs; over 256 terms about 4 % of
    the result's spread is left.
    """
    torch.manual_seed(0)
    linear = nn.Linear(256, 48).requires_grad_(False)
    x = 3 * torch.randn(2, 5, 256)
    layer = Fp8Linear(linear, float_product)
    got, expected = layer(x), linear(x)
    assert got.shape == expected.shape
    assert 0 < float((got - expected).std() / expected.std()) < 0.06
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    assert torch.equal(layer(torch.zeros_like(x)), linear(torch.zeros_like(x)))


def test_the_twin_multiplies_as_torch_does() -> None:
    """Catches a twin that proves nothing: torch's own 8-bit product must agree.

    It rounds its result to bfloat16, 2^-8, where the twin is asked for the same.
    """
    torch.manual_seed(0)
    x, scale_x = to_8bit(torch.randn(16, 64))
    weight, scale_w = to_8bit(torch.randn(32, 64))
    numbers = (x, weight, scale_x, scale_w, torch.randn(32).bfloat16(), torch.bfloat16)
    expected = float_product(*numbers)
    assert torch.allclose(scaled_product(*numbers), expected, rtol=2**-7, atol=2**-6)


def test_8_bit_products_in_the_whole_network() -> None:
    """Catches a product left out, or attention rounded too, which gains nothing; error bounded.

    Two layers of random weights: the change of the output is a few per cent of its spread.
    """
    exact, rounded = tiny_dit(PAIRED), tiny_dit(PAIRED)
    use_fp8(rounded, float_product)
    use_fp8(rounded, float_product)
    replaced = [name for name, module in rounded.named_modules() if isinstance(module, Fp8Linear)]
    assert len(replaced) == 2 * PAIRED.num_layers
    assert all(".ffn." in name for name in replaced)
    texts = [list(chain(*tiny_text_kv(dit))) for dit in (exact, rounded)]
    assert all(map(torch.equal, *texts))
    outs = [one_pass(dit) for dit in (exact, rounded)]
    assert 0 < float((outs[1] - outs[0]).std() / outs[0].std()) < 0.1


def test_8_bit_weights_survive_a_change_of_type() -> None:
    """Catches a second stream over the same network: its ``to(bfloat16)`` made them 16 bit."""
    torch.manual_seed(0)
    layer = Fp8Linear(nn.Linear(64, 32).requires_grad_(False), float_product)
    x = torch.randn(3, 64)
    before = layer(x)
    nn.Sequential(layer).to(torch.bfloat16)
    assert layer.bias.dtype == torch.bfloat16
    assert torch.allclose(layer(x), before, atol=2**-8)


def test_what_8_bits_cost_is_measured() -> None:
    """Catches a measure of other numbers in the two passes, and decibels of amplitudes."""
    dit = tiny_dit(PAIRED)
    exact = sample_pass(dit)
    assert torch.equal(sample_pass(dit), exact)
    use_fp8(dit, float_product)
    assert 15 < decibels(exact, sample_pass(dit)) < 50
    assert decibels(torch.ones(4), torch.full((4,), 1.1)) == pytest.approx(20.0, abs=1e-3)
    assert decibels(torch.zeros(4), torch.zeros(4)) == math.inf


def test_8_bit_products_without_the_units_are_refused() -> None:
    """Catches a silent fall-back to the slow path where 8 bits were asked for."""
    with pytest.raises(UsageError, match="8-bit products on cpu") as caught:
        prepare(tiny_dit(PAIRED), Speed(uses_fp8=True))
    assert "Leave fp8 out" in str(caught.value)


def test_8_bit_products_that_torch_refuses_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a traceback on a GPU whose torch has no product with a scale a row."""

    def refused(*_given: object, **_named: object) -> Tensor:
        raise RuntimeError("Invalid scaling configuration\nand more")

    monkeypatch.setattr("liveedit_cam.model.speed.fast.has_fp8", lambda _device: True)
    monkeypatch.setattr("torch._scaled_mm", refused)
    with pytest.raises(UsageError, match=r"on cpu: Invalid scaling configuration\. Leave fp8 out"):
        prepare(tiny_dit(PAIRED), Speed(uses_fp8=True))


def observed(mask: MaskCache, tokens: Sequence[int]) -> MaskCache:
    """``mask`` after a chunk whose edit changed exactly these tokens of both its latents."""
    source = draw_latents(PAIRED, 2, seed=0)
    changed = torch.zeros(GRID[0] * GRID[1])
    changed[list(tokens)] = 1.0
    cells = changed.view(GRID).repeat_interleave(2, 0).repeat_interleave(2, 1)
    mask.observe(source + cells, source)
    return mask


@pytest.mark.parametrize(
    ("num_changed", "recomputed"),
    [(0, 12), (1, 12), (6, 12), (7, 24), (18, 36), (19, None), (24, None)],
)
def test_counts_are_rounded_up_to_a_bucket(num_changed: int, recomputed: int | None) -> None:
    """Catches tokens of the mask that are left out, none at all, and a bucket that is everything.

    24 tokens a latent, the same in both; four buckets of 12.
    """
    config = replace(PAIRED, mask_dilation=0)
    mask = observed(MaskCache(config, num_buckets=4), range(num_changed))
    exact = observed(MaskCache(config), range(num_changed))
    mask.plan()
    mask.begin_step(1, 4)
    exact.begin_step(1, 4)
    got, wanted = mask.tokens("self_attention"), exact.tokens("self_attention")
    assert mask.kind == (False, recomputed)
    if recomputed is None:
        assert got is None
        assert mask.skip_ratio == 0.0
        return
    assert got is not None
    assert wanted is not None
    assert len(got) == len(set(got.tolist())) == recomputed
    assert set(wanted.tolist()) <= set(got.tolist())
    assert mask.skip_ratio == pytest.approx(1 - recomputed / CHUNK_TOKENS)


def test_the_exact_count_takes_the_tokens_in_their_order() -> None:
    """Catches a change of the plain path: tokens sorted, none on top."""
    mask = MaskCache(PAIRED)
    mask.edit_mask = torch.arange(CHUNK_TOKENS) % 5 == 2
    mask.begin_step(1, 4)
    tokens = mask.tokens("self_attention")
    assert tokens is not None
    assert tokens.tolist() == mask.edit_mask.nonzero().flatten().tolist()


def test_a_cut_is_seen_with_the_plan() -> None:
    """Catches a cut found only by a second look at the device, or a slow change taken for one."""
    for distance, is_cut in ((0.34, False), (0.36, True)):
        mask = observed(MaskCache(PAIRED, num_buckets=4), [0])
        mask.plan(torch.tensor(distance))
        assert (mask.edit_mask is None) == is_cut
