"""How camera, engine, output and OBS are, in words for people, and what to do. Pure text."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from liveedit_cam.types import Mode, State, Status

SETTLED_S = 4.0
"""Rates mean something once the program has run for so long."""
LOW_SHARE = 0.8
"""An output below this share of its rate is slow."""


class Level(StrEnum):
    """How it is."""

    GOOD = "good"
    WAIT = "wait"
    BAD = "bad"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the program."""

    name: str
    level: Level
    text: str
    """What it does."""
    fix: str | None = None
    """What to do now; None = nothing."""


def health(status: Status) -> tuple[Part, ...]:
    """Camera, engine, output and OBS, in this order."""
    return _camera(status), _engine(status), _output(status), _obs(status)


def _camera(status: Status) -> Part:
    if status.capture_fps > 0:
        text = f"{status.source or 'a source'}, {status.capture_fps:.0f} pictures a second"
        return Part("camera", Level.GOOD, text)
    if status.uptime_s < SETTLED_S:
        return Part("camera", Level.WAIT, "is being opened")
    return Part(
        "camera",
        Level.BAD,
        f"no picture from {status.source or 'the source'}",
        "Plug it in, or close the program that uses it. It is tried again by itself.",
    )


def _engine(status: Status) -> Part:
    name = f"{status.model} on {status.device}" if status.device else status.model
    match status.state:
        case State.STARTING | State.WARMING:
            return Part("engine", Level.WAIT, f"{name} is loading", "Some seconds more.")
        case State.RECOVERING:
            text = f"is started again, {_times(status.engine_restarts)} so far"
            return Part("engine", Level.BAD, text, "If it repeats: `liveedit-cam run -v` says why.")
        case State.STOPPED:
            return Part("engine", Level.BAD, "cannot be started", status.last_error)
        case State.HOLDING:
            fix = "If it lasts, close what uses the processor, or choose fewer steps."
            return Part("engine", Level.BAD, "no new edit for a while", fix)
    edits = f"{name}, {status.fields_per_second:.0f} edits a second"
    if status.edited_by is not None:
        edits = f"edited by {status.edited_by}; {edits}"
    steps = f", {status.num_steps} step{'s' * (status.num_steps > 1)}" if status.num_steps else ""
    without = f"; to keep up: {status.given_up}" if status.given_up else ""
    return Part("engine", Level.GOOD, edits + steps + without)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _output(status: Status) -> Part:
    names = ", ".join(status.sinks) or "no output"
    text = f"{names}, {status.sink_fps:.0f} pictures a second"
    if status.mode is Mode.BYPASS:
        return Part("output", Level.WAIT, f"the raw camera, {text}", "Switch to edit to edit it.")
    if status.mode is Mode.SLATE:
        return Part("output", Level.WAIT, f"the still card, {text}", "Switch to edit to show it.")
    if status.uptime_s > SETTLED_S and 0 < status.shown_fps < LOW_SHARE * status.capture_fps:
        slow = f"{names}, {status.shown_fps:.0f} new pictures a second"
        fix = "Close what uses the processor, or take a smaller --width and --height."
        return Part("output", Level.WAIT, slow, fix)
    return Part("output", Level.GOOD if status.sink_fps else Level.WAIT, text)


def _obs(status: Status) -> Part:
    match status.obs:
        case "off":
            return Part("OBS", Level.OFF, "not connected", "`liveedit-cam obs setup` connects it.")
        case "connected":
            return Part("OBS", Level.GOOD, _joined("connected", status.obs_detail))
        case _:
            return Part("OBS", Level.WAIT, _joined(status.obs, status.obs_detail))


def _joined(text: str, more: str | None) -> str:
    return f"{text}, {more}" if more else text
