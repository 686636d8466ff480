"""Capture, engine and compositor by hand, step after step, and the thread that repeats them."""

from __future__ import annotations

from dataclasses import replace
from threading import Event

import numpy as np
import pytest
from daemon_fakes import (
    CHUNK_FRAMES,
    MARK,
    MODEL_SIZE,
    REPORT,
    SIZE,
    EchoLink,
    FakeSource,
    frame,
    small,
)
from fake_clock import Clock

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.capture import Capture, Outputs
from liveedit_cam.daemon.compositor import Compositor
from liveedit_cam.daemon.editing import Editing
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.loop import SHOWN_S, Loop
from liveedit_cam.daemon.mailbox import FrameInbox, Latest, WorkBox
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.run import Run
from liveedit_cam.engine.messages import Edited, Fatal
from liveedit_cam.engine.supervisor import EngineSupervisor
from liveedit_cam.errors import SourceError, WeightsError
from liveedit_cam.types import EditInstruction, Frame, LatencyMode, ModelSize, State, Status

GONE = SourceError("The camera is gone.", hint="Plug it in.")


class Camera(FakeSource):
    """Gives the frame that was put before it, and has no end."""

    def __init__(self) -> None:
        super().__init__([])
        self.before_it = frame(0)

    def read(self) -> Frame:
        return self.before_it


class Desk:
    """Capture, editing and compositor around their boxes; without a source, before a Camera."""

    def __init__(
        self,
        *sources: FakeSource | SourceError,
        latency: LatencyMode = LatencyMode.LIVE,
        waits: bool = False,
    ) -> None:
        self.clock = Clock()
        self.inbox = FrameInbox(8)
        self.raw: Latest[Frame] = Latest()
        self.work = WorkBox()
        self.model_size: Latest[ModelSize] = Latest()
        self.model_size.put(MODEL_SIZE)
        self.board = Board(Status(latency=latency))
        self.metrics = Metrics()
        self.ledger = EditLedger(self.clock.now)
        self.playout = Playout()
        run = Run(self.board, self.metrics, self.clock.now)
        self.stop, self.ends = run.stop, run.ends
        self.wanted = Event()
        self.wanted.set()
        self.link = EchoLink()
        self.wakes = 0
        self.camera = Camera()
        self._sources = list(sources or [self.camera])
        self.editing = Editing(
            EngineSupervisor(self.link, now=self.clock.now, pause=self.clock.wait),
            self.inbox,
            self.work,
            self.model_size,
            self.ledger,
            run,
            wanted=self.wanted,
        )
        self.capture = Capture(
            self._open(),
            self._open,
            SIZE,
            Outputs(self.raw, self.inbox, self.work, self.model_size, self._wake),
            run,
            may_begin=self.editing.can_edit if waits else None,
            wanted=self.wanted,
        )
        self.compositor = Compositor(self.work, self.playout, run, hold_s=2.0)

    def _wake(self) -> None:
        self.wakes += 1

    def see(self, seen: Frame) -> None:
        """Let the camera give that frame now."""
        self.camera.before_it = seen
        assert self.capture.step()

    def shown(self) -> Frame | None:
        return self.playout.show(self.clock.now_s + 100)

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
    first, second = (shot.frame for shot in desk.work.take(0.0).shots)
    assert (first.index, second.index, second.captured_at) == (0, 1, 5.0)
    assert second.pixels.shape == (SIZE[1], SIZE[0], 3)
    assert desk.raw.get() is second
    assert desk.wakes == 2
    assert second.box is not None
    lit = np.flatnonzero(second.pixels.any(axis=(1, 2)))
    assert (second.box.y, second.box.height) == (lit[0], len(lit))
    assert (second.box.x, second.box.width) == (0, SIZE[0])
    assert second.box.y > 0
    (seen,) = desk.inbox.take(1)
    assert (seen.index, seen.captured_at) == (1, 5.0)
    assert seen.part is not None
    assert seen.part.y == second.box.y / SIZE[1]
    assert np.all(seen.pixels == 9)
    assert (seen.pixels.shape[1], seen.pixels.shape[0]) == MODEL_SIZE.of(64, second.box.height)


def test_a_source_that_can_wait_waits_for_the_editor() -> None:
    """Catches a clip played once of which the recording shows the waiting card (issue 15)."""
    desk = Desk(FakeSource([frame(0)]), waits=True)
    assert desk.capture.step()
    assert desk.raw.get() is None
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(4)
    assert desk.capture.step()
    assert desk.raw.get() is not None


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
    assert [shot.frame.index for shot in desk.work.take(0.0).shots] == [0, 1]
    assert desk.board.status().source == "fake source"
    assert desk.board.status().last_error is None


