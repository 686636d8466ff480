"""Released weights in every form they may have: the same names, shapes and values come out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_model import TINY, tiny_dit

from liveedit_cam.errors import WeightsError
from liveedit_cam.model.config import WAN_1_3B, CodecConfig, ModelConfig
from liveedit_cam.model.wan.checkpoint import (
    convert,
    expected_tensors,
    load_checkpoint,
    wan_names,
)

WAN = replace(TINY, name="tiny-wan", codec=CodecConfig(16, kind="wan"), num_layers=11)
"""32 input channels as the released model; eleven layers, so that layer 10 is not taken for 1."""

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Wan-native weights; nobody changes them."""
    return tiny_dit(WAN).state_dict()


def diffusers_model(config: ModelConfig) -> WanTransformer3DModel:
    torch.manual_seed(3)
    return WanTransformer3DModel(
        num_attention_heads=config.num_heads,
        attention_head_dim=config.head_dim,
        in_channels=2 * config.latent_channels,
        out_channels=config.latent_channels,
        num_layers=config.num_layers,
        ffn_dim=config.ffn_dim,
        text_dim=config.text.width,
        freq_dim=config.freq_dim,
    )


def same(got: object, expected: State) -> bool:
    assert isinstance(got, dict)
    return got.keys() == expected.keys() and all(
        torch.equal(got[name], tensor) for name, tensor in expected.items()
    )


def refusal(act: Callable[[], object]) -> str:
    with pytest.raises(WeightsError) as caught:
        act()
    return str(caught.value)


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{name}": tensor for name, tensor in state.items()}


def wrapped_blocks(state: State) -> State:
    """Names as FSDP, checkpointing and torch.compile of single blocks make them."""
    inner = "_fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod."
    return {
        name.replace(f"blocks.{name.split('.')[1]}.", f"blocks.{name.split('.')[1]}.{inner}")
        if name.startswith("blocks.")
        else name: tensor
        for name, tensor in state.items()
    }


WRAPPED: dict[str, Callable[[State], object]] = {
    "raw": lambda s: s,
    "model.": lambda s: prefixed(s, "model."),
    "generator": lambda s: {"generator": prefixed(s, "model."), "step": 2000},
    "generator_ema alone": lambda s: {"generator_ema": s},
    "model": lambda s: {"model": s, "optimizer": {"lr": 1e-5}},
    "state_dict": lambda s: {"state_dict": prefixed(s, "module.")},
    "best of two": lambda s: {"generator_ema": {}, "generator": s},
    "fsdp": lambda s: {"generator": prefixed(s, "model._fsdp_wrapped_module.")},
    "fsdp outside": lambda s: {"generator": prefixed(s, "_fsdp_wrapped_module.model.")},
    "ddp, compile": lambda s: prefixed(s, "module._orig_mod.module.model."),
    "single blocks": lambda s: {"generator": prefixed(wrapped_blocks(s), "model.")},
}


@pytest.mark.parametrize("wrapping", WRAPPED.values(), ids=WRAPPED.keys())
def test_a_torch_file_gives_the_exact_names(
    tmp_path: Path, state: State, wrapping: Callable[[State], object]
) -> None:
    """Catches a prefix or a wrapping dict that survives, and a part of a name cut too much."""
    torch.save(wrapping(state), tmp_path / "ar-forcing_002000.pt")
    assert same(load_checkpoint(tmp_path / "ar-forcing_002000.pt", WAN), state)


def test_the_old_torch_format_is_read(tmp_path: Path, state: State) -> None:
    """Catches a loader that maps every file into memory: torch refuses that for this format."""
    path = tmp_path / "old.pt"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert same(load_checkpoint(path, WAN), state)


def test_the_moving_average_is_taken_where_asked_for(tmp_path: Path, state: State) -> None:
    """Catches a choice that is ignored: both sets have the same names."""
    average = {name: tensor + 1 for name, tensor in state.items()}
    path = tmp_path / "w.pt"
    torch.save({"generator": state, "generator_ema": average}, path)
    assert same(load_checkpoint(path, WAN), state)
    assert same(load_checkpoint(path, WAN, ema=True), average)


def test_a_missing_moving_average_is_said(tmp_path: Path, state: State) -> None:
    """Catches a silent fallback to other weights than those asked for."""
    torch.save({"generator": state}, tmp_path / "w.pt")
    save_file(state, tmp_path / "w.safetensors")
    for name in ("w.pt", "w.safetensors"):
        source = tmp_path / name
        message = refusal(lambda source=source: load_checkpoint(source, WAN, ema=True))
        assert f"got {source}, which has no generator_ema" in message


