"""Model folders: what is read back is what was written, and every fault has its own message."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_model import CPU, TINY, moving_frames, tiny_dit, tiny_stream, write_folder

from liveedit_cam.errors import LiveEditError, UsageError, WeightsError
from liveedit_cam.model import NANO, WAN_1_3B, ModelConfig, load
from liveedit_cam.model.weight_files import load_weights, packed, unpacked
from liveedit_cam.model.weights import FILES, choose_device, fast_dtype


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole tiny model."""
    return write_folder(tmp_path / "tiny")


def refusal(kind: type[LiveEditError], act: Callable[[], object]) -> str:
    """The message of the error that ``act`` raises, of exactly this class."""
    with pytest.raises(kind) as caught:
        act()
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None or not isinstance(caught.value.__cause__, LiveEditError)
    return str(caught.value)


def test_a_written_folder_loads(folder: Path) -> None:
    """Catches weights that are read into another network, and a stream that is not ready to edit.

    load() may choose bfloat16 where that is faster, so pictures agree to a few levels only.
    """
    stream, expected = load(str(folder), "cpu"), tiny_stream()
    assert stream.config == TINY
    assert stream.device == CPU
    frames = moving_frames(4)
    one, other = (s.edit(frames, s.encode_text("make it blue")) for s in (stream, expected))
    assert abs(one.astype(int) - other).mean() < 2
    assert stream.encode_text("make it zebra").unknown == ("zebra",)


def test_weights_come_back_bit_for_bit(tmp_path: Path) -> None:
    """Catches tensors that are skipped or cast on the way."""
    written, read = tiny_dit(seed=1), tiny_dit(seed=2)
    save_file(written.state_dict(), tmp_path / "w.safetensors")
    load_weights(read, tmp_path / "w.safetensors")
    for name, tensor in written.state_dict().items():
        assert torch.equal(read.state_dict()[name], tensor), name


