"""The camera, with a driver that does what the test says."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.errors import SourceEnded, SourceError
from liveedit_cam.protocols import ChosenSource
from liveedit_cam.sources._camera_list import (
    DeviceInfo,
    choose,
    find,
    from_list,
    in_order,
    is_infrared,
)
from liveedit_cam.sources._camera_open import Wish, open_error
from liveedit_cam.sources.camera import Camera, StillWatch

WEBCAM = DeviceInfo("0", "HD Webcam", ((1280, 720),))
OTHER = DeviceInfo("2", "Document Camera")
LOOPBACK = DeviceInfo("4", "OBS Camera", is_virtual=True)


QUICK: dict[str, Any] = {"wish": Wish(64, 36, 25.0), "measure_s": 0.0}
"""A wish that the pictures of ``bgr`` fulfil, so that no other format is tried; no measuring."""


def bgr(blue: int, size: tuple[int, int] = (64, 36)) -> np.ndarray:
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[..., 0] = blue
    return picture


class FakeCapture:
    """Delivers the given pictures, then hangs inside ``read`` as a dead driver does."""

    def __init__(self, pictures: Iterable[np.ndarray | None], *, is_open: bool = True) -> None:
        self._pictures: Iterator[np.ndarray | None] = iter(pictures)
        self._is_open = is_open
        self.hang = threading.Event()
        self.is_released = threading.Event()

    def isOpened(self) -> bool:
        return self._is_open

    def get(self, propId: int) -> float:
        return 25.0 if propId == cv2.CAP_PROP_FPS else 0.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        try:
            picture = next(self._pictures)
        except StopIteration:
            self.hang.wait(20)
            return False, None
        return picture is not None, picture

    def release(self) -> None:
        self.is_released.set()


class StepCapture(FakeCapture):
    """Delivers one picture each time the test asks for it."""

    def __init__(self, picture: np.ndarray) -> None:
        super().__init__([])
        self._picture = picture
        self.steps = threading.Semaphore(1)

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.steps.acquire(timeout=20)
        return (False, None) if self.hang.is_set() else (True, self._picture)


def finish(camera: Camera, capture: FakeCapture) -> None:
    capture.hang.set()
    if isinstance(capture, StepCapture):
        capture.steps.release()
    camera.close()
    assert capture.is_released.wait(20)


def test_pictures_become_rgb_frames_of_the_true_size() -> None:
    """Catches blue faces, and a size believed from the driver instead of the picture."""
    capture = FakeCapture([bgr(200)])
    camera = Camera(WEBCAM, open_capture=lambda *asked: capture, **QUICK, now=lambda: 7.0)
    frame = camera.read()
    assert (camera.width, camera.height, camera.fps) == (64, 36, 25.0)
    assert tuple(frame.pixels[0, 0]) == (0, 0, 200)
    assert (frame.index, frame.captured_at) == (0, 7.0)
    assert "HD Webcam" in camera.name
    assert isinstance(camera, ChosenSource)
    assert choose(camera.spec.removeprefix("camera:"), (LOOPBACK, WEBCAM)) is WEBCAM
    finish(camera, capture)


def test_a_camera_that_falls_silent_is_noticed() -> None:
    """Catches a read that waits for ever inside the library for a driver that died."""
    capture = FakeCapture([bgr(200)])
    camera = Camera(WEBCAM, open_capture=lambda *asked: capture, **QUICK, no_frame_s=0.0)
    camera.read()
    with pytest.raises(SourceError, match="sent no picture"):
        camera.read()
    finish(camera, capture)


def test_a_camera_that_repeats_one_picture_is_noticed() -> None:
    """Catches a frozen driver that delivers the same buffer at full rate."""
    now = [100.0]
    capture = StepCapture(bgr(200))
    camera = Camera(WEBCAM, open_capture=lambda *asked: capture, **QUICK, now=lambda: now[0])
    for now[0] in (100.0, 102.0, 104.9):
        camera.read()
        capture.steps.release()
    now[0] = 105.0
    with pytest.raises(SourceError, match="the very same picture"):
        camera.read()
    finish(camera, capture)


def test_another_programs_still_picture_is_no_fault() -> None:
    """Catches a page shown through OBS's camera that counts as a frozen driver after 5 s."""
    now = [100.0]
    capture = StepCapture(bgr(200))
    camera = Camera(LOOPBACK, open_capture=lambda *asked: capture, **QUICK, now=lambda: now[0])
    for now[0] in (100.0, 110.0, 120.0):
        camera.read()
        capture.steps.release()
    finish(camera, capture)