def test_end_of_source_is_not_an_error() -> None:
    """Catches a file played once that is opened again or shown as a failure."""
    desk = Desk(FakeSource([]))
    assert not desk.capture.step()
    assert desk.ends.source.is_set()
    assert desk.board.status().last_error is None


def test_a_source_closed_on_purpose_is_not_an_error() -> None:
    """Catches "camera lost" as the last word of every clean stop."""
    desk = Desk(FakeSource([GONE]))
    desk.stop.set()
    assert desk.capture.step()
    assert desk.board.status().last_error is None


def live(desk: Desk, *indices: int) -> None:
    """Let frames be captured now, each a thirtieth of a second after the one before."""
    for index in indices:
        desk.clock.wait(1 / 30)
        desk.see(frame(index, desk.clock.now_s))


def test_the_newest_field_goes_on_every_frame_at_once() -> None:
    """Catches frames that wait for the model, a lost revision, and a status that says nothing."""
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    assert desk.board.status().state is State.WARMING
    assert desk.ledger.view().notice == "unknown words: foo"
    live(desk, 0, 1)
    desk.edit(1)
    desk.compositor.step()
    for index in (2, 3, 4):
        live(desk, index)
        desk.compositor.step()
        shown = desk.shown()
        assert shown is not None
        assert (shown.index, shown.revision) == (index, 1)
        assert np.all(shown.pixels == index + MARK)
        assert shown.source is not None
        assert np.all(shown.source == index)
        assert shown.field_at == pytest.approx(desk.clock.now_s - (index - 1) / 30)
    status = desk.board.status()
    assert (status.state, status.model, status.device) == (State.LIVE, "echo", "cuda:0")
    assert (status.kv_latents, status.engine_pid, status.num_steps) == (6, desk.link.pid, 4)
    assert desk.metrics.snapshot(desk.clock.now_s).frames_edited == 4
    assert desk.link.submitted[0][1] is False


def test_exact_frames_wait_for_their_own_field() -> None:
    """Catches a field on another frame than its own where the user asked for exactness."""
    desk = Desk(latency=LatencyMode.EXACT)
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    live(desk, 0, 1)
    desk.compositor.step()
    assert desk.shown() is None
    desk.edit(1)
    live(desk, 2)
    desk.compositor.step()
    shown = desk.shown()
    assert shown is not None
    assert (shown.index, shown.field_at) == (1, shown.captured_at)
    assert np.all(shown.pixels == 1 + MARK)
    assert desk.link.submitted[0][1] is True


def test_a_change_of_latency_takes_effect_without_a_restart() -> None:
    """Catches a switch that needs a new run, and frames of the other way shown after it."""
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    live(desk, 0, 1)
    desk.edit(1)
    desk.compositor.step()
    desk.board.update(latency=LatencyMode.EXACT)
    live(desk, 2, 3)
    desk.edit(1)
    desk.compositor.step()
    shown = desk.shown()
    assert shown is not None
    assert (shown.index, shown.field_at) == (3, shown.captured_at)


def edited_up_to(desk: Desk) -> int | None:
    desk.compositor.step()
    shown = desk.shown()
    return None if shown is None else shown.index


def test_no_frame_is_made_where_no_field_may_be_used() -> None:
    """Catches a raw frame, or one under a field that is too old or of another part.

    The playout then keeps the last edited frame, and the presenter counts its age.
    """
    desk = Desk()
    live(desk, 0)
    assert edited_up_to(desk) is None
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    live(desk, 1, 2)
    desk.edit(1)
    assert edited_up_to(desk) == 2
    desk.clock.wait(1.9)
    live(desk, 3)
    assert edited_up_to(desk) == 3
    desk.clock.wait(0.2)
    live(desk, 4)
    assert edited_up_to(desk) == 3
    live(desk, 5, 6)
    desk.edit(1)
    assert edited_up_to(desk) == 6
    desk.clock.wait(1 / 30)
    tall = Frame(np.full((48, 20, 3), 7, np.uint8), 7, desk.clock.now_s)
    desk.see(tall)
    assert edited_up_to(desk) == 6