def test_safetensors_are_read_whatever_their_name(tmp_path: Path, state: State) -> None:
    """Catches a format guessed from the suffix: a partial download has another one."""
    save_file(state, tmp_path / "w.safetensors")
    save_file(prefixed(state, "model."), tmp_path / "download.part")
    assert same(load_checkpoint(tmp_path / "w.safetensors", WAN), state)
    assert same(load_checkpoint(tmp_path / "download.part", WAN), state)


def write_shards(folder: Path, state: State) -> Path:
    """Two files and their index."""
    names = sorted(state)
    files = {name: f"m-{i % 2 + 1:05}-of-00002.safetensors" for i, name in enumerate(names)}
    for file in set(files.values()):
        save_file({n: state[n] for n in names if files[n] == file}, folder / file)
    index = folder / "m.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return index


def test_shards_are_joined(tmp_path: Path, state: State) -> None:
    """Catches a reader of the first file only."""
    write_shards(tmp_path, state)
    assert same(load_checkpoint(tmp_path, WAN), state)


def test_missing_and_foreign_shards_are_named(tmp_path: Path, state: State) -> None:
    """Catches an index that leads out of its folder, and shards of two versions joined."""
    index = write_shards(tmp_path, state)
    values = json.loads(index.read_text())
    values["weight_map"]["extra"] = "m-00001-of-00002.safetensors"
    index.write_text(json.dumps(values))
    assert "differs from its files in 1 names such as extra" in refusal(
        lambda: load_checkpoint(tmp_path, WAN)
    )
    values["weight_map"]["extra"] = "../m.safetensors"
    index.write_text(json.dumps(values))
    assert "of whose 3 files ../m.safetensors are not beside it" in refusal(
        lambda: load_checkpoint(tmp_path, WAN)
    )


@pytest.mark.parametrize("shard", ["10GB", "10KB"], ids=["one file", "shards"])
@pytest.mark.parametrize("is_pipeline", [False, True], ids=["transformer", "pipeline"])
def test_a_diffusers_folder_gives_the_same_network(
    tmp_path: Path, shard: str, is_pipeline: bool
) -> None:
    """Catches a name mapped to its neighbour; every tensor is found by its own values."""
    model = diffusers_model(WAN)
    model.save_pretrained(
        tmp_path / "transformer" if is_pipeline else tmp_path, max_shard_size=shard
    )
    got = load_checkpoint(tmp_path, WAN)
    theirs = model.state_dict()
    for name, ours in wan_names(theirs).items():
        assert torch.equal(got[ours], theirs[name]), name
    block, attn = model.blocks[10], model.blocks[10].attn2
    assert torch.equal(got["blocks.10.norm3.weight"], block.norm2.weight)
    assert torch.equal(got["blocks.10.cross_attn.o.bias"], attn.to_out[0].bias)
    assert torch.equal(got["blocks.10.cross_attn.norm_q.weight"], attn.norm_q.weight)
    assert torch.equal(got["blocks.10.ffn.2.weight"], block.ffn.net[2].weight)
    assert torch.equal(got["blocks.10.modulation"], block.scale_shift_table)
    assert torch.equal(got["head.modulation"], model.scale_shift_table)
    assert torch.equal(got["time_projection.1.bias"], model.condition_embedder.time_proj.bias)


def test_the_released_names_are_these_825() -> None:
    """Catches a network of other names or sizes than the released one's."""
    ours = expected_tensors(WAN_1_3B)
    with torch.device("meta"):
        theirs = diffusers_model(WAN_1_3B).state_dict()
    assert len(ours) == 825
    assert sum(tensor.numel() for tensor in ours.values()) == 1_419_095_104
    assert ours["patch_embedding.weight"].shape == (1536, 32, 1, 2, 2)
    assert {wan: theirs[name].shape for name, wan in wan_names(theirs).items()} == {
        name: tensor.shape for name, tensor in ours.items()
    }


def test_what_does_not_fit_is_listed(tmp_path: Path, state: State) -> None:
    """Catches a lenient load: missing, extra and wrong shapes are all said, with counts."""
    wrong = dict(state)
    del wrong["head.head.weight"], wrong["head.head.bias"]
    wrong["img_emb.proj.0.weight"] = torch.zeros(3)
    wrong["time_embedding.0.bias"] = torch.zeros(7)
    torch.save({"generator": wrong}, tmp_path / "w.pt")
    message = refusal(lambda: load_checkpoint(tmp_path / "w.pt", WAN))
    assert "which does not fit tiny-wan: 2 missing: head.head.bias, head.head.weight; " in message
    assert "1 extra: img_emb.proj.0.weight; " in message
    assert "1 wrong shape: time_embedding.0.bias is (7,), expected (48,)" in message