def test_half_precision_files_load(tmp_path: Path) -> None:
    """Catches a loader that wants float32: shipped files hold 16 bits."""
    state = {name: tensor.half() for name, tensor in tiny_dit().state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    dit = tiny_dit(seed=2)
    load_weights(dit, tmp_path / "w.safetensors")
    assert dit.head.head.bias.dtype == torch.float32
    assert torch.equal(dit.head.head.bias.half(), state["head.head.bias"])


def test_matrices_in_8_bits_come_back_within_their_bound(tmp_path: Path) -> None:
    """Catches one scale for a whole matrix, rows along the wrong axis, and what is small packed."""
    drawn = torch.Generator().manual_seed(0)
    size = torch.logspace(-3, 2, 64)
    tensors = {
        "linear": torch.randn(64, 96, generator=drawn) * size[:, None],
        "conv": torch.randn(64, 16, 3, 3, generator=drawn) * size[:, None, None, None],
        "bias": torch.randn(64, generator=drawn),
        "modulation": torch.randn(1, 6, 1024, generator=drawn),
    }
    save_file(packed(tensors), tmp_path / "w.safetensors")
    again = unpacked(load_file(tmp_path / "w.safetensors"))
    assert again.keys() == tensors.keys()
    for name in ("linear", "conv"):
        largest = tensors[name].flatten(1).abs().amax(1, keepdim=True)
        error = (again[name] - tensors[name]).flatten(1).abs()
        assert bool((error <= 0.0045 * largest).all()), name
        assert float((error / largest).max()) > 0.001  # it is in 8 bits
    for name in ("bias", "modulation"):
        assert torch.equal(again[name], tensors[name].half()), name
    assert (tmp_path / "w.safetensors").stat().st_size < 64 * (96 + 144) * 1.1 + 2 * 6 * 1024 + 2000


@pytest.mark.parametrize("config", [TINY, NANO, WAN_1_3B], ids=lambda c: c.name)
def test_config_survives_json(config: ModelConfig) -> None:
    """Catches a tuple that comes back as a list, and a field left out."""
    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    """Catches a folder that loads in part, with random weights where a file is gone."""
    (folder / file).unlink()
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert f"got model folder {folder} without {file}" in message
    assert "Give a folder that holds config.json, model.safetensors" in message


@pytest.mark.parametrize("name", ["model", "codec", "text"])
@pytest.mark.parametrize("size", [0, 7, 5000])
def test_a_truncated_file_is_named_with_its_size(folder: Path, name: str, size: int) -> None:
    """Catches a broken download that surfaces as an error of another library."""
    path = folder / f"{name}.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert f"got {path} ({size} bytes), which is no whole safetensors file" in message
    assert message.endswith("Reinstall liveedit-cam or pull the model again.")


def rewrite(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = dict(load_file(path))
    change(tensors)
    save_file(tensors, path)


def test_wrong_names_are_listed(folder: Path) -> None:
    """Catches a non-strict load: both what is missing and what is extra are said."""
    path = folder / "model.safetensors"
    rewrite(path, lambda t: t.update({"head.weight": t.pop("head.head.weight")}))
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert f"got {path}, which does not fit the model" in message
    assert "1 missing: head.head.weight; 1 extra: head.weight" in message


def test_many_wrong_names_are_counted_and_cut(folder: Path) -> None:
    """Catches a message of 825 names."""
    path = folder / "model.safetensors"
    rewrite(path, lambda t: [t.pop(name) for name in sorted(t) if name.startswith("blocks.0.")])
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert "27 missing: blocks.0.cross_attn.k.bias, " in message
    assert message.count("blocks.0.") == 3
    assert ", ... Reinstall" in message


def test_wrong_shapes_are_listed(folder: Path) -> None:
    """Catches weights of another size, with the shape got and the shape expected."""
    path = folder / "codec.safetensors"
    rewrite(path, lambda t: t.update({"mean": torch.zeros(12)}))
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert "1 wrong shape: mean is (12,), expected (768,)" in message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(depth=3), "depth"),
        (lambda values: values.pop("dim"), "dim"),
        (lambda values: values["codec"].update(channels=3), "channels"),
        (lambda values: values.update(dim="48"), ""),
    ],
    ids=["unknown", "missing", "unknown inside", "no number"],
)
def test_config_must_describe_a_model(
    folder: Path, change: Callable[[dict[str, object]], object], words: str
) -> None:
    """Catches an ignored key: a model of another version would run with wrong sizes."""
    path = folder / "config.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert "got a config.json that does not describe a model" in message
    assert words in message
    assert "expected the keys of ModelConfig" in message


@pytest.mark.parametrize("file", ["config.json", "words.json"])
@pytest.mark.parametrize("text", ["", "{", "\x00"], ids=["empty", "cut", "binary"])
def test_unreadable_json_is_named(folder: Path, file: str, text: str) -> None:
    """Catches a JSON error that reaches the user without the file's name."""
    (folder / file).write_text(text)
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert f"got {folder / file}, which is no readable JSON" in message
    assert message.endswith("Reinstall liveedit-cam or pull the model again.")


def test_words_must_be_a_list_of_words(folder: Path) -> None:
    """Catches a string taken letter by letter, which would make every word unknown."""
    (folder / "words.json").write_text('"make it"')
    message = refusal(WeightsError, lambda: load(str(folder), "cpu"))
    assert f"got {folder / 'words.json'}" in message
    assert "expected a list of words" in message


def test_sizes_that_contradict_each_other_are_refused() -> None:
    """Catches a window too small for its sinks, and a width that does not split into heads."""
    small = {**TINY.to_dict(), "window_latents": 1}
    assert "got a window of 1 latents" in refusal(
        WeightsError, lambda: ModelConfig.from_dict(small)
    )
    uneven = {**TINY.to_dict(), "num_heads": 5}
    assert "got dim 48 with 5 heads" in refusal(WeightsError, lambda: ModelConfig.from_dict(uneven))
    unheard = {**TINY.to_dict(), "mask_target": "all"}
    assert "got mask_target 'all', expected one of none, self_attention, ffn, network" in refusal(
        WeightsError, lambda: ModelConfig.from_dict(unheard)
    )


