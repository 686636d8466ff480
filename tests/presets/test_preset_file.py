"""Presets in their file: what is read, what is refused with its line, what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from liveedit_cam.errors import ConfigError, UsageError
from liveedit_cam.presets import Preset, PresetBook, checked
from liveedit_cam.presets.book import as_file, shipped
from liveedit_cam.presets.table import read_tables
from liveedit_cam.types import LatencyMode, Mode, OnFailure, Region

WHOLE = """# mine
[[preset]]
name = "studio"
edit = "make the background blue"   # the wall
strength = 0.8
region = [0, 0, 0.5, 1]
mode = "edit"
latency = "exact"
on_failure = "raw"
transition_s = 2
hotkey = "s"
"""
STUDIO = Preset(
    "studio",
    "make the background blue",
    0.8,
    Region(0, 0, 0.5, 1),
    Mode.EDIT,
    LatencyMode.EXACT,
    OnFailure.RAW,
    2.0,
    "s",
)


def test_every_field_is_read_and_written_again() -> None:
    """Catches a field that is dropped on its way through a file."""
    (table,) = read_tables(WHOLE, "p.toml")
    assert table.preset == STUDIO
    (again,) = read_tables(as_file((STUDIO,)), "p.toml")
    assert again.preset == STUDIO


def test_eight_are_shipped_each_with_its_own_key() -> None:
    """Catches a shipped preset that cannot be read, and two on one key."""
    found = shipped()
    assert len(found) == 8
    assert len({preset.hotkey for preset in found}) == 8
    assert all(preset.edit for preset in found)


@pytest.mark.parametrize(
    ("broken", "line", "words"),
    [
        ("name = blue", 6, "Invalid value"),
        ('name = "b"\nedit = ', 7, "Invalid value"),
        ('name = "b"\nedit = "x"\nstrength = 1.5', 8, "strength is 1.5, expected a number"),
        ('name = "b"\nedit = "x"\nstrenght = 1', 8, "Did you mean 'strength'"),
        ('name = "b"\nedit = "no snow"', 7, "what not to do"),
        ('name = "b"\nedit = "x"\nregion = [0.5, 0, 0.7, 1]', 8, "inside of it"),
        ('name = "b"\nedit = "x"\nregion = [0, 0, 1]', 8, "inside of it"),
        ('name = "b"\nedit = "x"\nregion = [0, 0, 2, 1]', 8, "inside of it"),
        ('name = "b"\nedit = "x"\nregion = [0, 0, "x", 1]', 8, "inside of it"),
        ('name = "b"\nedit = "x"\nmode = "loud"', 8, "edit or bypass or slate"),
        ('name = "b"\nedit = "x"\non_failure = "show"', 8, "slate or raw"),
        ('name = "b"\nedit = "x"\nhotkey = "F13"', 8, "one letter"),
        ('name = "b"\nedit = "x"\ntransition_s = -1', 8, "from 0 to 10"),
        ('name = ""\nedit = "x"', 6, "a short name"),
        ('edit = "x"', 5, "name is missing"),
        ('name = "b"', 5, "edit is missing"),
        ('name = "a"\nedit = "x"', 5, "second preset"),
    ],
)
def test_a_broken_preset_is_named_and_the_others_stay(broken: str, line: int, words: str) -> None:
    """Issue 20: one typing error must not take all presets away."""
    good = '[[preset]]\nname = "{}"\nedit = "make it night"\n'
    text = good.format("a") + f"\n[[preset]]\n{broken}\n\n" + good.format("c")
    tables = list(read_tables(text, "p.toml"))
    assert [table.preset.name for table in tables if table.preset] == ["a", "c"]
    (problem,) = (table.problem for table in tables if table.problem)
    assert problem.startswith(f"p.toml line {line}: "), problem
    assert words in problem


def test_what_stands_before_the_first_preset_is_named() -> None:
    """Catches a key of another file that is read over without a word."""
    tables = list(read_tables("strength = 1\n" + WHOLE, "p.toml"))
    assert "p.toml line 1: got 'strength'" in str(tables[0].problem)
    assert tables[1].preset == STUDIO


def test_an_own_preset_replaces_a_shipped_one_and_goes_again(tmp_path: Path) -> None:
    """Catches a change of the file that is not seen, and a removal that takes the wrong one."""
    book = PresetBook(tmp_path / "presets.toml")
    assert len(book.shelf().presets) == 8
    book.add(checked({"name": "night", "edit": "make it a bit darker"}))
    book.add(STUDIO)
    assert book.find("NIGHT").edit == "make it a bit darker"
    assert len(book.shelf().presets) == 9
    book.remove("studio")
    book.remove("night")
    assert "night" not in [preset.name for preset in book.shelf().presets]
    assert len(book.shelf().presets) == 7


def test_comments_and_broken_presets_survive_a_change(tmp_path: Path) -> None:
    """Catches a file that loses what its owner wrote because of one added preset."""
    path = tmp_path / "presets.toml"
    path.write_text(WHOLE + "\n[[preset]]\nname = broken\n")
    book = PresetBook(path)
    book.add(checked({"name": "new", "mode": "slate"}))
    text = path.read_text()
    assert text.startswith(WHOLE)
    assert "name = broken" in text
    assert book.find("new").mode is Mode.SLATE


def test_an_unknown_name_is_answered_with_near_ones(tmp_path: Path) -> None:
    """Issue 20: "no such preset" alone makes people look for the list."""
    book = PresetBook(tmp_path / "presets.toml")
    with pytest.raises(UsageError, match="Near: 'golden hour'"):
        book.find("goldn hour")
    with pytest.raises(UsageError, match="preset list"):
        book.find("zzzzzz")


def test_a_file_that_cannot_be_read_leaves_the_shipped_ones(tmp_path: Path) -> None:
    """Catches a page without looks because of a folder or of bytes that are no text."""
    (tmp_path / "presets.toml").write_bytes(b"\xff\xfe\x00")
    shelf = PresetBook(tmp_path / "presets.toml").shelf()
    assert len(shelf.presets) == 8
    assert "is no text" in shelf.problems[0]
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in PresetBook(tmp_path / "folder").shelf().problems[0]


def test_a_file_in_the_way_of_the_folder_is_told(tmp_path: Path) -> None:
    """Catches a traceback where the preset cannot be written."""
    (tmp_path / "config").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        PresetBook(tmp_path / "config" / "presets.toml").add(STUDIO)
