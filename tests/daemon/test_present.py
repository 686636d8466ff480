"""Which picture is shown: the whole rule as a table, then sinks that fail and come back."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from daemon_fakes import SIZE, FakeSink, frame
from fake_clock import Clock

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.present import (
    REST_TICKS,
    Picture,
    Presenter,
    Rules,
    Screens,
    Showings,
    choose,
    slate_text,
)
from liveedit_cam.daemon.run import Run
from liveedit_cam.pacing import Pacer
from liveedit_cam.types import EditInstruction, Frame, Mode, OnFailure, State, Status

CARD, RAW, EDITED = Picture.SLATE, Picture.RAW, Picture.EDITED
NEVER, FRESH, OLD = None, 0.1, 2.1


@pytest.mark.parametrize(
    ("mode", "edited", "raw", "on_slate", "on_raw"),
    [
        (Mode.EDIT, FRESH, FRESH, EDITED, EDITED),
        (Mode.EDIT, FRESH, OLD, EDITED, EDITED),
        (Mode.EDIT, OLD, FRESH, CARD, RAW),
        (Mode.EDIT, OLD, OLD, CARD, CARD),
        (Mode.EDIT, NEVER, FRESH, CARD, RAW),
        (Mode.EDIT, NEVER, NEVER, CARD, CARD),
        (Mode.BYPASS, FRESH, FRESH, RAW, RAW),
        (Mode.BYPASS, NEVER, FRESH, RAW, RAW),
        (Mode.BYPASS, FRESH, OLD, CARD, CARD),
        (Mode.BYPASS, FRESH, NEVER, CARD, CARD),
        (Mode.SLATE, FRESH, FRESH, CARD, CARD),
        (Mode.SLATE, NEVER, FRESH, CARD, CARD),
    ],
)
def test_choose(
    mode: Mode, edited: float | None, raw: float | None, on_slate: Picture, on_raw: Picture
) -> None:
    """Catches the raw camera shown without the user's choice: the one fault nobody can undo."""
    assert choose(mode, Rules(False, 2.0), edited, raw) is on_slate
    assert choose(mode, Rules(True, 2.0), edited, raw) is on_raw


def test_no_hold_does_not_flicker_between_chunks() -> None:
    """Catches a card between every two frames where the user chose to hold for 0 s."""
    assert choose(Mode.EDIT, Rules(False, 0.0), 0.13, FRESH) is EDITED


def test_the_card_tells_a_meeting_no_detail() -> None:
    """Catches a card that shows paths or errors to everyone, or one text for all states."""
    texts = [slate_text(Mode.EDIT, state, has_raw=True) for state in State]
    assert len(set(texts)) == 4
    assert slate_text(Mode.SLATE, State.STOPPED, has_raw=False) == "The picture is paused."
    assert "camera" in slate_text(Mode.EDIT, State.LIVE, has_raw=False)


class Stage:
    """A presenter with everything around it, on a clock of its own, at 10 pictures per second."""

    def __init__(
        self,
        *outlets_of: list[FakeSink],
        is_raw_on_failure: bool = False,
        wanted: Event | None = None,
    ) -> None:
        self.clock = Clock()
        self.playout = Playout()
        self.raw: Latest[Frame] = Latest()
        self.shown: Latest[Frame] = Latest()
        self.ledger = EditLedger(self.clock.now)
        rule = OnFailure.RAW if is_raw_on_failure else OnFailure.SLATE
        self.board = Board(Status(state=State.LIVE, on_failure=rule))
        self.metrics = Metrics()
        run = Run(self.board, self.metrics, self.clock.now)
        self.drained, self.done = run.ends.composing, run.ends.run
        self.showings = Showings(self.ledger, self.metrics, self.clock.now)
        self.outlets = [self._outlet(sinks) for sinks in outlets_of]
        self.presenter = Presenter(
            self.outlets,
            Screens(SIZE, self.playout, self.raw, self.shown),
            2.0,
            Pacer(10, now=self.clock.now, sleep=self.clock.wait),
            run,
            wanted=wanted,
        )

    def _outlet(self, sinks: list[FakeSink]) -> Outlet:
        """The first sink, then each time it is opened again the next one."""
        waiting = iter(sinks)
        return Outlet(next(waiting), lambda: next(waiting), self.clock.now, self.showings.written)

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.presenter.step()
            for outlet in self.outlets:
                assert outlet.step()


