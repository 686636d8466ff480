"""Cues in time: what a file may say, and which one is in force."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from liveedit_cam.errors import ConfigError
from liveedit_cam.presets import PresetBook
from liveedit_cam.presets.timeline import Cue, cue_at, read_timeline
from liveedit_cam.types import Region


def read(tmp_path: Path, found: object) -> tuple[Cue, ...]:
    path = tmp_path / "show.json"
    path.write_text(found if isinstance(found, str) else json.dumps(found))
    return read_timeline(path, PresetBook(tmp_path / "presets.toml").find)


def test_cues_are_sorted_and_the_file_begins_as_it_is(tmp_path: Path) -> None:
    """Catches a first look that is shown too early, and a preset that loses its instruction."""
    left = {"at_s": 9, "edit": "make it night", "strength": 0.5, "region": [0, 0, 0.5, 1]}
    cues = read(tmp_path, {"cues": [left, {"at_s": 4.5, "preset": "neon"}]})
    assert cues == (
        Cue(0.0, "leave it as it is"),
        Cue(4.5, "make it neon"),
        Cue(9.0, "make it night", 0.5, Region(0, 0, 0.5, 1)),
    )
    assert [cue_at(cues, at) for at in (0, 4.4, 4.5, 8.99, 9, 100)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ("{", "not valid JSON"),
        ([], "has no cues"),
        ({"cues": []}, "has no cues"),
        ({"cues": [3]}, "cue 1: got 3"),
        ({"cues": [{"at_s": 0, "edit": "x"}, {"edit": "x"}]}, "cue 2: at_s is None"),
        ({"cues": [{"at_s": -1, "edit": "x"}]}, "at_s is -1"),
        ({"cues": [{"at_s": True, "edit": "x"}]}, "at_s is True"),
        ({"cues": [{"at_s": 0, "edit": "no snow"}]}, "what not to do"),
        ({"cues": [{"at_s": 0}]}, "edit is missing"),
        ({"cues": [{"at_s": 0, "preset": "nigth"}]}, "Near: 'night'"),
        ({"cues": [{"at_s": 0, "preset": "night", "strength": 1}]}, "expected it alone"),
        ({"cues": [{"at_s": 0, "edit": "x", "speed": 2}]}, "speed is no key"),
    ],
)
def test_a_wrong_cue_is_named(tmp_path: Path, found: object, reason: str) -> None:
    """Catches a show that is rendered for an hour and then wrong, or a traceback."""
    with pytest.raises(ConfigError, match=r"show\.json") as refused:
        read(tmp_path, found)
    assert reason in str(refused.value)
