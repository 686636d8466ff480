"""What belongs to a model, and where models lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.folders import MODELS_VARIABLE, shipped_models, user_models
from liveedit_cam.model.config import PRESETS
from liveedit_cam.store.catalogue import Role, find_entry, read_catalogue

CATALOGUE = read_catalogue(shipped_models())
LARGE = find_entry("liveedit-1.3b", CATALOGUE)

PART = """
description = "d"
[[part]]
role = "editor"
purpose = "p"
repository = "a/b"
revision = "main"
licence = "MIT"
files = [{ name = "NAME", path = "w" }]
"""


def read_text(folder: Path, text: str) -> None:
    nano = folder / "nano" / "config.json"
    path = folder / "liveedit-1.3b" / "files.toml"
    for file in (nano, path):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    read_catalogue(folder)


def test_every_preset_is_listed() -> None:
    """Catches a model that runs but cannot be pulled or listed."""
    assert [entry.name for entry in CATALOGUE] == list(PRESETS)
    assert [entry.is_shipped for entry in CATALOGUE] == [True, False]


def test_the_large_model_has_what_its_folder_needs() -> None:
    """Catches a file forgotten, or two files of one name: one would overwrite the other."""
    names = [part.installed_name(file) for part in LARGE.parts for file in part.files]
    assert max(Counter(names).values()) == 1
    assert {"model.safetensors", "vae/config.json", "text/config.json"} < set(names)
    assert "vae/diffusion_pytorch_model.safetensors" in names
    assert {"text/tokenizer.json", "text/model.safetensors.index.json"} < set(names)
    assert sum("text/model-0000" in name for name in names) == 5
    assert [part.role for part in LARGE.parts if part.is_optional] == [Role.LIGHT_CODEC]
    assert all(part.licence and part.purpose and part.revision for part in LARGE.parts)


def test_no_address_stands_in_a_list_of_files() -> None:
    """Catches an address that a mirror could not replace."""
    for path in shipped_models().rglob("*"):
        if path.suffix in (".toml", ".json"):
            assert "://" not in path.read_text(), path


@pytest.mark.parametrize(
    ("name", "meant"),
    [("liveedit", "liveedit-1.3b"), ("LiveEdit-1.3B", "liveedit-1.3b"), ("nanno", "nano")],
)
def test_a_mistaken_name_is_corrected(name: str, meant: str) -> None:
    """Catches an error without the way out."""
    with pytest.raises(UsageError) as caught:
        find_entry(name, CATALOGUE)
    message = str(caught.value)
    assert f"got model {name!r}, expected one of nano, liveedit-1.3b." in message
    assert f"Did you mean {meant}?" in message


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    """Catches a suggestion for anything at all."""
    with pytest.raises(UsageError) as caught:
        find_entry("zzzz", CATALOGUE)
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        ("NAME", "../w"),
        ("NAME", "/w"),
        ("NAME", "a\\\\..\\\\w"),
        ("NAME", ""),
        ('path = "w"', 'path = "w", sha256 = "12"'),
        ('path = "w"', 'path = "w", sha = "12"'),
        ('role = "editor"', 'role = "actor"'),
        ('licence = "MIT"', ""),
        ('description = "d"', 'description = "d"\nsize = 3'),
        ('licence = "MIT"', 'licence = "MIT'),
        ('{ name = "NAME", path = "w" }', '{ name = "a", path = "a" }, { name = "b", path = "b" }'),
    ],
)
def test_a_list_that_is_not_right_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    """Catches a name that leads out of the model folder, and a key that is ignored."""
    text = PART.replace("files =", 'converted = "m"\nfiles =')
    with pytest.raises(WeightsError, match="does not list a model's files"):
        read_text(tmp_path, text.replace(*change))
    read_text(tmp_path, text)


def test_a_model_without_its_list_is_not_taken_for_shipped(tmp_path: Path) -> None:
    """Catches a package built without files.toml: the model would look as if it were there."""
    read_text(tmp_path, PART)
    (tmp_path / "liveedit-1.3b" / "files.toml").unlink()
    with pytest.raises(WeightsError, match="does not list a model's files"):
        read_catalogue(tmp_path)


def test_a_checksum_must_be_one(tmp_path: Path) -> None:
    """Catches letters that no digest has: such a file could never be pulled."""
    good = PART.replace('path = "w"', f'path = "w", sha256 = "{"ab" * 32}"')
    read_text(tmp_path, good)
    with pytest.raises(WeightsError, match="does not list"):
        read_text(tmp_path, good.replace("abab", "xyxy"))


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {"HOME": "/h"}, "/h/.local/share/liveedit-cam/models"),
        ("linux", {"HOME": "/h", "XDG_DATA_HOME": "/d"}, "/d/liveedit-cam/models"),
        ("darwin", {"HOME": "/h"}, "/h/Library/Application Support/liveedit-cam/models"),
        ("win32", {"HOME": "/h", "LOCALAPPDATA": "/l"}, "/l/liveedit-cam/models"),
        ("linux", {"HOME": "/h", MODELS_VARIABLE: "/big"}, "/big"),
    ],
)
def test_pulled_models_lie_where_the_platform_wants(
    platform: str, environ: dict[str, str], expected: str
) -> None:
    """Catches gigabytes in a folder that is synchronised or that a user cannot move."""
    assert user_models(environ, platform) == Path(expected)