def edited(index: int, captured_at: float) -> Frame:
    """A frame with a field of a tenth of a second before on it."""
    return replace(frame(index, captured_at, revision=1), field_at=captured_at - 0.1)


def test_modes_switch_with_the_next_picture() -> None:
    """Catches a SLATE that still lets frames of the camera out, and a BYPASS that is edited."""
    sink = FakeSink()
    stage = Stage([sink])
    stage.ledger.accept(EditInstruction("mark"))
    stage.raw.put(frame(20, stage.clock.now_s))
    stage.playout.put([edited(10, stage.clock.now_s)], stage.clock.now_s)
    for mode in (Mode.EDIT, Mode.BYPASS, Mode.SLATE, Mode.EDIT):
        stage.board.update(mode=mode)
        stage.tick()
    assert [f.index for f in sink.frames if f.revision] == [10, 10]
    assert sink.frames[1].index == 20
    card = sink.frames[2].pixels
    assert card.shape == (SIZE[1], SIZE[0], 3)
    assert len(np.unique(card)) > 2
    assert stage.shown.get() is sink.frames[3]


@pytest.mark.parametrize("mode", [Mode.BYPASS, Mode.SLATE])
def test_a_mode_is_at_the_sink_within_two_ticks(mode: Mode) -> None:
    """Issue 20: counted in ticks, no clock; catches pictures that are queued before the switch.

    The switch comes at the worst moment, after the presenter chose its picture, and the sink's
    thread is a tick behind.
    """
    sink = FakeSink()
    stage = Stage([sink])
    stage.ledger.accept(EditInstruction("mark"))
    stage.raw.put(frame(20, stage.clock.now_s))
    queued = [edited(number, stage.clock.now_s) for number in range(10)]
    stage.playout.put(queued, stage.clock.now_s)
    stage.tick(3)
    assert sink.frames[-1].revision == 1
    assert stage.presenter.step()  # an edited picture was offered, and not written yet
    stage.board.update(mode=mode)
    num_before = len(sink.frames)
    for _ in range(2):
        stage.outlets[0].step()
        assert stage.presenter.step()
    stage.outlets[0].step()
    written = sink.frames[num_before:]
    assert [one.revision for one in written] == [1, 0, 0]
    assert (written[1].index == 20) is (mode is Mode.BYPASS)


def test_a_rule_for_failures_is_changed_while_it_runs() -> None:
    """Issue 20: a preset may say so; catches a rule read once, at the start."""
    sink = FakeSink()
    stage = Stage([sink])
    stage.raw.put(frame(20, stage.clock.now_s))
    stage.tick()
    stage.board.update(on_failure=OnFailure.RAW)
    stage.tick()
    stage.board.update(on_failure=OnFailure.SLATE)
    stage.tick()
    assert [one.index == 20 for one in sink.frames] == [False, True, False]


def test_without_new_frames_the_last_one_stays_then_the_card() -> None:
    """Catches a face frozen for ever, and a card at the first missing frame."""
    sink = FakeSink()
    stage = Stage([sink])
    stage.ledger.accept(EditInstruction("mark"))
    stage.playout.put([edited(10, stage.clock.now_s)], stage.clock.now_s)
    stage.tick(30)
    revisions = [f.revision for f in sink.frames]
    assert sum(revisions) in (20, 21)  # 2 s at 10 pictures per second, the last one on the edge
    assert revisions == sorted(revisions, reverse=True)


def test_visible_is_reported_at_the_first_write_only() -> None:
    """Catches latencies that grow with every repetition of a held frame."""
    stage = Stage([FakeSink()])
    stage.ledger.accept(EditInstruction("mark"))
    captured_at = stage.clock.now_s
    stage.clock.wait(0.25)
    stage.playout.put([edited(10, captured_at)], stage.clock.now_s)
    stage.tick(5)
    figures = stage.metrics.snapshot(stage.clock.now_s)
    assert figures.frames_shown == 1
    assert figures.glass_to_sink.p95_ms == pytest.approx(250)
    assert figures.field_age.p95_ms == pytest.approx(350)
    assert stage.ledger.wait_visible(1, 0.0) == pytest.approx(0.25)


