"""Text sources of OBS: the box for the instruction, the script's commands, the status text."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bridge_fakes import Stage

from liveedit_cam.types import MAX_PROMPT_CHARS, Latency, Mode

BOX = """
[[rule]]
when = { text = "Box" }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "obs.toml"


def test_the_text_counts_when_it_has_rested(path: Path) -> None:
    """Catches an instruction for each letter."""
    stage = Stage(path, BOX)
    for text in ("m", "ma", "make it ", "make it night"):
        assert stage.type(text=text) == []
        assert stage.tick(0.2) == []
    assert stage.tick(0.25) == [("make it night", 1.0, "obs:text")]
    assert stage.tick(1.0) == []
    stage.type(text="")
    assert stage.tick(0.5) == [("leave it as it is", 1.0, "obs:text")]


def test_another_setting_is_no_new_instruction(path: Path) -> None:
    """Catches a change of the font, or a connection, that brings an old instruction back."""
    box = {"text": "make it night", "liveedit_command": "edit 3"}
    stage = Stage(path, BOX, inputs={"Box": box})
    stage.type(font="Sans")
    del box["liveedit_command"]
    stage.type(font="Serif")
    assert stage.bridge.notice is None
    stage.type(text="make it nigh")
    stage.type(text="make it night")
    assert stage.tick(0.5) == []


def test_ten_megabytes_are_refused_with_their_length(path: Path) -> None:
    """Catches a huge text given to the model, cut short, or without a word to the user."""
    stage = Stage(path, BOX)
    stage.type(text="x " * 5_000_000)
    assert stage.tick(0.5) == []
    assert f"10000000 characters, expected at most {MAX_PROMPT_CHARS}" in str(stage.bridge.notice)
    assert len(str(stage.bridge.notice)) < 400
    stage.type(text="make it night")
    assert stage.tick(0.5) == [("make it night", 1.0, "obs:text")]
    assert stage.bridge.notice is None


@pytest.mark.parametrize("websocket", ["5.1.0", "5.5.0"])
def test_the_script_in_obs_sets_the_mode_and_its_text_counts_at_once(
    path: Path, websocket: str
) -> None:
    """Catches hotkeys that wait as typing does, an old command obeyed on connect, and one lost."""
    box = {"Box": {"text": "golden light", "liveedit_command": "bypass 16"}}
    stage = Stage(path, BOX, inputs=box, websocket=websocket)

    def press(**settings: str) -> list[Any]:
        if websocket == "5.5.0":
            return stage.type(**settings)
        stage.link.inputs["Box"].update(settings)
        return stage.tick()

    assert stage.tick() == []
    assert press(liveedit_command="bypass 17") == [Mode.BYPASS]
    assert press(liveedit_command="edit 18") == [Mode.EDIT]  # and the edit from before
    night = ("make it night", 1.0, "obs:text")
    assert press(liveedit_command="edit 19", text="make it night") == [Mode.EDIT, night]
    assert press(liveedit_command="edit 20") == [Mode.EDIT, night]
    assert press(liveedit_command="slate 20") == [Mode.SLATE]
    assert press(liveedit_command="dance 21") == []
    assert "'dance 21'" in str(stage.bridge.notice)
    assert stage.tick(1.0) == []


def test_an_old_obs_is_asked_for_the_named_boxes_only(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a prompt box that is dead before obs-websocket 5.4, and asking for every input."""
    caplog.set_level(logging.INFO)
    inputs: dict[str, dict[str, Any]] = {"Box": {"text": ""}, "Mic": {}}
    stage = Stage(path, BOX, inputs=inputs, websocket="5.1.0")
    stage.tick()
    stage.link.inputs["Box"]["text"] = "make it night"
    found = [told for _ in range(8) for told in stage.tick()]
    assert found == [("make it night", 1.0, "obs:text")]
    asked = {data["inputName"] for name, data in stage.link.requests if name == "GetInputSettings"}
    assert asked == {"Box"}
    assert caplog.text.count("obs-websocket 5.1.0") == 1
    newer = Stage(path, BOX)
    before = newer.link.asked("GetInputSettings")
    newer.tick()
    assert newer.link.asked("GetInputSettings") == before


def test_a_box_created_later_works_from_its_first_text(path: Path) -> None:
    """Catches its text at creation taken for an instruction, and the first change swallowed."""
    for websocket in ("5.1.0", "5.5.0"):
        stage = Stage(path, BOX, inputs={}, websocket=websocket)
        stage.tick()
        stage.link.inputs["Box"] = {"text": "old"}
        stage.emit("InputCreated", inputName="Box", inputSettings={"text": "old"})
        stage.type(font="Sans")
        assert stage.tick(1.0) == []
        stage.type(text="make it night")
        assert stage.tick(0.5) == [("make it night", 1.0, "obs:text")]


def test_the_status_text_is_written_when_it_changed_and_at_most_once_a_second(path: Path) -> None:
    """Catches ten writes a second for a latency that trembles, and a text that stays behind."""
    stage = Stage(path, 'status_text = "Shown"\n', inputs={"Shown": {}})
    stage.tick()
    assert stage.link.inputs["Shown"] == {"text": "golden light, 180 ms"}
    for step in range(20):
        trembling = Latency(178.0 + step % 5, 260.0)
        stage.commands.found = replace(stage.commands.found, glass_to_sink=trembling)
        stage.tick()
    assert stage.link.asked("SetInputSettings") == 1
    stage.commands.found = replace(stage.commands.found, pending="make it night")
    stage.tick(1.0)
    assert stage.link.inputs["Shown"] == {"text": "make it night ..."}
    stage.commands.found = replace(stage.commands.found, mode=Mode.SLATE)
    stage.tick(0.1)
    assert stage.link.asked("SetInputSettings") == 2
    stage.tick(1.0)
    assert stage.link.inputs["Shown"] == {"text": "still card"}


def test_a_missing_status_text_is_told_and_used_when_it_comes(path: Path) -> None:
    """Catches a status text that is given up for good."""
    stage = Stage(path, 'status_text = "Shown"\n', inputs={})
    stage.tick()
    assert 'input "Shown"' in str(stage.bridge.notice)
    stage.link.inputs["Shown"] = {}
    stage.tick(1.1)
    assert stage.link.inputs["Shown"] == {"text": "golden light, 180 ms"}
