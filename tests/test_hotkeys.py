"""Global keys, with a listener of the test: what they do, and keys that change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from liveedit_cam.errors import DeviceError
from liveedit_cam.hotkeys import HotkeySession
from liveedit_cam.presets import Applied, Preset, PresetBook
from liveedit_cam.types import Mode, Status


class Controller:
    def __init__(self, path: Path) -> None:
        self.presets = PresetBook(path)
        self.found = Status()
        self.applied: list[str] = []

    def apply_preset(self, name: str, origin: str) -> Applied:
        self.applied.append(name)
        return Applied(name, 1)

    def set_mode(self, mode: Mode) -> None:
        self.found = replace(self.found, mode=mode)

    def status(self) -> Status:
        return self.found


class Keyboard:
    """Keeps what is listened for; ``num_stops`` counts listeners that ended."""

    def __init__(self) -> None:
        self.actions: dict[str, Callable[[], None]] = {}
        self.num_stops = 0

    def listen(self, actions: Mapping[str, Callable[[], None]]) -> Keyboard:
        self.actions = dict(actions)
        return self

    def stop(self) -> None:
        self.num_stops += 1


def test_keys_apply_looks_hide_the_camera_and_follow_the_presets(tmp_path: Path) -> None:
    """Catches a key of a preset that is gone, and a second press that does not show again."""
    commands, keyboard = Controller(tmp_path / "presets.toml"), Keyboard()
    session = HotkeySession(commands, keyboard.listen)
    keyboard.actions["<ctrl>+<alt>+3"]()
    assert commands.applied == ["night"]
    for mode in (Mode.SLATE, Mode.EDIT):
        keyboard.actions["<ctrl>+<alt>+<space>"]()
        assert commands.found.mode is mode
    session.poll()
    assert keyboard.num_stops == 0
    commands.presets.add(Preset("mine", "make it night", hotkey="q"))
    session.poll()
    assert keyboard.num_stops == 1
    keyboard.actions["<ctrl>+<alt>+q"]()
    assert commands.applied == ["night", "mine"]
    session.stop()
    session.stop()
    assert keyboard.num_stops == 2


def test_wayland_is_told_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Catches keys that silently never come."""
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_SESSION_TYPE", "wayland")
    with pytest.raises(DeviceError, match="Wayland"):
        HotkeySession(Controller(tmp_path / "presets.toml"))