def test_plain_wan_is_told_apart(tmp_path: Path, state: State) -> None:
    """Catches the likeliest mistake, Wan2.1's own weights, told only as a wrong shape."""
    plain = {**state, "patch_embedding.weight": state["patch_embedding.weight"][:, :16].clone()}
    save_file(plain, tmp_path / "w.safetensors")
    message = refusal(lambda: load_checkpoint(tmp_path / "w.safetensors", WAN))
    assert "These take 16 channels: a text-to-video model such as Wan2.1 itself." in message


def test_names_that_collapse_are_refused(tmp_path: Path, state: State) -> None:
    """Catches one of two networks in a file taken at random."""
    torch.save({**state, "model.head.head.bias": torch.zeros(64)}, tmp_path / "w.pt")
    message = refusal(lambda: load_checkpoint(tmp_path / "w.pt", WAN))
    assert "1 weights occur twice" in message
    assert "head.head.bias as head.head.bias and model.head.head.bias" in message


class Intruder:
    """What a pickle may do where it is not refused."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "neither a whole torch file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{", "neither a whole torch file"),
        (pickle.dumps({"generator": Intruder()}, protocol=2), "neither a whole torch file"),
        (b"<html>Sign in</html>", "neither a whole torch file"),
    ],
    ids=["empty", "cut header", "code", "page"],
)
def test_unreadable_files_are_refused(
    tmp_path: Path, content: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches an error of another library, and code that runs while weights load."""
    (tmp_path / "w.pt").write_bytes(content)
    message = refusal(lambda: load_checkpoint(tmp_path / "w.pt", WAN))
    assert f"got {tmp_path / 'w.pt'}, which is {words}" in message
    assert message.endswith("a file that needs Python code to load is refused.")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("share", [0.3, 0.999])
@pytest.mark.parametrize("form", ["pt", "safetensors"])
def test_a_cut_file_is_refused(tmp_path: Path, state: State, share: float, form: str) -> None:
    """Catches a download that ended early taken for whole."""
    path = tmp_path / f"w.{form}"
    torch.save(state, path) if form == "pt" else save_file(state, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "neither a whole torch file" in refusal(lambda: load_checkpoint(path, WAN))


def test_entries_that_are_no_weights_are_said(tmp_path: Path, state: State) -> None:
    """Catches a training state taken for weights."""
    torch.save({**state, "step": 2000}, tmp_path / "w.pt")
    message = refusal(lambda: load_checkpoint(tmp_path / "w.pt", WAN))
    assert "1 entries that are no weights, such as 'step'" in message
    torch.save([1, 2], tmp_path / "l.pt")
    assert "which holds a list, expected weights" in refusal(
        lambda: load_checkpoint(tmp_path / "l.pt", WAN)
    )


def test_folders_must_hold_one_model(tmp_path: Path, state: State) -> None:
    """Catches a file picked at random, and a FileNotFoundError."""
    assert "with none, expected one" in refusal(lambda: load_checkpoint(tmp_path, WAN))
    save_file(state, tmp_path / "a.safetensors")
    assert same(load_checkpoint(tmp_path, WAN), state)
    save_file(state, tmp_path / "b.safetensors")
    assert "with a.safetensors, b.safetensors" in refusal(lambda: load_checkpoint(tmp_path, WAN))
    assert "which is not there" in refusal(lambda: load_checkpoint(tmp_path / "no", WAN))


def test_conversion_keeps_every_value(tmp_path: Path, state: State) -> None:
    """Catches a file written by hand that other readers read otherwise.

    bfloat16 is what the released model runs in; the values must be exactly the rounded ones.
    """
    torch.save({"generator": prefixed(state, "model.")}, tmp_path / "w.pt")
    seen: list[tuple[int, int]] = []
    target = tmp_path / "model.safetensors"
    convert(tmp_path / "w.pt", target, WAN, advance=lambda *step: seen.append(step))
    got = load_file(target)
    assert same(got, {name: tensor.to(torch.bfloat16) for name, tensor in state.items()})
    assert all(tensor.dtype == torch.bfloat16 for tensor in got.values())
    with safe_open(target, framework="pt") as file:
        assert file.metadata() == {"format": "pt"}
    total = sum(2 * tensor.numel() for tensor in state.values())
    assert [total for _, total in seen] == [total] * len(state)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == total
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "w.pt"]


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path, state: State) -> None:
    """Catches half a file that looks installed, and an old file lost on the way."""
    save_file(state, tmp_path / "w.safetensors")
    target = tmp_path / "model.safetensors"
    target.write_text("the old one")

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        convert(tmp_path / "w.safetensors", target, WAN, advance=stop)
    assert target.read_text() == "the old one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "w.safetensors"]
