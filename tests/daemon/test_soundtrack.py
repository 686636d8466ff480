"""Recordings with sound: a device of the test claps as the picture flashes; read from the file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from fake_clock import Clock
from test_recording import GIVEN, PATIENCE_S, RATE, Tapes, full, levels, run_to_its_end

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.recording import Recorder
from liveedit_cam.daemon.soundtrack import GONE_S
from liveedit_cam.errors import DeviceError
from liveedit_cam.types import Frame, SoundBlock, Status

RATE_HZ = 48_000
BLOCK = 480
CLAP_AT_S = 2.0
TONE_HZ = 1000.0


class Device:
    """A microphone that hears a quiet tone, and a clap at ``CLAP_AT_S`` of the clock.

    ``drift`` is by how much its own clock runs fast, as a share.
    """

    name = "Test microphone"
    rate_hz = RATE_HZ
    num_channels = 1

    def __init__(self, clock: Clock, drift: float = 0.0) -> None:
        self._clock = clock
        self._drift = drift
        self._take: Callable[[SoundBlock], None] | None = None
        self._num_heard = 0
        self.began_at = clock.now()
        self.is_closed = False
        self.is_pulled_out = False

    def begin(self, take: Callable[[SoundBlock], None]) -> None:
        self._take = take

    def hear(self) -> None:
        """Hand over the blocks that are full by now, each once its last sample was heard."""
        while (ends_at := self._at(self._num_heard + BLOCK)) <= self._clock.now():
            times = self._at(self._num_heard + np.arange(BLOCK))
            samples = 0.05 * np.sin(2 * np.pi * TONE_HZ * times)
            samples[np.abs(times - CLAP_AT_S) < 0.001] = 0.9
            self._num_heard += BLOCK
            if self._take is not None and not self.is_pulled_out and not self.is_closed:
                at = ends_at - BLOCK / RATE_HZ
                self._take(SoundBlock(samples.astype(np.float32)[:, None], at))

    def _at(self, number: Any) -> Any:
        """When a sample is heard, in seconds of the clock."""
        return self.began_at + number / (RATE_HZ * (1 + self._drift))

    def close(self) -> None:
        self.is_closed = True


class Studio:
    """A recorder, a microphone, and a camera whose pictures are shown ``late_s`` later."""

    def __init__(
        self, folder: Path, late_s: float, drift: float = 0.0, *, takes_sound: bool = True
    ) -> None:
        self.clock = Clock(0.0)
        self.board = Board(Status(model="nano"))
        self.device = Device(self.clock, drift)
        self.late_s = late_s
        self.asked: list[str] = []
        self.has_microphone = True
        self.tapes = Tapes()
        self.recorder = Recorder(
            self.tapes.open,
            RATE,
            GIVEN.get,
            board=self.board,
            now=self.clock.now,
            open_microphone=self._open if takes_sound else None,
            folder=folder,
        )

    def _open(self, wanted: str) -> Device:
        self.asked.append(wanted)
        if not self.has_microphone:
            raise DeviceError(f"There is no microphone {wanted!r}; there are: none.")
        return self.device

    def start(self) -> Path:
        return self.recorder.start(None, with_source=True, has_badge=False, microphone="")

    def play(self, seconds: float) -> None:
        """Ticks of the run; what was captured at ``CLAP_AT_S`` and the tenth after it is white."""
        for _ in range(round(seconds * RATE)):
            self.device.hear()
            captured_at = self.clock.now() - self.late_s
            is_white = CLAP_AT_S <= captured_at < CLAP_AT_S + 0.1
            pixels = np.full((64, 96, 3), 250 if is_white else 30, np.uint8)
            revision = 1 if captured_at < CLAP_AT_S else 2
            frame = Frame(pixels, 0, captured_at, revision, pixels, field_at=captured_at)
            self.tapes.offer(self.recorder, frame)
            self.clock.wait(1 / RATE)


def sound_of(path: Path) -> tuple[np.ndarray, float]:
    """Samples of the first channel, and when the first one is played in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        assert {one.sample_rate for one in frames} == {RATE_HZ}
        return np.concatenate([one.to_ndarray()[0] for one in frames]), float(frames[0].time or 0)


def clap_s(path: Path) -> float:
    samples, begin_s = sound_of(path)
    return begin_s + float(np.argmax(np.abs(samples))) / RATE_HZ


def flash_s(path: Path) -> float:
    with av.open(str(path)) as container:
        for one in container.decode(video=0):
            if one.to_ndarray(format="gray8")[32, 48] > 128:
                return float(one.time or 0)
    raise AssertionError("no flash")


@pytest.mark.parametrize("late_s", [0.04, 1.5])
def test_clap_and_flash_lie_at_one_time(tmp_path: Path, late_s: float) -> None:
    """Issue 20: catches sound that runs ahead by what the edit takes, live and exact.

    A picture stands for a thirtieth of a second, so nothing can be nearer than that.
    """
    studio = Studio(tmp_path, late_s)
    path = studio.start()
    studio.play(CLAP_AT_S + late_s + 1.0)
    files = studio.recorder.stop()
    assert studio.device.is_closed
    for one in files[:2]:
        assert abs(clap_s(one) - flash_s(one)) <= 1 / RATE + 0.005
        samples, begin_s = sound_of(one)
        picture_s = len(levels(one)) / RATE
        assert begin_s + len(samples) / RATE_HZ <= picture_s + 0.05  # no sound after the picture
    with av.open(str(path)) as container:
        titles = [one["metadata"]["title"] for one in container.chapters()]
    assert titles == ["make it night", "fog"]


