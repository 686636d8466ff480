"""A recording beside a run: real files, read back with PyAV; the present thread is the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import av
import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.daemon import recording
from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.recording import Recorder
from liveedit_cam.errors import ControlError, SinkError, UsageError
from liveedit_cam.presets.timeline import read_timeline
from liveedit_cam.protocols import RecordingSink, Sink
from liveedit_cam.registry import open_sink
from liveedit_cam.types import EditInstruction, Frame, Region, Status

RATE = 30.0
PATIENCE_S = 30.0
"""A bound for a loaded machine, never waited for when all is well."""
GIVEN = {
    1: EditInstruction("make it night", revision=1),
    2: EditInstruction("fog", 0.5, Region(0, 0, 0.5, 1), revision=2),
}


class Tape:
    """A recording's file that counts what is written to it, after ``before_write`` was called."""

    def __init__(self, file: Sink) -> None:
        assert isinstance(file, RecordingSink)
        self.name = file.name
        self.skip, self.begin_chapter = file.skip, file.begin_chapter
        self.begin_sound, self.write_sound = file.begin_sound, file.write_sound
        self.num_written = 0
        self.before_write: Callable[[], None] = lambda: None
        self.is_closed = Event()
        self._file = file

    def write(self, frame: Frame) -> None:
        self.before_write()
        self._file.write(frame)
        self.num_written += 1

    def close(self) -> None:
        self._file.close()
        self.is_closed.set()


class Tapes:
    """Opens the files of recordings."""

    def __init__(self) -> None:
        self.shown: Tape | None = None
        """The last that was opened for what the sinks show."""

    def open(self, spec: str) -> Tape:
        tape = Tape(open_sink(spec, width=96, height=64, fps=RATE))
        if "-source" not in spec:
            self.shown = tape
        return tape

    def offer(self, recorder: Recorder, frame: Frame) -> None:
        """A tick's picture, to an encoder that is as fast as the ticks."""
        tape = self.shown
        assert tape is not None
        wanted = tape.num_written + 1
        recorder.offer(frame)
        while tape.num_written < wanted and recorder.has_reader():
            time.sleep(0.0005)


def full() -> None:
    """What a disk without room does before a picture is written."""
    raise SinkError("No space left on device.")