def test_one_changed_byte_is_life() -> None:
    """Catches a comparison of samples only: a still scene differs in a few pixels of noise."""
    watch = StillWatch(limit_s=5.0)
    one = bgr(10)
    other = one.copy()
    other[5, 5, 1] = 1  # between the samples
    assert not watch.is_frozen(one, 0.0)
    assert not watch.is_frozen(other, 6.0)
    assert not watch.is_frozen(other.copy(), 10.9)
    assert watch.is_frozen(other.copy(), 11.0)


def test_a_node_that_vanishes_is_called_unplugged(tmp_path: Path) -> None:
    """Catches three seconds of waiting and the wrong advice when the cable was pulled."""
    node = tmp_path / "video0"
    node.touch()
    capture = FakeCapture([bgr(1), None])
    pulled = DeviceInfo(str(node), "HD Webcam")

    def open_then_pull(*asked: object) -> FakeCapture:
        node.unlink()
        return capture

    # The node is there while the device is opened and gone at the first failing read.
    camera = Camera(pulled, open_capture=open_then_pull, **QUICK)
    camera.read()
    with pytest.raises(SourceError, match="was unplugged"):
        camera.read()
    finish(camera, capture)


def test_an_exception_in_the_thread_reaches_the_reader() -> None:
    """Catches a thread that dies silently and lets the reader time out, or a foreign error."""

    class Broken(FakeCapture):
        def read(self) -> tuple[bool, np.ndarray | None]:
            raise cv2.error("driver gave nonsense")

    capture = Broken([])
    with pytest.raises(SourceError, match=r"HD Webcam.*nonsense"):
        Camera(WEBCAM, open_capture=lambda *asked: capture, **QUICK)
    assert capture.is_released.wait(20)


def test_a_camera_that_never_starts_says_who_may_hold_it() -> None:
    """Catches an open that succeeds on a busy camera: the first picture is what counts."""
    capture = FakeCapture([])
    capture.hang.set()
    device = DeviceInfo("3", "HD Webcam")
    with pytest.raises(SourceError, match=r"sent no picture.*(uses it|camera (apps|programs))"):
        Camera(device, open_capture=lambda *asked: capture, first_frame_s=0.0)
    assert capture.is_released.wait(20)


def test_close_ends_a_waiting_read_and_frees_the_device() -> None:
    """Catches a daemon that cannot stop, and a camera whose light stays on."""
    capture = FakeCapture([bgr(1)])
    camera = Camera(WEBCAM, open_capture=lambda *asked: capture, **QUICK, no_frame_s=20)
    camera.read()
    ended: list[SourceEnded] = []

    def read() -> None:
        try:
            camera.read()
        except SourceEnded as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    capture.hang.set()
    camera.close()
    camera.close()
    reader.join(timeout=20)
    assert ended
    assert capture.is_released.wait(20)


@pytest.mark.parametrize(
    ("exists", "may_open", "said"),
    [
        (False, False, "There is no camera at /dev/video7"),
        (True, False, "may not open .* -aG video"),
        (True, True, "in use by another program.* fuser -v /dev/video7"),
    ],
)
def test_each_failure_to_open_has_its_own_message(exists: bool, may_open: bool, said: str) -> None:
    """Catches one sentence for absent, forbidden and busy, which need different hands."""
    device = DeviceInfo("/dev/video7", "HD Webcam")
    error = open_error(device, "linux", lambda _: exists, lambda _: may_open)
    with pytest.raises(SourceError, match=said):
        raise error