@pytest.mark.parametrize("drift", [-0.01, 0.01])
def test_a_sound_card_with_a_clock_of_its_own_stays_in_step(tmp_path: Path, drift: float) -> None:
    """Catches sound that is placed by counting samples: at 1 % it is 80 ms off after 8 seconds."""
    studio = Studio(tmp_path, 0.04, drift)
    studio.clock.wait(-8.0)
    studio.device.began_at = studio.clock.now()
    path = studio.start()
    studio.play(CLAP_AT_S + 8.5)
    studio.recorder.stop()
    assert abs(clap_s(path) - flash_s(path)) <= 1 / RATE + 0.045


def test_ticks_that_are_missed_take_the_sound_with_them(tmp_path: Path) -> None:
    """Catches a standstill of the program after which picture and sound are apart."""
    studio = Studio(tmp_path, 0.04)
    path = studio.start()
    studio.play(0.5)
    studio.clock.wait(0.7)
    studio.play(2.5)
    studio.recorder.stop()
    assert abs(clap_s(path) - flash_s(path)) <= 1 / RATE + 0.045


def test_a_microphone_that_is_pulled_out_is_one_sentence_and_the_picture_goes_on(
    tmp_path: Path,
) -> None:
    """Issue 20: catches a file that ends with its sound, or a fault nobody is told of."""
    studio = Studio(tmp_path, 0.04)
    path = studio.start()
    studio.play(1.0)
    studio.device.is_pulled_out = True
    studio.play(GONE_S + 0.5)  # seconds of the clock
    told = studio.board.status().last_error
    assert told == "The microphone Test microphone is gone: the recording goes on in silence."
    studio.device.is_pulled_out = False
    studio.play(0.5)
    assert studio.board.status().last_error is None
    studio.recorder.stop()
    assert len(levels(path)) == round(RATE) + round((GONE_S + 0.5) * RATE) + round(0.5 * RATE)
    samples, begin_s = sound_of(path)
    loud = np.abs(samples) > 0.02

    def share(begin: float, end: float) -> float:
        first, last = (round((at - begin_s) * RATE_HZ) for at in (begin, end))
        return float(loud[first:last].mean())

    assert share(0.2, 0.9) > 0.5
    assert share(1.2, 3.4) == 0
    assert share(3.6, 3.9) > 0.5


def test_a_microphone_is_open_while_a_recording_wants_it_alone(tmp_path: Path) -> None:
    """Catches one that listens in a recording without sound, or on after a disk was full."""
    studio = Studio(tmp_path, 0.04)
    studio.recorder.start(None, with_source=False, has_badge=False)
    studio.play(0.2)
    studio.recorder.stop()
    assert studio.asked == []
    studio.recorder.start(
        tmp_path / "with.mp4", with_source=False, has_badge=False, microphone="usb"
    )
    studio.play(0.2)
    assert (studio.asked, studio.device.is_closed) == (["usb"], False)
    tape = studio.tapes.shown
    assert tape is not None
    tape.before_write = full
    studio.play(0.1)
    assert tape.is_closed.wait(PATIENCE_S)
    assert studio.device.is_closed


def test_a_microphone_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    """Catches two empty files beside the refusal, and a run that believes it records."""
    studio, silent = Studio(tmp_path, 0.04), Studio(tmp_path, 0.04, takes_sound=False)
    studio.has_microphone = False
    with pytest.raises(DeviceError, match="There is no microphone 'usb'"):
        studio.recorder.start(None, with_source=True, has_badge=False, microphone="usb")
    assert list(tmp_path.iterdir()) == []
    assert not studio.recorder.has_reader()
    with pytest.raises(DeviceError, match="takes no sound"):
        silent.recorder.start(None, with_source=False, has_badge=False, microphone="")
    assert list(tmp_path.iterdir()) == []
    studio.recorder.start(None, with_source=False, has_badge=False)
    studio.play(0.2)
    studio.recorder.stop()


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_killed_program_leaves_sound_that_plays(tmp_path: Path) -> None:
    """Issue 20: catches sound that is only in the file once it is finished."""
    program = (
        "import os, signal, pathlib\n"
        "from test_soundtrack import Studio\n"
        f"studio = Studio(pathlib.Path({str(tmp_path)!r}), 0.04)\n"
        "studio.start(); studio.play(4.0)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run_to_its_end(program) == -signal.SIGKILL
    (path,) = (one for one in tmp_path.glob("*.mp4") if "source" not in one.name)
    assert len(levels(path)) >= 90
    assert (
        abs(clap_s(path) - flash_s(path)) <= 1 / RATE + 0.03
    )  # AAC's lead-in has no edit list yet
    samples, begin_s = sound_of(path)
    assert begin_s + len(samples) / RATE_HZ >= 2.9
