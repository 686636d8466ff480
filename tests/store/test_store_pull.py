"""Pulling from a hub that behaves: what lies there afterwards, and that it happens once."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_hub import FakeHub
from safetensors.torch import load_file
from tiny_model import TINY, tiny_dit
from tiny_store import (
    BASE,
    CHECKPOINT,
    EDITOR,
    ENTRY,
    EXTRA,
    EXTRA_PART,
    SETTINGS,
    SHARD,
    SHARD_CONTENT,
    Puller,
    checkpoint_bytes,
    fill,
    with_file,
)

from liveedit_cam.errors import WeightsError
from liveedit_cam.store import care
from liveedit_cam.store.hub import Hub, exclusive
from liveedit_cam.store.installed import is_installed
from liveedit_cam.store.needs import num_parameters
from liveedit_cam.store.pull import SPARE_BYTES, check_space
from liveedit_cam.store.receipt import FILE_NAME, Assurance, read_receipt
from liveedit_cam.store.report import plan_lines


@pytest.fixture
def puller(server: FakeHub, tmp_path: Path) -> Puller:
    """A hub with a whole model, and nothing pulled."""
    fill(server)
    return Puller(server, tmp_path / "models" / "tiny")


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


FILES = ["config.json", FILE_NAME, "model.safetensors", "text/shard.safetensors", "vae/config.json"]


def test_a_pull_installs_exactly_the_model(puller: Puller) -> None:
    """Catches a source, a lock or a partial file left over, and weights changed on the way."""
    puller.pull()
    assert names(puller.folder.parent) == [f"tiny/{name}" for name in FILES]
    assert not (puller.folder / "source").exists()
    assert (puller.folder / "text/shard.safetensors").read_bytes() == SHARD_CONTENT
    assert json.loads((puller.folder / "config.json").read_text()) == json.loads(
        json.dumps(TINY.to_dict())
    )
    got = load_file(puller.folder / "model.safetensors")
    for name, tensor in tiny_dit().state_dict().items():
        assert torch.equal(got[name], tensor.to(torch.bfloat16)), name
    assert is_installed(ENTRY, puller.folder)


def test_each_file_says_what_it_was_checked_against(server: FakeHub, puller: Puller) -> None:
    """Catches "verified" said of a file of which only the size was known."""
    puller.entry = with_file(1, sha256=server.files[BASE, SHARD].etag)
    receipt = puller.pull()
    found = {record.name: record.assurance for record in receipt.records}
    assert found == {
        "model.safetensors": Assurance.HUB,
        "text/shard.safetensors": Assurance.KNOWN,
        "vae/config.json": Assurance.SIZE,
        "config.json": Assurance.MADE,
    }
    assert "no checksum was known" in Assurance.SIZE
    assert {record.commit for record in receipt.records} == {server.commit, ""}


def test_an_installed_model_is_not_fetched_again(server: FakeHub, puller: Puller) -> None:
    """Catches a pull that replaces a model because the repository moved on."""
    puller.pull()
    asked = len(server.asked)
    server.commit = "d" * 40
    server.store(BASE, SHARD, b"newer" * 1000)
    assert puller.plan().steps == ()
    assert len(server.asked) == asked


def test_progress_counts_the_bytes_of_each_file(puller: Puller) -> None:
    """Catches a bar that stops short, runs over, or stands still while hashing or converting."""
    puller.pull()
    for label, total in (
        (SHARD, len(SHARD_CONTENT)),
        (f"checking {SHARD}", len(SHARD_CONTENT)),
        ("converting to model.safetensors", 2 * num_parameters(TINY)),
    ):
        steps = [(done, of) for what, done, of in puller.reports if what == label]
        assert steps[-1] == (total, total)
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)


def test_the_plan_names_sizes_and_licences(server: FakeHub, puller: Puller) -> None:
    """Catches consent asked for without size or licence."""
    size = sum(len(stored.content) for stored in server.files.values())
    plan = puller.plan()
    assert plan.download_bytes == size
    assert plan.disk_bytes == size + 2 * num_parameters(TINY)
    text = "\n".join(plan_lines(plan, 7_000_000))
    assert "licence: Apache-2.0" in text
    assert "licence: MIT" in text
    assert f"2 files, {len(SHARD_CONTENT) / 1000:.3g} kB, from {BASE}" in text
    assert f"into {puller.folder}" in text
    assert text.endswith("at most while it is made; 7 MB free")


def test_space_is_checked_before_anything_is_fetched(server: FakeHub, puller: Puller) -> None:
    """Catches a disk that fills up after an hour; the bound is exact."""
    plan = puller.plan()
    need = plan.disk_bytes + SPARE_BYTES
    check_space(plan, free=lambda folder: need)
    with pytest.raises(WeightsError) as caught:
        check_space(plan, free=lambda folder: need - 1)
    message = str(caught.value)
    assert message.startswith("got 269 MB free at")
    assert f"at {puller.folder}, expected 269 MB for tiny" in message
    assert "LIVEEDIT_CAM_MODELS_DIR" in message
    assert server.asked == []


def test_an_optional_part_may_be_missing(server: FakeHub, puller: Puller) -> None:
    """Catches a pull that fails for what the model does not need, and one that hides it."""
    puller.entry = replace(ENTRY, parts=(*ENTRY.parts, EXTRA_PART))
    plan = puller.plan()
    assert "left out: an extra: other/extra: x.bin" in "\n".join(plan_lines(plan, 7_000_000))
    puller.pull()
    assert is_installed(puller.entry, puller.folder)
    server.store(EXTRA, "x.bin", b"x" * 10)
    puller.pull()
    assert (puller.folder / "x.bin").read_bytes() == b"x" * 10
    assert names(puller.folder) == sorted([*FILES, "x.bin"])
    assert len(server.starts_of(SHARD)) == 1
    assert {r.name for r in read_receipt(puller.folder).records} == {*FILES, "x.bin"} - {FILE_NAME}


def test_a_model_of_another_shape_is_never_installed(server: FakeHub, puller: Puller) -> None:
    """Catches weights handed over unconverted, and their bytes fetched again for nothing."""
    server.store(EDITOR, CHECKPOINT, b"PK no checkpoint " * 1000)
    for _ in range(2):
        with pytest.raises(WeightsError, match="neither a whole torch file"):
            puller.pull()
    assert server.starts_of(CHECKPOINT) == [0]
    assert not puller.folder.exists()
    assert not is_installed(ENTRY, puller.folder)


def test_the_moving_average_reaches_the_conversion(server: FakeHub, puller: Puller) -> None:
    """Catches --ema dropped on the way: this checkpoint has none."""
    with pytest.raises(WeightsError, match="which has no generator_ema"):
        puller.pull(ema=True)
    assert not is_installed(ENTRY, puller.folder)


def test_damage_is_found_and_only_that_is_fetched_again(server: FakeHub, puller: Puller) -> None:
    """Catches a check by size alone, and a repair that takes the whole model down."""
    puller.pull()
    shard = puller.folder / "text/shard.safetensors"
    assert care.verify(ENTRY, puller.folder, lambda *step: None) == ()
    shard.write_bytes(b"\x01" + SHARD_CONTENT[1:])
    found = care.verify(ENTRY, puller.folder, lambda *step: None)
    assert [damage.name for damage in found] == ["text/shard.safetensors"]
    assert "has SHA-256" in found[0].what
    assert is_installed(ENTRY, puller.folder)
    care.discard(puller.folder, found)
    assert not is_installed(ENTRY, puller.folder)
    puller.pull()
    assert care.verify(ENTRY, puller.folder, lambda *step: None) == ()
    assert len(server.starts_of(SHARD)) == 2
    assert server.starts_of(CHECKPOINT) == [0]
    assert names(puller.folder.parent) == [f"tiny/{name}" for name in FILES]


def test_only_one_pull_fills_a_folder(puller: Puller) -> None:
    """Catches two pulls that write into each other's files."""
    with (
        exclusive(puller.plan().gathering),
        pytest.raises(WeightsError, match="while another one runs"),
    ):
        puller.pull()
    puller.pull()
    assert is_installed(ENTRY, puller.folder)


def test_a_folder_without_its_receipt_is_not_installed(puller: Puller) -> None:
    """Catches a copy that was cut, taken for a model because its folder is there."""
    puller.pull()
    receipt = puller.folder / FILE_NAME
    text = receipt.read_text()
    receipt.unlink()
    assert not is_installed(ENTRY, puller.folder)
    receipt.write_text(text)
    assert is_installed(ENTRY, puller.folder)
    shard = puller.folder / "text/shard.safetensors"
    shard.write_bytes(SHARD_CONTENT[:-1])
    assert not is_installed(ENTRY, puller.folder)


def test_no_test_reaches_another_host() -> None:
    """Catches a guard that guards nothing; 192.0.2.1 is an address of documents only."""
    with pytest.raises(RuntimeError, match="wants to reach"):
        Hub("http://hub.invalid").look_up(EDITOR, SETTINGS, "main")
    with pytest.raises(RuntimeError, match="wants to reach"):
        socket.create_connection(("192.0.2.1", 80), timeout=0.01)


def test_the_checkpoint_of_the_tests_is_large() -> None:
    """Catches tests of large files that run on small ones: those have no checksum on the hub."""
    assert len(checkpoint_bytes()) > 100_000