def test_a_refused_open_is_released() -> None:
    """Catches a handle that leaks when opening fails, which keeps the camera busy."""
    capture = FakeCapture([], is_open=False)
    with pytest.raises(SourceError, match="could not be opened"):
        Camera(WEBCAM, open_capture=lambda *asked: capture, **QUICK)
    assert capture.is_released.is_set()


def test_nothing_named_means_the_first_lens() -> None:
    """Catches our own or another program's output taken as the source: a picture in itself."""
    assert choose("", [LOOPBACK, WEBCAM, OTHER]) is WEBCAM
    with pytest.raises(SourceError, match="No camera was found"):
        choose("", [])
    with pytest.raises(SourceError, match=r'--source "camera:4" \(OBS Camera\)'):
        choose("", [LOOPBACK])


def test_a_camera_is_found_by_name() -> None:
    """Catches a name that must be typed exactly, and one that silently picks the first of two."""
    assert choose("webcam", [WEBCAM, OTHER]) is WEBCAM
    assert choose("Document Camera", [WEBCAM, OTHER]) is OTHER
    with pytest.raises(SourceError, match="Several cameras match 'cam'"):
        choose("cam", [WEBCAM, OTHER])
    with pytest.raises(SourceError, match=r"No camera matches 'phone'.*HD Webcam"):
        choose("phone", [WEBCAM, OTHER])


def test_of_two_cameras_of_one_name_none_is_taken_silently() -> None:
    """Catches a call that goes on with the other camera: on air it shows another part of a room."""
    listed = [Entry(0, "HD Webcam", "port 1"), Entry(1, "HD Webcam", "port 2"), Entry(2, "Other")]
    twins = in_order(from_list(listed))
    with pytest.raises(SourceError, match=r"Several.*0 \(HD Webcam\), 1 \(HD Webcam\)"):
        choose("HD Webcam", twins)
    assert [camera.target for camera in twins] == ["port 1", "port 2", '"Other"']
    first, second = (camera.target for camera in twins[:2])
    left = in_order(from_list([Entry(0, "HD Webcam", "port 2"), Entry(1, "Other")]))
    assert choose(second, left).device == "0"
    with pytest.raises(SourceError, match="No camera matches 'port 1'"):
        choose(first, left)
    untold = in_order(from_list([Entry(0, "HD Webcam"), Entry(1, "HD Webcam")]))
    assert [camera.target for camera in untold] == ["0", "1"]


def test_two_nodes_of_one_camera_are_one_camera() -> None:
    """Catches a webcam with a second node that can be named no more, or is found by its number."""
    bus = "usb-0000:00:14.0-"
    nodes = [DeviceInfo(f"/dev/video{n}", "HD Webcam", identity=f"{bus}1") for n in (0, 2)]
    assert choose("hd webcam", nodes) is nodes[0]
    assert [node.target for node in in_order(nodes)] == ['"HD Webcam"', '"HD Webcam"']
    other = DeviceInfo("/dev/video4", "HD Webcam", identity=f"{bus}2")
    with pytest.raises(SourceError, match="Several cameras match"):
        choose("HD Webcam", [*nodes, other])


def test_a_camera_named_by_its_index_is_found_again_when_the_others_move_up() -> None:
    """Catches index 1 opened again after a cable came loose: another camera has it by then, and
    one whose name only begins alike. Windows and macOS number their cameras anew each time.
    """
    before = from_list([Entry(0, "Inner Camera"), Entry(1, "HD Webcam"), Entry(2, "Door Camera")])
    capture = FakeCapture([bgr(200)])
    chosen = choose("1", in_order(before))
    camera = Camera(chosen, open_capture=lambda *asked: capture, **QUICK)
    target = camera.spec.removeprefix("camera:")
    finish(camera, capture)
    while_gone = from_list([Entry(0, "Inner Camera"), Entry(1, "HD Webcam 2")])
    with pytest.raises(SourceError, match="No camera matches"):
        choose(target, in_order(while_gone))
    back = from_list([Entry(0, "Inner Camera"), Entry(1, "HD Webcam 2"), Entry(2, "HD Webcam")])
    assert choose(target, in_order(back)).device == "2"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems open none to list them")
