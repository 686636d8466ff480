"""The PipeWire camera with the real PipeWire, in a session of its own; GStreamer reads it back.

Skipped where pipewire, wireplumber or GStreamer's tools are not installed. About ten seconds.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from liveedit_cam.errors import SinkError
from liveedit_cam.pacing import Pacer
from liveedit_cam.protocols import Sink, WatchedSink
from liveedit_cam.sinks import pipewire
from liveedit_cam.sinks._pipewire_graph import read_cameras
from liveedit_cam.types import Frame

PROGRAMS = ("pipewire", "wireplumber", "pw-dump", "gst-launch-1.0", "gst-inspect-1.0")
MISSING = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="PipeWire is there on Linux only"),
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

WIDTH, HEIGHT, FPS = 1280, 720, 30.0
COLOURS = ((200, 40, 40), (30, 200, 90), (40, 60, 200), (128, 128, 128))
TOLERANCE = 3
"""Rounding to 8 bit YUV and back costs up to 2; another matrix costs 12 and more."""
NUM_BITS = 12
"""The picture's number stands in black and white squares along its upper edge."""
PATIENCE_S = 20.0

Pixels = NDArray[np.uint8]


def painted(index: int, width: int, height: int) -> Pixels:
    """Four colours side by side, the number on top."""
    pixels = np.empty((height, width, 3), np.uint8)
    for place, colour in enumerate(COLOURS):
        pixels[:, place * width // 4 : (place + 1) * width // 4] = colour
    for bit in range(NUM_BITS):
        pixels[:32, 16 * bit : 16 * (bit + 1)] = 255 * (index >> bit & 1)
    return pixels


class Show:
    """Writes numbered pictures to a sink in a thread of its own until the end or an error."""

    def __init__(self, sink: Sink, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.index = 0
        self.error: str | None = None
        self._sink, self._size = sink, (width, height)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Show:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._sink.close()

    def _run(self) -> None:
        pacer = Pacer(FPS)
        while not self._over.is_set():
            pacer.wait()
            pixels = painted(self.index, *self._size)
            try:
                self._sink.write(Frame(pixels, self.index, time.monotonic()))
            except SinkError as error:
                self.error = str(error)
                return
            self.index += 1


class Reader:
    """Another program that reads the camera; the node is chosen by its name."""

    def __init__(self, name: str, num_frames: int, width: int = WIDTH, height: int = HEIGHT):
        self.num_frames, self.size = num_frames, (width, height)
        node = f"target-object={pipewire.node_name(name)}"
        source = ["pipewiresrc", node, f"num-buffers={num_frames}"]
        sink = ["filesink", "location=/dev/stdout", "buffer-mode=unbuffered"]
        self.process = subprocess.Popen(
            ["gst-launch-1.0", "-q", "-f", *source, "!", "video/x-raw,format=YUY2", "!", *sink],
            stdout=subprocess.PIPE,
        )

    def frames(self) -> list[Pixels]:
        """All the frames it gets, as YUY2 (H, W, 2)."""
        data, _ = self.process.communicate(timeout=PATIENCE_S)
        width, height = self.size
        return list(np.frombuffer(data, np.uint8).reshape(-1, height, width, 2))


@contextmanager
def session(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """PipeWire and WirePlumber in ``folder``; gives the process of the former."""
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        # Its tools find the service by the environment alone.
        for name in ("XDG_RUNTIME_DIR", "PIPEWIRE_RUNTIME_DIR", "HOME"):
            environment.setenv(name, str(folder))
        service = subprocess.Popen(["pipewire"], stderr=subprocess.DEVNULL)
        stack.callback(end, service)
        eventually(lambda: answers(folder / "pipewire-0"))
        # It ends with the service, and its bus with it.
        manager = subprocess.Popen(
            ["dbus-run-session", "--", "wireplumber"], stderr=subprocess.DEVNULL
        )
        stack.callback(manager.wait, PATIENCE_S)
        stack.callback(end, service)
        yield service


def answers(path: Path) -> bool:
    """Whether a service listens there; a killed one leaves its socket behind."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def _session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with session(tmp_path_factory.mktemp("pipewire")):
        yield


def eventually(check: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        if check():
            return
        pause.wait(0.02)
    raise AssertionError("what was waited for did not come")


def camera(name: str, width: int = WIDTH, height: int = HEIGHT) -> Sink:
    return pipewire.create(name, width=width, height=height, fps=FPS)


def numbers(frames: list[Pixels]) -> list[int]:
    """The number of each picture, read from the middles of its squares."""
    bits = [frame[16, 8 : 16 * NUM_BITS : 16, 0] > 128 for frame in frames]
    return [sum(1 << place for place, bit in enumerate(row) if bit) for row in bits]


def rgb(yuyv: Pixels, red_weight: float, blue_weight: float) -> list[tuple[float, ...]]:
    """Median colour of each of the four areas; the weights of red and blue name the matrix."""
    height, width = yuyv.shape[:2]
    found: list[tuple[float, ...]] = []
    for place in range(len(COLOURS)):
        left = (place * width // 4 + 16) // 2 * 2
        area = yuyv[height // 2 :, left : left + width // 4 - 32]
        luma = (np.median(area[..., 0]) - 16) * 255 / 219
        blue, red = ((np.median(area[:, at::2, 1]) - 128) * 255 / 112 for at in (0, 1))
        r, b = luma + (1 - red_weight) * red, luma + (1 - blue_weight) * blue
        g = (luma - red_weight * r - blue_weight * b) / (1 - red_weight - blue_weight)
        found.append((float(r), float(g), float(b)))
    return found


@pytest.mark.usefixtures("_session")
def test_a_reader_is_noticed_when_it_comes_and_when_it_goes() -> None:
    """Catches a camera that rests while somebody watches, or never does."""
    sink = camera("Watched")
    assert isinstance(sink, WatchedSink)
    with Show(sink):
        assert not sink.has_reader()
        for _ in range(2):
            process = Reader("Watched", 100_000).process
            try:
                eventually(sink.has_reader)
            finally:
                end(process)
                assert process.stdout is not None
                process.stdout.close()
            eventually(lambda: not sink.has_reader())


@pytest.mark.usefixtures("_session")
@pytest.mark.parametrize(
    ("name", "width", "height", "matrix"),
    [("LiveEdit", 1280, 720, (0.2126, 0.0722)), ("Café, No 2", 854, 480, (0.299, 0.114))],
)
def test_a_reader_sees_our_colours_and_they_move(
    name: str, width: int, height: int, matrix: tuple[float, float]
) -> None:
    """Catches another matrix, swapped channels, slanted rows, old pictures and a frozen one.

    The second one has rows of 2562 bytes, which GStreamer would pad, and a name to be quoted.
    """
    with Show(camera(name, width, height), width, height) as show:
        eventually(lambda: show.index > 10)
        joined_at = show.index
        frames = Reader(name, 30, width, height).frames()
        shown = numbers(frames)
        assert len(shown) == 30
        assert shown[0] >= joined_at - 3, "the first picture is an old one"
        assert shown == sorted(set(shown)), "pictures come twice or out of order"
        assert shown[-1] - shown[0] < 40, "many pictures are missing"
        difference = np.abs(np.subtract(rgb(frames[-1], *matrix), COLOURS)).max()
        assert difference <= TOLERANCE, rgb(frames[-1], *matrix)


@pytest.mark.usefixtures("_session")
def test_readers_come_and_go() -> None:
    """Catches a stream that ends with its first reader, or serves one reader only."""
    with Show(camera("LiveEdit")) as show:
        for _ in range(2):
            assert len(Reader("LiveEdit", 5).frames()) == 5
        first, second = Reader("LiveEdit", 40), Reader("LiveEdit", 20)
        frames: list[Pixels] = []
        reading = threading.Thread(target=lambda: frames.extend(first.frames()))
        reading.start()
        assert len(set(numbers(second.frames()))) == 20
        reading.join()
        assert len(set(numbers(frames))) == 40
        assert show.error is None


@pytest.mark.usefixtures("_session")
def test_the_camera_is_there_after_create_and_gone_after_close() -> None:
    """Catches a start that is only hoped for, a name that stays taken, and two of one name."""
    node = pipewire.node_name("LiveEdit")
    for _ in range(2):
        sink = camera("LiveEdit")
        assert node in read_cameras()
        with pytest.raises(SinkError, match="already"):
            camera("LiveEdit")
        sink.close()
        eventually(lambda: node not in read_cameras())


@pytest.mark.usefixtures("_session")
def test_a_reader_that_hangs_is_named_and_the_camera_opens_again() -> None:
    """Catches a write that waits for a reader, which holds all of PipeWire's buffers.

    The clock of the sink runs ten times as fast, so that its five seconds take half a one.
    """
    sink = pipewire.PipeWireCamera(
        "LiveEdit", WIDTH, HEIGHT, FPS, now=lambda: 10 * time.monotonic()
    )
    with ExitStack() as stack:
        with Show(sink) as show:
            # Nobody takes its output, so it stops after some frames.
            hanging = stack.enter_context(Reader("LiveEdit", 1000).process)
            stack.callback(hanging.kill)
            eventually(lambda: show.error is not None)
            assert show.error is not None
            assert "has taken no frame for" in show.error
        with Show(camera("LiveEdit")):
            assert len(Reader("LiveEdit", 5).frames()) == 5


def test_the_end_of_pipewire_is_noticed_and_a_new_one_is_used(tmp_path: Path) -> None:
    """Catches a camera that nobody sees while the status says that all is well."""
    with session(tmp_path) as service:
        with Show(camera("LiveEdit")) as show:
            os.kill(service.pid, signal.SIGKILL)
            eventually(lambda: show.error is not None)
            assert show.error is not None
            assert "PipeWire has stopped" in show.error
        with pytest.raises(SinkError, match="does not run for this user"):
            camera("LiveEdit")
    with session(tmp_path), Show(camera("LiveEdit")):
        assert len(Reader("LiveEdit", 5).frames()) == 5
