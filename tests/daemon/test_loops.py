"""Capture and engine loop by hand, step after step, and the thread that repeats them."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest
from daemon_fakes import SIZE, Clock, EchoLink, FakeSource, frame

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.capture import Capture
from liveedit_cam.daemon.editing import Editing
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.loop import Loop
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.engine.messages import Fatal
from liveedit_cam.engine.supervisor import EngineSupervisor
from liveedit_cam.errors import SourceError, WeightsError
from liveedit_cam.types import EditInstruction, Frame, State, Status

GONE = SourceError("The camera is gone.", hint="Plug it in.")


class Desk:
    """Capture and editing around one inbox."""

    def __init__(self, *sources: FakeSource | SourceError) -> None:
        self.clock = Clock()
        self.inbox = FrameInbox(8)
        self.raw: Latest[Frame] = Latest()
        self.board = Board(Status())
        self.metrics = Metrics()
        self.ledger = EditLedger(self.clock.now)
        self.playout = Playout()
        self.stop, self.done = Event(), Event()
        self.link = EchoLink()
        self._sources = list(sources)
        self.capture = Capture(
            self._open(),
            self._open,
            SIZE,
            self.inbox,
            self.raw,
            board=self.board,
            metrics=self.metrics,
            stop=self.stop,
            now=self.clock.now,
        )
        self.editing = Editing(
            EngineSupervisor(self.link, now=self.clock.now, pause=self.clock.wait),
            self.inbox,
            self.playout,
            self.ledger,
            board=self.board,
            metrics=self.metrics,
            source_ended=self.capture.ended,
            done=self.done,
            now=self.clock.now,
        )

    def _open(self) -> FakeSource:
        source = self._sources.pop(0)
        if isinstance(source, SourceError):
            raise source
        return source

    def edit(self, steps: int) -> None:
        for _ in range(steps):
            assert self.editing.step()


def test_captured_frames_are_fitted_numbered_and_shared() -> None:
    """Catches a sink that gets another size when the camera changes its own, and reused numbers."""
    wide = Frame(np.full((60, 200, 3), 9, np.uint8), index=77, captured_at=5.0)
    desk = Desk(FakeSource([frame(3), wide]))
    for _ in range(2):
        assert desk.capture.step()
    first, second = desk.inbox.take(2)
    assert (first.index, second.index, second.captured_at) == (0, 1, 5.0)
    assert second.pixels.shape == (SIZE[1], SIZE[0], 3)
    assert desk.raw.get() is second
    assert second.box is not None
    lit = np.flatnonzero(second.pixels.any(axis=(1, 2)))
    assert (second.box.y, second.box.height) == (lit[0], len(lit))
    assert (second.box.x, second.box.width) == (0, SIZE[0])
    assert second.box.y > 0


def test_lost_source_is_opened_again_until_it_is_back() -> None:
    """Catches a camera that stays dead after the cable was plugged in again."""
    first, second = FakeSource([frame(0), GONE]), FakeSource([frame(1)])
    desk = Desk(first, GONE, second)
    assert desk.capture.step()
    assert desk.capture.step()
    assert first.num_closes == 1
    status = desk.board.status()
    assert status.last_error == "The camera is gone. Plug it in."
    assert status.source == "fake source, being reopened"
    desk.clock.wait(1.0)
    assert desk.capture.step()
    desk.clock.wait(1.0)
    assert desk.capture.step()
    assert desk.capture.step()
    assert [f.index for f in desk.inbox.take(2)] == [0, 1]
    assert desk.board.status().source == "fake source"


def test_end_of_source_is_not_an_error() -> None:
    """Catches a file played once that is opened again or shown as a failure."""
    desk = Desk(FakeSource([]))
    assert not desk.capture.step()
    assert desk.capture.ended.is_set()
    assert desk.board.status().last_error is None


def test_a_source_closed_on_purpose_is_not_an_error() -> None:
    """Catches "camera lost" as the last word of every clean stop."""
    desk = Desk(FakeSource([GONE]))
    desk.stop.set()
    assert desk.capture.step()
    assert desk.board.status().last_error is None


def test_chunks_go_to_the_engine_and_into_the_playout() -> None:
    """Catches lost frames, a lost revision or source picture, and a status that says nothing."""
    desk = Desk(FakeSource([]))
    desk.ledger.accept(EditInstruction("invert"))
    desk.edit(3)
    assert desk.board.status().state is State.WARMING
    assert desk.ledger.view().notice == "unknown words: foo"
    for index in range(4):
        desk.inbox.put(frame(index, desk.clock.time))
    desk.edit(2)
    shown = desk.playout.show(desk.clock.time + 1)
    assert shown is not None
    assert (shown.index, shown.revision, int(shown.pixels[0, 0, 0])) == (3, 1, 252)
    assert shown.source is not None
    assert int(shown.source[0, 0, 0]) == 3
    status = desk.board.status()
    assert (status.state, status.model, status.device) == (State.LIVE, "echo", "cuda:0")
    assert (status.kv_latents, status.engine_pid) == (6, desk.link.pid)
    assert desk.metrics.snapshot(desk.clock.time).frames_edited == 2


def test_the_engine_is_drained_only_with_an_inbox_that_is_too_short() -> None:
    """Catches a file whose last frames are never edited, or a program that never ends after it."""
    desk = Desk(FakeSource([frame(0), frame(1), frame(2)]))
    desk.ledger.accept(EditInstruction("invert"))
    while desk.capture.step():
        pass
    desk.edit(3)
    assert not desk.editing.drained.is_set()
    desk.edit(3)
    assert desk.editing.drained.is_set()
    assert desk.metrics.snapshot(desk.clock.time).frames_edited == 2


def test_the_first_chunk_is_of_the_newest_frames() -> None:
    """Catches a second of latency after each start: frames that waited for the model to load."""
    desk = Desk(FakeSource([]))
    desk.ledger.accept(EditInstruction("invert"))
    for index in range(8):
        desk.inbox.put(frame(index, desk.clock.time + index))
    desk.clock.wait(8.0)
    desk.edit(4)
    assert desk.playout.delay_s == pytest.approx(2.0)
    for index in range(8, 12):
        desk.inbox.put(frame(index, desk.clock.time))
    desk.edit(1)
    shown = desk.playout.show(desk.clock.time + 100)
    assert shown is not None
    assert shown.index == 11


def test_refusals_and_failures_are_shown() -> None:
    """Catches an instruction that stays pending for ever, and failures nobody sees."""
    desk = Desk(FakeSource([]))
    desk.ledger.accept(EditInstruction("invert"))
    desk.edit(3)
    desk.ledger.accept(EditInstruction("refuse"))
    desk.edit(1)
    assert desk.ledger.view().rejected_revision == 2
    assert desk.board.status().last_error == "impossible"
    desk.ledger.accept(EditInstruction("raise"))
    desk.edit(1)
    for index in range(2):
        desk.inbox.put(frame(index))
    desk.edit(1)
    assert desk.board.status().last_error == "bad chunk"
    assert desk.metrics.snapshot(desk.clock.time).frames_edited == 0


def test_hopeless_start_ends_the_service() -> None:
    """Catches a program that shows its card for ever because the model's name was wrong."""
    desk = Desk(FakeSource([]))
    desk.edit(1)
    error = WeightsError("No weights.")
    desk.link.answers[:] = [Fatal(error)]
    desk.edit(1)
    assert desk.done.is_set()
    assert desk.editing.failure is error
    assert desk.board.status().state is State.STOPPED


def test_a_loop_keeps_its_exception_and_goes_on() -> None:
    """Catches a thread that dies silently and takes the picture with it."""

    class Impatient(Event):
        """A stop signal whose wait ends at once."""

        def wait(self, timeout: float | None = None) -> bool:
            return self.is_set()

    results: list[bool | Exception] = [ValueError("odd"), True, False]

    def step() -> bool:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    board = Board(Status())
    loop = Loop("present", step, Impatient(), board)
    loop.start()
    assert loop.join(30)
    assert results == []
    assert board.status().last_error == "The present loop failed: ValueError: odd"


def test_board_refuses_unknown_facts() -> None:
    """Catches a misspelt field that would silently never reach the status."""
    with pytest.raises(TypeError):
        Board(Status()).update(staet=State.LIVE)