def test_unknown_model_names_the_known(tmp_path: Path) -> None:
    """Catches a FileNotFoundError for a typing mistake."""
    message = refusal(UsageError, lambda: load("nanno", "cpu"))
    assert "got model 'nanno', expected one of nano, liveedit-1.3b or a model folder" in message
    assert message.endswith("See `liveedit-cam models list`.")
    message = refusal(WeightsError, lambda: load(str(tmp_path), "cpu"))
    assert f"got model folder {tmp_path} without " + ", ".join(FILES) in message


@pytest.mark.parametrize("device", ["gpu", "", "cuda:x", "meta", "cuda:99", "cpu:1"])
def test_unknown_devices_are_refused(device: str) -> None:
    """Catches a device that fails later, inside a matrix product, with torch's words."""
    assert f"got device {device!r}" in refusal(UsageError, lambda: choose_device(device))


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="this machine has that device")
def test_a_device_of_another_machine_is_refused() -> None:
    """Catches "mps" accepted on a machine without it."""
    message = refusal(UsageError, lambda: choose_device("mps"))
    assert "got device 'mps'" in message
    assert "Use --device cpu" in message


def test_devices_that_are_there_are_taken() -> None:
    """Catches a check that refuses too much."""
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize("has_it", [False, True])
def test_fast_dtype_of_a_gpu(has_it: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches float16, in which the norms of this model overflow, and emulated bfloat16."""
    asked: list[dict[str, bool]] = []

    def is_supported(**how: bool) -> bool:
        asked.append(how)
        return has_it

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    fast_dtype(CPU)
    assert not asked
    assert fast_dtype(torch.device("cuda")) == (torch.bfloat16 if has_it else torch.float32)
    assert asked == [{"including_emulation": False}]
    assert fast_dtype(torch.device("mps")) == torch.float32


@pytest.mark.parametrize(
    ("system", "can", "wanted"),
    [
        ("linux", {"architecture": "x86_64", "avx512_bf16": True}, torch.bfloat16),
        ("win32", {"architecture": "x86_64", "amx_bf16": True}, torch.bfloat16),
        ("linux", {"architecture": "x86_64", "avx512_f": True, "bf16": True}, torch.float32),
        ("linux", {"architecture": "aarch64", "bf16": True}, torch.bfloat16),
        ("darwin", {"architecture": "aarch64", "bf16": True}, torch.float32),
        ("linux", {}, torch.float32),  # a torch that does not say
    ],
)
def test_fast_dtype_of_a_processor_is_told_by_what_it_has(
    system: str, can: dict[str, object], wanted: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a measurement: on a busy machine it chose otherwise, and edits differed by start."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("liveedit_cam.model.weights.cpu_capabilities", lambda: can)
    assert {fast_dtype(CPU) for _ in range(5)} == {wanted}


def test_the_kind_of_a_model_is_told_by_its_config(folder: Path) -> None:
    """Catches a folder that a stray vae/ beside nano's files makes one of Wan's."""
    (folder / "vae").mkdir()
    assert load(str(folder), "cpu").config == TINY
    values = TINY.to_dict()
    values["codec"]["kind"] = "wan"
    (folder / "config.json").write_text(json.dumps(values))
    assert "without vae/config.json" in refusal(WeightsError, lambda: load(str(folder), "cpu"))


@pytest.mark.parametrize("config", [NANO, WAN_1_3B], ids=lambda c: c.name)
def test_a_config_of_before_there_was_a_kind(config: ModelConfig) -> None:
    """Catches released weights pulled before, whose config says no kind, read as nano's."""
    values = config.to_dict()
    del values["codec"]["kind"]
    assert ModelConfig.from_dict(values) == config
