"""MIDI messages from a port of the test: what they do, and a device that is pulled out."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from numbering import NumberingController

from liveedit_cam import midi
from liveedit_cam.errors import UsageError
from liveedit_cam.midi import FIRST_NOTE, MidiSession, obey

PATIENCE_S = 10.0


def note(number: int, velocity: int = 100) -> SimpleNamespace:
    return SimpleNamespace(type="note_on", note=number, velocity=velocity)


def fader(control: int, value: int) -> SimpleNamespace:
    return SimpleNamespace(type="control_change", control=control, value=value)


class Device:
    """Gives what is in ``waiting``; an error there is raised."""

    name = "Pads"

    def __init__(self) -> None:
        self.waiting: list[list[Any] | Exception] = []
        self.is_closed = False

    def iter_pending(self) -> list[Any]:
        if not self.waiting:
            return []
        found = self.waiting.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self) -> None:
        self.is_closed = True


def until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.005)


def test_pads_programs_and_the_fader_do_what_they_say() -> None:
    """Catches pads off by one, and a key let go that applies its preset again."""
    commands = NumberingController()
    looks = commands.presets.shelf().presets
    obey(commands, note(FIRST_NOTE + 2))
    obey(commands, note(FIRST_NOTE + 2, velocity=0))
    obey(commands, SimpleNamespace(type="program_change", program=0))
    obey(commands, fader(7, 127))
    obey(commands, fader(10, 64))
    obey(commands, SimpleNamespace(type="clock"))
    told = [(one.prompt, one.strength) for one in commands.given]
    assert told == [(looks[2].edit, 1.0), (looks[0].edit, 1.0), ("golden light", 1.0)]
    assert all(one.origin.startswith("midi") for one in commands.given)
    with pytest.raises(UsageError, match="got pad 100"):
        obey(commands, note(FIRST_NOTE + 100))


def test_a_fader_that_moves_counts_once_and_a_pulled_device_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Issue 20: a MIDI device pulled out; catches a thread that dies, and 100 edits of one move."""
    monkeypatch.setattr(midi, "FIND_S", 0.02)
    commands, devices, listed = NumberingController(), [Device(), Device(), Device()], ["Pads"]
    plugged = list(devices)

    def open_one(wanted: str) -> Device:
        assert wanted == "pads"
        if not plugged:
            raise OSError("no such port")
        listed[:] = ["Pads"]
        return plugged.pop(0)

    session = MidiSession("pads", commands, open_one, lambda: listed)
    try:
        devices[0].waiting.append([fader(1, value) for value in range(100)] + [note(4000)])
        until(lambda: len(commands.given) == 1)
        assert commands.given[0].strength == pytest.approx(99 / 127)
        devices[0].waiting.append(OSError("unplugged"))
        until(lambda: len(plugged) == 1)
        devices[1].waiting.append([note(FIRST_NOTE)])
        until(lambda: len(commands.given) == 2)
        listed.clear()  # pulled out without an error, as most systems have it
        until(lambda: devices[1].is_closed)
        until(lambda: not plugged)
        devices[2].waiting.append([note(FIRST_NOTE)])
        until(lambda: len(commands.given) == 3)
    finally:
        session.stop()
        session.stop()
    assert devices[2].is_closed