class Stage:
    """A Recorder whose clock ticks as pictures are offered."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.board = Board(Status(model="nano"))
        self.folder = folder
        self.tapes = Tapes()
        self.recorder = Recorder(
            self.tapes.open,
            RATE,
            GIVEN.get,
            board=self.board,
            now=self.clock.now,
            folder=folder,
        )

    def show(self, revision: int, count: int, *, level: int = 200) -> None:
        """``count`` ticks of one picture each; revision 0 is one without a field."""
        for _ in range(count):
            edited = np.full((64, 96, 3), level, np.uint8)
            source = None if revision == 0 else np.full((64, 96, 3), 40, np.uint8)
            at = None if revision == 0 else 0.0
            shown = Frame(edited, 0, 0.0, revision, source, field_at=at)
            self.tapes.offer(self.recorder, shown)
            self.clock.wait(1 / RATE)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def levels(path: Path) -> list[int]:
    """Brightness of the middle of each picture."""
    with av.open(str(path)) as container:
        return [int(one.to_ndarray(format="rgb24")[32, 48, 1]) for one in container.decode(video=0)]


def test_a_show_is_recorded_with_its_story(stage: Stage) -> None:
    """Catches a story that `process --timeline` does not read, or that is late by a look."""
    path = stage.recorder.start(None, with_source=True, has_badge=False)
    assert stage.board.status().recording == str(path)
    for revision, count in ((0, 15), (1, 30), (2, 45)):
        stage.show(revision, count)
    files = stage.recorder.stop()
    assert files == (path, path.with_stem(f"{path.stem}-source"), path.with_suffix(".json"))
    edited, source = levels(files[0]), levels(files[1])
    assert len(edited) == len(source) == 90
    assert min(edited) > 190
    assert max(source[15:]) < 60
    assert min(source[:15]) > 190  # what no field is on is itself
    cues = read_timeline(files[2], lambda name: pytest.fail(f"asked for the preset {name}"))
    assert [(cue.at_s, cue.edit, cue.strength) for cue in cues] == [
        (0.0, "leave it as it is", 1.0),
        (0.5, "make it night", 1.0),
        (1.5, "fog", 0.5),
    ]
    assert cues[2].region == Region(0, 0, 0.5, 1)
    assert json.loads(files[2].read_text())["source"] == files[1].name
    with av.open(str(files[0])) as container:
        titles = [one["metadata"]["title"] for one in container.chapters()]
        starts = [float(one["start"] * one["time_base"]) for one in container.chapters()]
        assert "Edited live" in container.metadata["comment"]
    assert titles == ["leave it as it is", "make it night", "fog"]
    assert starts == pytest.approx([0.0, 0.5, 1.5], abs=0.01)
    with av.open(str(files[1])) as container:
        assert "comment" not in container.metadata  # it is the camera's own


def times(path: Path) -> list[float]:
    """When each picture is shown, in seconds."""
    with av.open(str(path)) as container:
        return [float(one.time or 0) for one in container.decode(video=0)]


def test_ticks_that_were_missed_are_made_up_for(stage: Stage) -> None:
    """Catches a file shorter than the show: its sound, and a second camera, would run away."""
    path = stage.recorder.start(None, with_source=False, has_badge=False)
    stage.show(1, 10, level=60)
    stage.clock.wait(2.0)
    stage.show(1, 10, level=200)
    stage.clock.wait(3600.0)  # the computer slept: that is left out
    stage.show(1, 10, level=60)
    stage.recorder.stop()
    found = times(path)
    assert len(found) == 30  # what nobody encoded costs nothing
    assert found[-1] == pytest.approx(29 / RATE + 2.0, abs=2 / RATE)


def test_the_badge_is_on_edited_pictures_alone(stage: Stage) -> None:
    """Catches a badge that accuses the camera's own picture, or that is painted on the sinks'."""
    path = stage.recorder.start(None, with_source=True, has_badge=True)
    stage.show(0, 3)
    shown = Frame(np.full((64, 96, 3), 200, np.uint8), 0, 0.0, 1, None, field_at=0.0)
    stage.recorder.offer(shown)
    stage.recorder.stop()
    with av.open(str(path)) as container:
        darkest = [int(one.to_ndarray(format="rgb24").min()) for one in container.decode(video=0)]
    assert min(darkest[:3]) > 150
    assert darkest[3] < 120
    assert int(shown.pixels.min()) == 200


def test_one_at_a_time_and_none_to_end(stage: Stage) -> None:
    """Catches a second start that silently ends the first."""
    with pytest.raises(ControlError, match="No recording runs"):
        stage.recorder.stop()
    path = stage.recorder.start(None, with_source=False, has_badge=False)
    with pytest.raises(ControlError, match="runs already"):
        stage.recorder.start(stage.folder / "other.mp4", with_source=False, has_badge=False)
    stage.show(1, 3)
    assert stage.recorder.has_reader()
    stage.recorder.stop()
    assert not stage.recorder.has_reader()
    assert len(levels(path)) == 3
    assert stage.board.status().recording is None


@pytest.mark.parametrize("name", ["show.avi", "nowhere/show.mp4", "there.mp4"])
def test_what_cannot_be_recorded_leaves_nothing(stage: Stage, name: str) -> None:
    """Catches half of a pair that stays, and a run that believes it records."""
    (stage.folder / "there-source.mp4").write_text("precious")
    with pytest.raises((SinkError, UsageError)):
        stage.recorder.start(stage.folder / name, with_source=True, has_badge=False)
    assert not stage.recorder.has_reader()
    assert stage.board.status().recording is None
    assert [one.name for one in stage.folder.iterdir()] == ["there-source.mp4"]


def test_a_full_disk_ends_the_recording_and_is_told(stage: Stage) -> None:
    """Issue 20: what was recorded stays and plays; the run goes on and says why."""
    path = stage.recorder.start(None, with_source=False, has_badge=False)
    tape = stage.tapes.shown
    assert tape is not None
    stage.show(1, 60)
    tape.before_write = full
    stage.show(1, 3)
    assert tape.is_closed.wait(PATIENCE_S)
    status = stage.board.status()
    assert status.recording is None
    assert status.last_error is not None
    assert "No space left" in status.last_error
    assert len(levels(path)) == 60
    assert stage.recorder.start(stage.folder / "next.mp4", with_source=False, has_badge=False)
    assert stage.board.status().last_error is None
    stage.recorder.close()


def run_to_its_end(program: str) -> int:
    """Run it in a Python of its own that finds this folder's modules; its exit status."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run([sys.executable, "-c", program], env=environ, check=False).returncode


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_program_leaves_files_that_play_and_the_story(tmp_path: Path) -> None:
    """Issue 20: SIGKILL costs at most the last second, and no cue that was written before."""
    program = (
        "import os, signal, pathlib\n"
        "from test_recording import Stage\n"
        f"stage = Stage(pathlib.Path({str(tmp_path)!r}))\n"
        "stage.recorder.start(stage.folder / 'show.mp4', with_source=True, has_badge=False)\n"
        "stage.show(1, 45); stage.show(2, 75)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_to_its_end(program) == -signal.SIGKILL
    for name in ("show.mp4", "show-source.mp4"):
        assert 90 <= len(levels(tmp_path / name)) <= 120
    cues = read_timeline(tmp_path / "show.json", lambda name: pytest.fail(name))
    assert [(cue.at_s, cue.edit) for cue in cues] == [(0.0, "make it night"), (1.5, "fog")]


def test_a_queue_that_is_full_loses_no_time(stage: Stage) -> None:
    """Catches an encoder slower than the ticks: pictures may be lost, seconds may not."""
    path = stage.recorder.start(None, with_source=False, has_badge=False)
    tape = stage.tapes.shown
    assert tape is not None
    tape.before_write = lambda: time.sleep(0.01)
    count = 4 * recording.QUEUE_FRAMES
    for _ in range(count):
        stage.recorder.offer(Frame(np.full((64, 96, 3), 90, np.uint8), 0, 0.0))
        stage.clock.wait(1 / RATE)
    stage.recorder.stop()
    found = times(path)
    assert len(found) <= count
    assert found[-1] == pytest.approx((count - 1) / RATE, abs=1e-3)
