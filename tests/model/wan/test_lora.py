"""LoRA files: every spelling, merged as applied, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import CPU, PAIRED, draw_latents, tiny_dit, tiny_text_kv
from torch import Tensor

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.wan.lora import (
    LoraLinear,
    LoraPair,
    apply_lora,
    merge_lora,
    new_lora,
    parse_lora,
    read_lora,
    save_lora,
)

RANK = 4
GRID = (PAIRED.height // PAIRED.token_px, PAIRED.width // PAIRED.token_px)


def one_pass(dit: CausalDiT) -> Tensor:
    """Output of one pass of a new stream; the text goes through its layers, too."""
    noisy, source = draw_latents(PAIRED, 2, 1), draw_latents(PAIRED, 2, 2)
    window = KVCache(PAIRED, GRID, CPU, torch.float32)
    return dit(noisy, source, torch.full((1, 2), 750.0), tiny_text_kv(dit), window)


def drawn_pairs() -> dict[str, LoraPair]:
    """Rank 4, both matrices random, alpha half the rank."""
    drawn = torch.Generator().manual_seed(3)
    pairs = new_lora(tiny_dit(PAIRED), RANK, drawn)
    return {
        name: LoraPair(pair.down, torch.randn(pair.up.shape, generator=drawn), RANK / 2)
        for name, pair in pairs.items()
    }


def test_merged_equals_applied() -> None:
    """Catches a scale without alpha, factors in the wrong order, a layer left out. Bar: 1e-5."""
    merged, applied, plain = (tiny_dit(PAIRED) for _ in range(3))
    pairs = drawn_pairs()
    assert len(pairs) == 10 * PAIRED.num_layers
    merge_lora(merged, pairs, 0.7)
    apply_lora(applied, pairs, 0.7)
    with torch.no_grad():
        one, other, none = (one_pass(dit) for dit in (merged, applied, plain))
    assert float((one - other).abs().max()) < 1e-5
    assert float((one - none).abs().max()) > 1e-3


def as_kohya(name: str) -> str:
    return f"lora_unet_{name.replace('.', '_')}"


def as_diffusers(name: str) -> str:
    for wan, theirs in (
        ("self_attn.o", "attn1.to_out.0"),
        ("cross_attn.o", "attn2.to_out.0"),
        ("self_attn.", "attn1.to_"),
        ("cross_attn.", "attn2.to_"),
        ("ffn.0", "ffn.net.0.proj"),
        ("ffn.2", "ffn.net.2"),
    ):
        name = name.replace(wan, theirs)
    return f"transformer.{name}"


@pytest.mark.parametrize(
    ("spell", "down", "up"),
    [
        (lambda name: f"diffusion_model.{name}", "lora_A.weight", "lora_B.weight"),
        (lambda name: name, "lora_A.default.weight", "lora_B.default.weight"),
        (as_kohya, "lora_down.weight", "lora_up.weight"),
        (as_diffusers, "lora_A.weight", "lora_B.weight"),
    ],
    ids=["comfyui", "diffsynth", "kohya", "diffusers"],
)
def test_every_spelling_is_the_same_lora(
    tmp_path: Path, spell: Callable[[str], str], down: str, up: str
) -> None:
    """Catches a name that no rule knows, and an alpha that is dropped."""
    pairs, tensors = drawn_pairs(), dict[str, Tensor]()
    for name, pair in pairs.items():
        tensors[f"{spell(name)}.{down}"] = pair.down
        tensors[f"{spell(name)}.{up}"] = pair.up
        tensors[f"{spell(name)}.alpha"] = torch.tensor(pair.alpha)
    save_file(tensors, tmp_path / "edit.safetensors")
    read = read_lora(tmp_path / "edit.safetensors", tiny_dit(PAIRED))
    assert read.keys() == pairs.keys()
    for name, pair in pairs.items():
        assert torch.equal(read[name].difference(), pair.difference())


def test_what_is_trained_is_read_again(tmp_path: Path) -> None:
    """Catches a saved LoRA that another program, or we, cannot load; and frozen weights in it."""
    dit = tiny_dit(PAIRED)
    apply_lora(dit, drawn_pairs())
    learning = [name for name, p in dit.named_parameters() if p.requires_grad]
    assert all(name.endswith((".down", ".up")) for name in learning)
    save_lora(dit, tmp_path / "mine.safetensors")
    read = read_lora(tmp_path / "mine.safetensors", tiny_dit(PAIRED))
    assert {name for name, m in dit.named_modules() if isinstance(m, LoraLinear)} == read.keys()
    name = "blocks.1.ffn.0"
    assert torch.equal(read[name].difference(), drawn_pairs()[name].difference())


def test_a_new_lora_changes_nothing() -> None:
    """Catches a start from noise: training begins at the model itself."""
    plain, dit = tiny_dit(PAIRED), tiny_dit(PAIRED)
    apply_lora(dit, new_lora(dit, RANK, torch.Generator().manual_seed(0)))
    with torch.no_grad():
        assert torch.equal(one_pass(plain), one_pass(dit))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"blocks.99.self_attn.q.lora_A.weight": (4, 48)}, "belong to no layer of this model"),
        ({"blocks.0.self_attn.q.lora_A.weight": (4, 64)}, "expected (48, rank) by (rank, 48)"),
        ({"blocks.0.self_attn.q.lora_B.weight": None}, "blocks.0.self_attn.q has no up matrix"),
        ({"blocks.0.self_attn.q.diff_b": (48,)}, "belong to no layer of this model"),
    ],
)
def test_a_wrong_lora_is_refused(
    tmp_path: Path, change: dict[str, tuple[int, ...] | None], told: str
) -> None:
    """Catches a LoRA of another model, half a file, and parts that would be left out silently."""
    shapes: dict[str, tuple[int, ...] | None] = {
        "blocks.0.self_attn.q.lora_A.weight": (4, 48),
        "blocks.0.self_attn.q.lora_B.weight": (48, 4),
        **change,
    }
    tensors = {name: torch.zeros(shape) for name, shape in shapes.items() if shape is not None}
    save_file(tensors, tmp_path / "wrong.safetensors")
    with pytest.raises(WeightsError) as caught:
        read_lora(tmp_path / "wrong.safetensors", tiny_dit(PAIRED))
    assert told in str(caught.value)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((tmp_path / "wrong.safetensors").read_bytes()[:40])
    with pytest.raises(WeightsError, match="no whole safetensors file"):
        read_lora(cut, tiny_dit(PAIRED))


def test_the_strength_stands_behind_the_file() -> None:
    """Catches a drive letter taken for a strength, and a strength that is no number."""
    assert parse_lora("edit.safetensors:0.8") == (Path("edit.safetensors"), 0.8)
    assert parse_lora("C:\\edit.safetensors") == (Path("C:\\edit.safetensors"), 1.0)
    with pytest.raises(UsageError, match="got a LoRA strength of '9'"):
        parse_lora("edit.safetensors:9")