def test_edit_in_slate_mode_is_not_visible() -> None:
    """Catches `edit --wait` that answers "visible" while the card hides the edit."""
    stage = Stage([FakeSink()])
    stage.ledger.accept(EditInstruction("mark"))
    stage.board.update(mode=Mode.SLATE)
    stage.playout.put([edited(1, stage.clock.now_s)], stage.clock.now_s)
    stage.tick(3)
    assert stage.ledger.view().instruction is None


def test_a_failing_sink_comes_back_while_the_other_goes_on() -> None:
    """Catches one unplugged device that stops the others, or is never opened again."""
    broken, again, steady = FakeSink("cam", failing=[3]), FakeSink("cam again"), FakeSink("file")
    stage = Stage([broken, again], [steady])
    stage.tick(4)  # the fourth tells what the third write met
    status = stage.board.status()
    assert status.sinks == ("cam, being reopened", "file")
    assert status.last_error == "cam is gone. Plug it in."
    assert broken.num_closes == 1
    stage.tick(16)
    assert len(steady.frames) == 20
    assert len(broken.frames) == 2
    assert len(again.frames) == 13  # 0.5 s of back-off at 10 pictures per second
    assert stage.board.status().sinks == ("cam again", "file")


def test_a_sink_that_blocks_costs_the_others_no_tick() -> None:
    """Catches one hung device that stops all pictures for as long as it hangs (issue 15).

    Its thread is one that never runs here; what waits for it is the newest frame alone.
    """
    steady = FakeSink()
    stage = Stage([FakeSink("hung")], [steady])
    hung, good = stage.outlets
    for index in range(20):
        stage.raw.put(frame(index, stage.clock.now_s))
        stage.board.update(mode=Mode.BYPASS)
        assert stage.presenter.step()
        assert good.step()
    assert [f.index for f in steady.frames] == list(range(20))
    assert hung.step()
    assert stage.shown.get() is steady.frames[-1]


def test_an_edited_frame_counts_once_however_many_sinks_there_are() -> None:
    """Catches twice the frame rate with two sinks."""
    stage = Stage([FakeSink("a")], [FakeSink("b")])
    stage.ledger.accept(EditInstruction("mark"))
    stage.playout.put([edited(10, stage.clock.now_s)], stage.clock.now_s)
    stage.tick(3)
    assert stage.metrics.snapshot(stage.clock.now_s).frames_shown == 1


def test_a_stall_is_late_once_and_not_followed_by_a_burst() -> None:
    """Catches the burst of 60 frames in a second after a stall, and lateness not counted."""
    sink = FakeSink()
    stage = Stage([sink])
    stage.tick(5)
    stage.clock.wait(3.05)
    began_at, num_before = stage.clock.now_s, len(sink.frames)
    while stage.clock.now_s < began_at + 1.0:
        stage.tick()
    assert len(sink.frames) - num_before <= 12
    assert stage.metrics.snapshot(stage.clock.now_s).late_ticks == 1


def test_done_only_after_the_last_frame_was_shown() -> None:
    """Catches a file whose last second is never seen."""
    sink = FakeSink()
    stage = Stage([sink])
    stage.ledger.accept(EditInstruction("mark"))
    start = stage.clock.now_s
    stage.playout.put([edited(i, start + i / 10) for i in range(8)], start)
    stage.drained.set()
    while not stage.done.is_set():
        stage.tick()
    assert sink.frames[-1].index == 7
    assert len(sink.frames) < 12


def test_while_nobody_watches_the_card_is_written_seldom() -> None:
    """Issue 18: catches a card at 30 pictures a second, all night, for nobody."""
    sink, wanted = FakeSink(), Event()
    stage = Stage([sink], wanted=wanted)
    stage.tick(3 * REST_TICKS)
    assert len(sink.frames) == 3
    wanted.set()
    stage.tick(5)
    assert len(sink.frames) == 8