def test_a_camera_named_by_its_index_is_the_only_one_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Catches a light that goes on at another camera, and a start held up by one that hangs."""
    from liveedit_cam.sources import _v4l2

    asked: list[str] = []

    def query(path: str) -> _v4l2.Node:
        asked.append(path)
        return _v4l2.Node("HD Webcam", (), (), is_capture=True, is_virtual=False, bus="usb-1")

    monkeypatch.setattr(_v4l2, "query_path", query)
    monkeypatch.setattr(_v4l2, "device_paths", lambda: [f"/dev/video{n}" for n in range(9)])
    found = find("0")
    assert (found.device, found.target) == ("/dev/video0", "/dev/video0")
    assert find("/dev/v4l/by-id/usb-x").device == "/dev/v4l/by-id/usb-x"
    assert asked == ["/dev/video0", "/dev/v4l/by-id/usb-x"]


def test_an_unlisted_path_is_tried() -> None:
    """Catches a refusal of stable names such as /dev/v4l/by-id/..., which no list holds."""
    assert choose("/dev/v4l/by-id/x", [WEBCAM]).device == "/dev/v4l/by-id/x"


@dataclass
class Formats:
    """A camera that gives in each format a size and a rate; keeps what was asked of it."""

    clock: Clock
    gives: dict[str | None, tuple[tuple[int, int], float]]

    def __post_init__(self) -> None:
        self.asked: list[tuple[Wish, str | None]] = []
        self.open: list[FakeCapture] = []

    def __call__(self, device: str, wish: Wish, fourcc: str | None) -> FakeCapture:
        assert all(one.is_released.is_set() for one in self.open), "a camera opens once at a time"
        self.asked.append((wish, fourcc))
        size, fps = self.gives[fourcc]
        capture = Paced(self.clock, size, fps)
        self.open.append(capture)
        return capture


class Paced(FakeCapture):
    """Pictures of one size; each takes 1/fps seconds of the clock, whatever the driver says."""

    def __init__(self, clock: Clock, size: tuple[int, int], fps: float) -> None:
        super().__init__(bgr(number % 256, size) for number in itertools.count())
        self._clock, self._fps = clock, fps

    def read(self) -> tuple[bool, np.ndarray | None]:
        self._clock.now_s += 1 / self._fps
        return super().read()


def opened(
    gives: dict[str | None, tuple[tuple[int, int], float]],
    wish: Wish,
    formats: tuple[str, ...] = (),
) -> tuple[Camera, Formats]:
    clock = Clock(50.0)
    driver = Formats(clock, gives)
    device = DeviceInfo("0", "HD Webcam", formats=formats)
    camera = Camera(device, wish, open_capture=driver, now=clock.now)
    camera.close()
    assert all(one.is_released.wait(20) for one in driver.open)
    return camera, driver


def test_the_sinks_size_and_rate_are_asked_for() -> None:
    """Catches 720p enlarged on a 1080p sink, and formats tried after one that delivers."""
    wish = Wish(1920, 1080, 30.0)
    camera, driver = opened({"MJPG": ((1920, 1080), 25.0)}, wish)
    assert (camera.width, camera.height, camera.fps) == (1920, 1080, 25.0)
    assert driver.asked == [(wish, "MJPG")]


@pytest.mark.parametrize(
    ("gives", "best"),
    [
        # raw HD through USB 2 comes at 5 per second, whatever the driver says
        ({"MJPG": ((640, 480), 30.0), "YUYV": ((1280, 720), 5.0), None: ((640, 480), 30)}, "MJPG"),
        ({"MJPG": ((640, 480), 7.0), "YUYV": ((1280, 720), 15.0), None: ((640, 480), 30)}, "YUYV"),
        ({"MJPG": ((640, 480), 7.0), "YUYV": ((640, 480), 7.0), None: ((1280, 720), 20.0)}, None),
    ],
)
def test_the_format_that_really_delivers_most_is_taken(
    gives: dict[str | None, tuple[tuple[int, int], float]], best: str | None
) -> None:
    """Catches MJPG and nothing else: pixels per second as measured decide (issue 15)."""
    camera, driver = opened(gives, Wish())
    assert [fourcc for _, fourcc in driver.asked] == ["MJPG", "YUYV", None, best]
    assert (camera.width, camera.height) == gives[best][0]
    assert camera.fps == pytest.approx(gives[best][1], rel=0.15)


def test_only_formats_that_a_camera_has_are_tried() -> None:
    """Catches seconds lost on MJPG where the system says that there is only YUYV."""
    _, driver = opened({"YUYV": ((1280, 720), 30.0)}, Wish(), formats=("YUYV",))
    assert [fourcc for _, fourcc in driver.asked] == ["YUYV"]


def test_a_stop_ends_the_wait_for_a_silent_camera() -> None:
    """Catches Ctrl-C and stop that are ignored while a device opens and never delivers."""
    capture = FakeCapture([])
    stop = threading.Event()
    stop.set()
    with pytest.raises(SourceEnded, match="was stopped"):
        Camera(WEBCAM, open_capture=lambda *asked: capture, stop=stop)
    capture.hang.set()
    assert capture.is_released.wait(20)


def test_an_interrupt_while_opening_frees_the_device() -> None:
    """Catches a camera left open, with its light on, by a Ctrl-C."""
    capture = FakeCapture([])

    class Interrupted(threading.Event):
        def is_set(self) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Camera(WEBCAM, open_capture=lambda *asked: capture, stop=Interrupted())
    capture.hang.set()
    assert capture.is_released.wait(20)


def test_infrared_cameras_come_last_and_ours_never() -> None:
    """Catches face recognition's camera taken by "auto", and our own picture edited again."""
    infrared = DeviceInfo("/dev/video0", "Integrated I", is_infrared=True)
    ours = DeviceInfo("/dev/video1", "LiveEdit", is_virtual=True)
    assert in_order([infrared, ours, WEBCAM]) == (WEBCAM, infrared)
    assert choose("", in_order([infrared, WEBCAM])) is WEBCAM