def test_the_picture_goes_on_while_the_editor_wants_another_size() -> None:
    """Catches a picture that stops until the first field of the new size is there: a step down, or
    the local editor in a server's place (issue 21: 0.46 s).
    """
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    live(desk, 0, 1)
    desk.edit(1)
    assert edited_up_to(desk) == 1
    desk.model_size.put(replace(MODEL_SIZE, num_tokens=2 * MODEL_SIZE.num_tokens))
    live(desk, 2)
    (seen,) = desk.inbox.take(1)
    (edited, _), *_ = desk.link.submitted
    assert seen.pixels.shape != edited[-1].pixels.shape, "the field is of another size"
    assert edited_up_to(desk) == 2
    shown = desk.shown()
    assert shown is not None
    assert shown.revision == 1
    assert np.all(shown.pixels == 2 + MARK)


def test_a_slow_editors_field_is_carried_on_until_its_next() -> None:
    """Catches a picture that blinks with a model of one field in four seconds (issue 15).

    Three times that distance a field is carried on, and no longer.
    """
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)

    def watch(seconds: float) -> bool:
        """Half a second at a time; whether the last picture was edited."""
        for _ in range(round(2 * seconds)):
            desk.clock.wait(0.5)
            newest = frame(7, desk.clock.now_s)
            desk.see(newest)
            edited_up_to(desk)
        shown = desk.shown()
        return shown is not None and shown.captured_at == newest.captured_at

    assert not watch(1.0)
    for is_carried in (False, True):  # the first field has no distance yet
        desk.edit(1)
        assert watch(4.0) is is_carried
    assert watch(7.5)
    assert not watch(1.5)


def test_a_field_of_the_scene_before_a_cut_is_not_used() -> None:
    """Catches half a second of the last scene's edit on the next one."""
    rng = np.random.default_rng(0)
    scenes = [rng.integers(0, 256, (6, 8, 3), dtype=np.uint8) for _ in range(2)]
    pictures = [np.kron(s, np.ones((8, 8, 1), np.uint8)) for s in scenes]
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)

    def capture(scene: int, index: int) -> None:
        desk.clock.wait(1 / 30)
        desk.see(Frame(pictures[scene], index, desk.clock.now_s))

    for index in (0, 1):
        capture(0, index)
    desk.edit(1)
    capture(0, 2)
    assert edited_up_to(desk) == 2
    capture(1, 3)
    assert edited_up_to(desk) == 2
    capture(1, 4)
    capture(1, 5)
    desk.edit(1)
    assert edited_up_to(desk) == 5


def test_a_field_from_before_a_rest_is_not_used() -> None:
    """Catches the last call's edit on the first pictures of the next, where edits are rare."""
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)

    def capture(index: int, after_s: float) -> None:
        desk.clock.wait(after_s)
        desk.see(frame(index, desk.clock.now_s))

    for index in (0, 2):  # two chunks, the second long after the first
        capture(index, 2.0)
        capture(index + 1, 1 / 30)
        desk.edit(1)
        assert edited_up_to(desk) == index + 1
    capture(4, 3.5)  # young enough for edits that are so rare
    assert edited_up_to(desk) == 3


def test_black_bars_are_no_part_of_the_edit() -> None:
    """Catches bars that are tinted: a phone held upright in a wide picture."""
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    for index in (0, 1):
        desk.clock.wait(1 / 30)
        tall = Frame(np.full((48, 24, 3), 100, np.uint8), index, desk.clock.now_s)
        desk.see(tall)
    desk.edit(1)
    desk.compositor.step()
    shown = desk.shown()
    assert shown is not None
    assert np.all(shown.pixels[:, 20:44] == 100 + MARK)
    assert not shown.pixels[:, :20].any()
    assert not shown.pixels[:, 44:].any()


def test_all_of_a_source_with_an_end_is_edited() -> None:
    """Catches a file whose last frames are never edited, or a program that never ends after it."""
    desk = Desk(FakeSource([frame(0, 1000.0)]), latency=LatencyMode.EXACT)
    desk.ledger.accept(EditInstruction("mark"))
    while desk.capture.step():
        pass
    desk.edit(3)
    desk.compositor.step()
    assert not desk.ends.editing.is_set()
    assert not desk.ends.composing.is_set()
    desk.edit(3)
    assert desk.ends.editing.is_set()
    desk.compositor.step()
    assert desk.ends.composing.is_set()
    assert desk.metrics.snapshot(desk.clock.now_s).frames_edited == 1
    assert [f.index for f in desk.link.submitted[0][0]] == [0, 0]


