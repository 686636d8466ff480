"""That docs/architecture.md and its picture are true."""

from __future__ import annotations

import re
from pathlib import Path

import architecture
import pytest

PAGE = Path(__file__).parent.parent / "docs" / "architecture.md"
FILE = re.compile(r"`([\w/]+\.py)`")


def test_the_picture_is_drawn_from_the_imports_of_today() -> None:
    """Catches an arrow that came or went; `python scripts/architecture.py` draws it anew."""
    drawn = architecture.draw(architecture.read_arrows())
    assert architecture.PICTURE.read_text("utf-8") == drawn


def test_the_table_names_every_room_once() -> None:
    """Catches a room that nobody described, and one that is gone."""
    rows = re.findall(r"^\| `([\w/]+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(architecture.read_arrows())


def test_the_files_of_the_page_exist() -> None:
    """Catches a walk through files that were moved."""
    named = set(FILE.findall(PAGE.read_text("utf-8"))) - {"tests/test_layers.py"}
    assert len(named) > 30
    assert [name for name in sorted(named) if not (architecture.PACKAGE / name).is_file()] == []


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("from liveedit_cam.obs import link", ["liveedit_cam.obs.link"]),
        ("from liveedit_cam import obs", ["liveedit_cam.obs"]),
        ("from liveedit_cam.obs.link import Link", ["liveedit_cam.obs.link"]),
        ("def f():\n    import liveedit_cam.lab.edits.spec", ["liveedit_cam.lab.edits.spec"]),
        ("importlib.import_module('liveedit_cam.sinks.file')", ["liveedit_cam.sinks.file"]),
    ],
)
def test_imports_are_seen_wherever_they_stand(source: str, modules: list[str]) -> None:
    """Catches an arrow that is missing because its import is inside a function."""
    assert [one.module for one in architecture.imports_of(source)] == modules


@pytest.mark.parametrize(
    ("module", "room"),
    [
        ("lab.edits.spec", "lab/edits"),
        ("lab.commands", "lab"),
        ("model.wan.vae", "model"),
        ("offline", "offline"),
        ("types", architecture.BASE),
    ],
)
def test_a_module_lies_in_one_room(module: str, room: str) -> None:
    """Catches rooms of the laboratory drawn as one."""
    assert architecture.room_of(module) == room