@pytest.mark.parametrize(
    ("name", "formats", "expected"),
    [
        ("Integrated IR Camera", ("YUYV",), True),
        ("HP Infrared", (), True),
        ("Integrated I", ("GREY",), True),
        ("Depth", ("Y16", "Z16"), True),
        ("Studio Mirror Cam", ("MJPG", "GREY"), False),
        ("Iriun Webcam", (), False),
    ],
)
def test_infrared_is_told_by_name_or_by_grey(
    name: str, formats: tuple[str, ...], expected: bool
) -> None:
    """Catches "ir" inside other words, and a colour camera that offers grey as well."""
    assert is_infrared(name, formats) is expected


@dataclass
class Entry:
    index: int
    name: str
    path: str | None = None


def test_cameras_of_other_systems_have_names_and_virtual_ones_are_told() -> None:
    """Catches "Camera 0", by which a camera cannot be found again, and OBS's camera, which may
    show our own picture, taken as the source.
    """
    names = ("FaceTime HD Camera", "OBS Virtual Camera", "Windows IR Camera", "EOS Webcam Utility")
    devices = from_list(Entry(*numbered) for numbered in enumerate(names))
    assert [device.device for device in devices] == ["0", "1", "2", "3"]
    assert [device.is_virtual for device in devices] == [False, True, False, False]
    assert [device.is_infrared for device in devices] == [False, False, True, False]
    assert choose("FaceTime HD Camera", devices) is devices[0]
    assert choose("3", devices) is devices[3]