def test_an_answer_without_a_field_is_no_edit() -> None:
    """Catches a rate of edits that counts answers of a far model that has nothing yet."""
    desk = Desk(FakeSource([]))
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(4)
    desk.inbox.put(small(0, desk.clock.now_s))
    desk.inbox.put(small(1, desk.clock.now_s))
    desk.edit(1)
    before = desk.board.status().field_map
    desk.link.answers.append(Edited((), 0.1, REPORT, CHUNK_FRAMES, MODEL_SIZE))
    desk.edit(1)
    assert before is not None
    assert desk.board.status().field_map == before
    assert len(desk.work.take(0.0).fields) == 1
    assert desk.metrics.snapshot(desk.clock.now_s).fields_per_second == 0, "two events are a rate"


def test_the_first_chunk_is_of_the_newest_frames() -> None:
    """Catches an edit that starts with what waited for the model to load."""
    desk = Desk(FakeSource([]))
    desk.ledger.accept(EditInstruction("mark"))
    for index in range(8):
        desk.inbox.put(small(index, desk.clock.now_s + index / 30))
    desk.edit(4)
    frames, _ = desk.link.submitted[0]
    assert [f.index for f in frames] == [6, 7]


def test_refusals_and_failures_are_shown() -> None:
    """Catches an instruction that stays pending for ever, and failures nobody sees."""
    desk = Desk(FakeSource([]))
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)
    desk.ledger.accept(EditInstruction("refuse"))
    desk.edit(1)
    assert (desk.ledger.wait_settled(2, 0.0).refused, desk.ledger.view().pending) == (
        "impossible",
        None,
    )
    assert desk.board.status().last_error == "impossible"
    desk.ledger.accept(EditInstruction("raise"))
    desk.edit(1)
    assert desk.board.status().last_error is None
    for index in range(2):
        desk.inbox.put(small(index, index / 30))
    desk.edit(1)
    assert desk.board.status().last_error == "bad chunk"
    assert desk.metrics.snapshot(desk.clock.now_s).frames_edited == 0


def test_a_fault_that_is_over_is_told_no_more() -> None:
    """Catches an error of an hour ago that hides the one of now (issue 15)."""
    board = Board(Status())
    board.fault("source", "gone")
    board.fault("sink 0", "full")
    assert board.status().last_error == "full"
    board.fault("sink 0", None)
    assert board.status().last_error == "gone"
    board.fault("source", None)
    board.fault("engine", None)
    assert board.status().last_error is None


def test_hopeless_start_ends_the_service() -> None:
    """Catches a program that shows its card for ever because the model's name was wrong."""
    desk = Desk(FakeSource([]))
    desk.edit(1)
    error = WeightsError("No weights.")
    desk.link.answers[:] = [Fatal(error)]
    desk.edit(1)
    assert desk.ends.run.is_set()
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
    loop = Loop("present", step, Run(board, Metrics(), Clock().now, stop=Impatient()))
    loop.start()
    assert loop.join(30)
    assert results == []
    assert board.status().last_error == "The present loop failed: ValueError: odd"


def test_a_loops_failure_leaves_the_status_once_it_is_over() -> None:
    """Catches its text in the status until the end, and over every later fault."""
    clock, board, told = Clock(), Board(Status()), []

    class Passing(Event):
        """A stop signal during whose wait the clock runs."""

        def wait(self, timeout: float | None = None) -> bool:
            clock.now_s += timeout or 0.0
            return self.is_set()

    def step() -> bool:
        told.append(board.status().last_error)
        if len(told) == 1:
            raise ValueError("odd")
        clock.now_s += SHOWN_S / 2
        return len(told) < 5

    loop = Loop("present", step, Run(board, Metrics(), clock.now, stop=Passing()))
    loop.start()
    assert loop.join(30)
    failed = "The present loop failed: ValueError: odd"
    assert told == [None, failed, failed, None, None]


def test_board_refuses_unknown_facts() -> None:
    """Catches a misspelt field that would silently never reach the status."""
    with pytest.raises(TypeError):
        Board(Status()).update(staet=State.LIVE)


def test_a_picture_laid_out_anew_is_another_scene() -> None:
    """Issue 20: catches a field of before the mirroring, which edits the wrong side."""
    desk = Desk()
    desk.ledger.accept(EditInstruction("mark"))
    desk.edit(3)

    def capture(index: int) -> None:
        desk.clock.wait(1 / 30)
        desk.see(frame(index, desk.clock.now_s))

    for index in (0, 1):
        capture(index)
    desk.edit(1)
    capture(2)
    assert edited_up_to(desk) == 2
    desk.board.update(mirror=True)
    capture(3)
    assert edited_up_to(desk) == 2
    capture(4)
    capture(5)
    desk.edit(1)
    assert edited_up_to(desk) == 5
