"""The screen, with a desktop drawn by the test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fake_clock import Clock
from mss.exception import ScreenShotError

from liveedit_cam.errors import SourceEnded, SourceError, UsageError
from liveedit_cam.sources._desktop import Area, Screen, choose_area
from liveedit_cam.sources.screen import (
    MSS,
    MssGrabber,
    display_problem,
    is_wayland,
    open_beside_wayland,
)

DESKTOP = (Area(0, 0, 3200, 1080), Area(0, 0, 1920, 1080), Area(1920, 0, 1280, 720))


class FakeGrabber:
    """A desktop that counts its pictures and knows the thread it was made in."""

    made: list[int]

    def __init__(self, made: list[int]) -> None:
        made.append(threading.get_ident())
        self.is_closed = False
        self._num_grabs = 0

    def monitors(self) -> tuple[Area, ...]:
        return DESKTOP

    def grab(self, area: Area) -> np.ndarray:
        assert not self.is_closed
        self._num_grabs += 1
        return np.full((area.height, area.width, 3), self._num_grabs, np.uint8)

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("target", "area"),
    [
        ("", DESKTOP[1]),
        ("monitor:2", DESKTOP[2]),
        ("100,50,640,360", Area(100, 50, 640, 360)),
        ("1900, 0, 100, 100", Area(1900, 0, 100, 100)),
    ],
)
def test_a_target_names_an_area(target: str, area: Area) -> None:
    """Catches monitors counted from 0 and rectangles refused across two monitors."""
    assert choose_area(target, DESKTOP) == area


@pytest.mark.parametrize("target", ["3000,0,640,360", "0,1000,64,200", "-10,0,64,64", "0,0,8,8"])
def test_a_rectangle_off_the_screen_is_refused_with_the_sizes(target: str) -> None:
    """Catches black borders or a crash deep in X11, and a message without the way out."""
    with pytest.raises(SourceError, match=r"not on the screen.*monitor:2 1280x720 at 1920,0"):
        choose_area(target, DESKTOP)


def test_bad_targets_are_refused() -> None:
    """Catches a typing error taken for the first monitor."""
    with pytest.raises(SourceError, match=r"no monitor 3.*monitor:1 1920x1080"):
        choose_area("monitor:3", DESKTOP)
    with pytest.raises(UsageError, match="X,Y,W,H"):
        choose_area("left half", DESKTOP)


def test_frames_come_thirty_times_a_second_and_a_stall_makes_no_burst() -> None:
    """Catches pacing by sleep after work, and a run of quick frames after a stall."""
    clock = Clock(5.0)
    screen = Screen("0,0,64,36", lambda: FakeGrabber([]), now=clock.now, sleep=clock.wait)
    times = [screen.read().captured_at for _ in range(4)]
    clock.now_s += 0.5
    times += [screen.read().captured_at for _ in range(3)]
    screen.close()
    assert np.diff(times[:4]) == pytest.approx([1 / 30] * 3)
    assert np.diff(times[4:]) == pytest.approx([1 / 30] * 2)
    assert (screen.width, screen.height) == (64, 36)


def test_the_grabber_is_made_in_the_reading_thread() -> None:
    """Catches an X11 connection used from two threads (older mss cannot), or one per picture."""
    made: list[int] = []
    screen = Screen("", lambda: FakeGrabber(made))
    readers: list[int] = []

    def read() -> None:
        readers.append(threading.get_ident())
        screen.read()
        screen.read()

    reader = threading.Thread(target=read)
    reader.start()
    reader.join(timeout=20)
    screen.close()
    assert made == [threading.get_ident(), *readers]  # one to look at the size, one to read with


def test_close_twice_then_read_ends() -> None:
    """Catches a grab on a closed connection."""
    screen = Screen("0,0,64,36", lambda: FakeGrabber([]))
    screen.read()
    screen.close()
    screen.close()
    with pytest.raises(SourceEnded):
        screen.read()


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "no display"),
        ({"XDG_SESSION_TYPE": "wayland"}, "Wayland.*no X11 display"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "Wayland.*no X11 display"),
    ],
)
def test_a_session_without_a_readable_screen_says_why(
    environment: dict[str, str], said: str
) -> None:
    """Catches a black picture on Wayland, where the X11 half of the desktop is all there is."""
    problem = display_problem("linux", environment)
    assert problem is not None
    assert re.search(said, str(problem))
    assert problem.hint


def test_ordinary_sessions_are_let_through() -> None:
    """Catches a check that refuses everybody."""
    assert display_problem("linux", {"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11"}) is None
    assert display_problem("darwin", {}) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DISPLAY": ":0"}, False),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "x11", "WAYLAND_DISPLAY": ""}, False),
        ({"DISPLAY": ":0", "XDG_SESSION_TYPE": "wayland"}, True),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, True),
    ],
)
def test_a_display_beside_wayland_is_told(environment: dict[str, str], expected: bool) -> None:
    """Catches a session refused for its variables although its X11 display is readable."""
    assert is_wayland("linux", environment) is expected
    assert not is_wayland("darwin", environment)
    assert display_problem("linux", environment) is None


class Painted(FakeGrabber):
    """A desktop with something on it."""

    def grab(self, area: Area) -> np.ndarray:
        picture = super().grab(area)
        picture[4:8, 4:8] = 255
        return picture


class Closed(FakeGrabber):
    def __init__(self, made: list[int]) -> None:
        raise SourceError("The screen cannot be read: no connection.")


def test_a_readable_display_beside_wayland_is_used_and_named() -> None:
    """Catches "refused" where X11 can be read, and a picture that does not say what it lacks
    (issue 15).
    """
    screen = open_beside_wayland("monitor:2", ":7", lambda: Painted([]))
    assert (screen.width, screen.height) == (1280, 720)
    assert "X11 display :7, without the windows of Wayland programs" in screen.name
    screen.close()


@pytest.mark.parametrize(
    ("grabber", "said"),
    [(FakeGrabber, "Wayland.*:7 shows one blank"), (Closed, "Wayland.*:7 cannot be read")],
)
def test_a_blank_display_beside_wayland_is_refused(grabber: type[FakeGrabber], said: str) -> None:
    """Catches the black picture of Xwayland, which holds nothing of the desktop."""
    with pytest.raises(SourceError, match=said):
        open_beside_wayland("", ":7", lambda: grabber([]))


def test_a_wrong_target_beside_wayland_is_told_as_such() -> None:
    """Catches "this is Wayland" as the answer to a monitor that is not there."""
    with pytest.raises(SourceError, match="no monitor 3"):
        open_beside_wayland("monitor:3", ":7", lambda: Painted([]))


@pytest.fixture
def xvfb() -> Iterator[Callable[[int], str]]:
    """Starts a real X server of that depth and returns its display."""
    started: list[subprocess.Popen[bytes]] = []

    def start(depth: int) -> str:
        reader, writer = os.pipe()
        command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"320x240x{depth}"]
        server = subprocess.Popen(
            [*command, "-nolisten", "tcp", "-noreset"],
            pass_fds=(writer,),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(server)
        os.close(writer)
        with os.fdopen(reader) as answer:
            return f":{answer.readline().strip()}"

    yield start
    for server in started:
        server.terminate()
        server.wait(timeout=20)


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_real_displays(xvfb: Callable[[int], str]) -> None:
    """Catches "same user" as advice at depth 16 (issue 15), and a size that is not the real one."""
    display = xvfb(24)
    screen = Screen("", lambda: MssGrabber(lambda: MSS(display=display)))
    assert screen.read().pixels.shape == (240, 320, 3)
    screen.close()
    shallow = xvfb(16)
    with pytest.raises(SourceError, match=r"16.*depth 24"):
        Screen("", lambda: MssGrabber(lambda: MSS(display=shallow)))


class GoneDisplay:
    """What mss 10.2 does once the X server it is connected to has ended."""

    def __init__(self) -> None:
        self.num_closes = 0

    def grab(self, box: dict[str, int]) -> None:
        raise AssertionError

    def close(self) -> None:
        self.num_closes += 1
        raise ScreenShotError("Connection to X server closed")


def test_a_display_that_ends_is_a_source_error() -> None:
    """Catches a capture loop that repeats the failing call instead of opening the screen again."""
    display = GoneDisplay()
    grabber = MssGrabber(lambda: display)
    with pytest.raises(SourceError, match="640x480 at 0,0 cannot be read: the display is gone"):
        grabber.grab(Area(0, 0, 640, 480))
    grabber.close()
    assert display.num_closes == 1
