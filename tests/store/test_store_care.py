"""Checking and removing models: only what a pull has made is ever deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_hub import FakeHub
from tiny_store import ENTRY, Puller, fill

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.store import care
from liveedit_cam.store.catalogue import ModelEntry
from liveedit_cam.store.installed import gathering_folder
from liveedit_cam.store.receipt import FILE_NAME, read_receipt


@pytest.fixture
def folder(server: FakeHub, tmp_path: Path) -> Path:
    """A pulled model."""
    fill(server)
    Puller(server, tmp_path / "models" / "tiny").pull()
    return tmp_path / "models" / "tiny"


def check(folder: Path) -> list[str]:
    damages = care.verify(ENTRY, folder, lambda *step: None)
    return [f"{damage.name} {damage.what}" for damage in damages]


def test_every_kind_of_damage_is_named(folder: Path) -> None:
    """Catches a file that is not looked at, and a check that ends at the first."""
    assert check(folder) == []
    (folder / "vae/config.json").unlink()
    (folder / "text/shard.safetensors").write_bytes(b"short")
    (folder / "config.json").write_text("x" * (folder / "config.json").stat().st_size)
    gone, short, changed = sorted(check(folder), key=lambda line: "vae text config".find(line[:3]))
    assert gone == "vae/config.json is gone"
    assert short == "text/shard.safetensors has 5 bytes, expected 16384"
    assert changed.startswith("config.json has SHA-256")


def test_a_file_that_was_never_fetched_is_damage_too(folder: Path) -> None:
    """Catches "all is well" said of a receipt that lacks a needed file."""
    care.discard(folder, (care.Damage("vae/config.json", ""),))
    assert check(folder) == ["vae/config.json was never fetched"]
    assert not (folder / "vae/config.json").exists()


def test_nothing_installed_cannot_be_checked(tmp_path: Path) -> None:
    """Catches an empty folder found in order."""
    with pytest.raises(WeightsError, match="where no tiny is installed") as caught:
        check(tmp_path)
    assert "liveedit-cam models pull tiny" in str(caught.value)


def test_a_broken_receipt_is_said(folder: Path) -> None:
    """Catches a stack trace of the JSON library."""
    for text in ("{", '[{"name": 1}]', '[{"assurance": "hope"}]'):
        (folder / FILE_NAME).write_text(text)
        with pytest.raises(WeightsError, match="which is no list of installed files"):
            read_receipt(folder)


def test_removing_deletes_the_model_and_nothing_else(folder: Path) -> None:
    """Catches a delete that takes the folder of all models, or leaves a cut pull's bytes."""
    other = folder.parent / "mine" / "file"
    other.parent.mkdir()
    other.write_text("mine")
    left = gathering_folder(folder)
    left.mkdir()
    (left / "w.part").write_text("half")
    assert care.folder_bytes(left) == 4
    found = care.removable_folders(ENTRY, folder)
    assert found == (folder, left)
    care.remove(found)
    assert list(folder.parent.rglob("*")) == [other.parent, other]


def test_what_a_link_points_to_is_not_deleted(folder: Path, tmp_path: Path) -> None:
    """Catches the files behind a link deleted: they may serve another computer."""
    link = tmp_path / "link"
    link.symlink_to(folder)
    care.remove(care.removable_folders(ENTRY, link))
    assert not link.exists()
    assert (folder / FILE_NAME).is_file()


def test_what_no_pull_has_made_is_not_deleted(tmp_path: Path) -> None:
    """Catches a folder of a user's own that has a model's name."""
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(UsageError, match="no pull has made it"):
        care.removable_folders(ENTRY, tmp_path)
    with pytest.raises(UsageError, match="which is not on this computer"):
        care.removable_folders(ENTRY, tmp_path / "no")


def test_a_shipped_model_is_not_deleted(folder: Path) -> None:
    """Catches `models remove nano`."""
    with pytest.raises(UsageError, match="which is shipped with liveedit-cam"):
        care.removable_folders(ModelEntry("nano", "", ()), folder)
