"""What is accepted as an instruction, and what the status says."""

from __future__ import annotations

import math
from typing import Any

import pytest
from daemon_fakes import frame, small
from fake_clock import Clock
from no_recorder import no_choice, no_recorder

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.controller import HOLDING_S, Controller
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.run import Run
from liveedit_cam.errors import InstructionError
from liveedit_cam.limits import MAX_SEED
from liveedit_cam.types import MAX_PROMPT_CHARS, Frame, Mode, Region, State, Status


class Room:
    """A Controller and what it looks at."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.ledger = EditLedger(self.clock.now)
        self.board = Board(Status(source="pattern", last_error="earlier"))
        self.metrics = Metrics()
        self.inbox = FrameInbox(4)
        self.shown: Latest[Frame] = Latest()
        self.controller = Controller(
            self.ledger,
            Run(self.board, self.metrics, self.clock.now),
            self.inbox,
            self.shown,
            recorder=no_recorder(self.board),
            choose=no_choice,
        )


@pytest.mark.parametrize(
    "prompt",
    ["make it night", "x" * MAX_PROMPT_CHARS, "夜にして", "make it <b>&amp;"],
)
def test_any_line_of_text_is_accepted(prompt: str) -> None:
    """Catches a check that refuses other languages, signs or the full length."""
    instruction = Room().controller.instruct(prompt)
    assert instruction.prompt == prompt


@pytest.mark.parametrize(
    ("prompt", "got"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("\u3000\u200b", "empty"),
        ("x" * (MAX_PROMPT_CHARS + 1), f"{MAX_PROMPT_CHARS + 1} characters"),
        ("night\x00", "U+0000 at position 5"),
        ("🌙", "🌙"),
        ("\ud800", "U+D800"),
        (7, "type int"),
        (None, "type NoneType"),
    ],
)
def test_unusable_prompt_is_refused(prompt: str, got: str) -> None:
    """Catches text that breaks the terminal, the log or the tokenizer later."""
    room = Room()
    with pytest.raises(InstructionError) as caught:
        room.controller.instruct(prompt)
    assert got in caught.value.message
    assert caught.value.hint
    assert room.ledger.next_for_engine() is None


@pytest.mark.parametrize("strength", [-0.01, 1.01, math.nan, math.inf, "1", None, True])
def test_unusable_strength_is_refused(strength: float) -> None:
    """Catches a value that would turn the picture black or into noise."""
    with pytest.raises(InstructionError, match="strength"):
        Room().controller.instruct("night", strength=strength)


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, 1.0, True, "3"])
def test_unusable_seed_is_refused(seed: int) -> None:
    """Catches a seed that only fails inside the engine."""
    with pytest.raises(InstructionError, match="seed"):
        Room().controller.instruct("night", seed=seed)


@pytest.mark.parametrize(
    "values",
    [
        (-0.1, 0, 0.5, 0.5),
        (0, 0, 0, 1),
        (0.6, 0, 0.5, 1),
        (0, 0.5, 1, 0.6),
        (0, 0, math.nan, 1),
        (0, 0, "1", 1),
    ],
)
def test_region_outside_the_picture_is_refused(values: tuple[float, float, float, float]) -> None:
    """Catches an empty or overhanging region, an index error in every chunk."""
    with pytest.raises(InstructionError, match="region"):
        Room().controller.instruct("night", region=Region(*values))


def test_accepted_values_reach_the_engine_unchanged() -> None:
    """Catches a field lost on the way, and a region refused for a rounding error."""
    room = Room()
    region = Region(0.1, 0.2, 0.9, 0.8)
    answer = room.controller.instruct(
        " night ", strength=0, region=region, seed=MAX_SEED, origin="web"
    )
    assert room.ledger.next_for_engine() == answer
    assert (answer.prompt, answer.strength, answer.region) == ("night", 0.0, region)
    assert (answer.seed, answer.origin, answer.revision) == (MAX_SEED, "web", 1)
    assert answer.created_at == room.clock.now_s


def test_status_gathers_everything() -> None:
    """Catches figures that never reach the status."""
    room = Room()
    assert (room.controller.status().strength, room.controller.status().region) == (1.0, None)
    left = Region(0, 0, 0.5, 1)
    room.controller.instruct("night", strength=0.25, region=left, seed=4)
    room.controller.set_mode(Mode.BYPASS)
    for index in range(6):
        room.inbox.put(small(index, index / 30))
    room.clock.wait(3.0)
    status = room.controller.status()
    assert (status.mode, status.source, status.pending) == (Mode.BYPASS, "pattern", "night")
    assert (status.strength, status.region, status.seed) == (0.25, left, 4)
    assert (status.frames_skipped, status.uptime_s) == (2, 3.0)
    assert room.controller.status().last_error == "earlier"


def test_live_becomes_holding_without_edited_frames() -> None:
    """Catches "live" on the screen while the same picture is shown again and again."""
    room = Room()
    room.board.update(state=State.LIVE)
    room.metrics.edited(0.1, 0.0, room.clock.now_s)
    assert room.controller.status().state is State.LIVE
    room.clock.wait(HOLDING_S + 0.01)
    assert room.controller.status().state is State.HOLDING


def test_shown_is_the_frame_written_last() -> None:
    """Catches a preview of something the sinks never saw."""
    room = Room()
    assert room.controller.shown() is None
    last = frame(3)
    room.shown.put(last)
    assert room.controller.shown() is last


def test_a_prompt_ahead_is_checked_and_changes_nothing() -> None:
    """Catches an empty prompt sent to the engine, and a preview that already edits."""
    room = Room()
    with pytest.raises(InstructionError):
        room.controller.prepare("  ")
    room.controller.prepare("make it night")
    assert room.ledger.next_to_prepare() == "make it night"
    assert room.controller.status().pending is None


def test_a_text_is_checked_without_being_given() -> None:
    """Issue 20: catches a half-typed text that is edited by, and an answer of an engine that died:
    the new one has encoded nothing, and would never be asked to."""
    room = Room()
    assert room.controller.unknown_words("a galaxy ") is None
    assert room.ledger.next_to_prepare() == "a galaxy"
    room.ledger.prepared("a galaxy", ("galaxy",))
    assert room.controller.unknown_words("a galaxy") == ("galaxy",)
    assert room.ledger.next_to_prepare() is None
    assert room.controller.status().pending is None
    room.ledger.forget_prepared()
    assert room.controller.unknown_words("a galaxy") is None
    with pytest.raises(InstructionError):
        room.controller.unknown_words("no snow")


@pytest.mark.parametrize("seconds", [-1, 10.5, float("nan"), True, "2"])
def test_a_transition_out_of_range_is_refused(seconds: Any) -> None:
    """Catches a fade that never ends."""
    with pytest.raises(InstructionError, match=r"transition_s.*0 is a cut"):
        Room().controller.instruct("night", transition_s=seconds)
