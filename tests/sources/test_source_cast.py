"""A shared screen's pictures, written by a child that the test chose."""

from __future__ import annotations

import re
import shutil
import sys

import numpy as np
import pytest

from liveedit_cam.distribution import pipewire_command
from liveedit_cam.errors import SourceError, UsageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Wayland is Linux's")
if sys.platform == "linux":
    from liveedit_cam.sources._cast import CastGrabber, SharedScreen, fitted
    from liveedit_cam.sources._desktop import Area

WIDTH, HEIGHT = 64, 36
NUM_BYTES = WIDTH * HEIGHT * 3


class Session:
    """A sharing that the test ends."""

    def __init__(self) -> None:
        self.has_ended = False
        self.num_closes = 0

    def is_over(self) -> bool:
        return self.has_ended

    def close(self) -> None:
        self.num_closes += 1


def grabber(session: Session, script: str) -> CastGrabber:
    return CastGrabber(session, ["/bin/sh", "-c", script], (WIDTH, HEIGHT), -1)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1920, 1080), (1280, 720)),
        ((3440, 1440), (1280, 534)),
        ((640, 480), (640, 480)),
        ((333, 201), (332, 200)),
        (None, (1280, 720)),
        ((0, 0), (1280, 720)),
    ],
)
def test_the_shape_is_kept_and_rows_are_whole(
    size: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    """Catches a stretched screen, one blown up, and rows that GStreamer would pad."""
    assert fitted(size, 1280, 720) == expected


def test_pictures_are_taken_whole_and_the_newest_stays() -> None:
    """Catches a picture cut where the pipe was, and a still screen without pictures."""
    half = f"head -c {NUM_BYTES // 2} /dev/zero"
    session = Session()
    source = SharedScreen("", grabber(session, f"{half}; sleep 0.1; {half}; sleep 60"), "a monitor")
    for index in range(2):
        frame = source.read()
        assert frame.index == index
        assert np.array_equal(frame.pixels, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    source.close()
    source.close()
    assert session.num_closes > 0


def test_a_child_that_says_much_is_not_held_up() -> None:
    """Catches warnings that nobody reads: a full pipe stops the child, and with it the picture."""
    script = (
        f"head -c 200000 /dev/zero | tr '\\0' '\\n' >&2; head -c {NUM_BYTES} /dev/zero; sleep 60"
    )
    made = grabber(Session(), script)
    assert made.grab(made.monitors()[0]).shape == (HEIGHT, WIDTH, 3)
    made.end()


def test_a_part_of_what_is_shared() -> None:
    """Catches rows taken for columns."""
    made = grabber(Session(), f"head -c {NUM_BYTES} /dev/zero; sleep 60")
    assert made.grab(Area(8, 4, 32, 16)).shape == (16, 32, 3)
    made.end()
    with pytest.raises(UsageError, match="expected X,Y,W,H"):
        SharedScreen("left", grabber(Session(), f"head -c {NUM_BYTES} /dev/zero; sleep 60"), "it")


@pytest.mark.parametrize("by", ["the child", "the desktop"])
def test_an_end_is_an_error(by: str) -> None:
    """Catches the last picture shown for ever."""
    session = Session()
    rest = "" if by == "the child" else "; sleep 60"
    made = grabber(session, f"head -c {NUM_BYTES} /dev/zero{rest}")
    session.has_ended = by == "the desktop"
    if not rest:
        made._child.join(20)
    with pytest.raises(SourceError, match="was ended"):
        made.grab(made.monitors()[0])
    made.end()


def test_what_gstreamer_lacks_is_told() -> None:
    """Catches ten seconds of waiting for a program that ended at once."""
    session = Session()
    install = re.escape(pipewire_command())
    script = "echo 'ERROR: no element \"pipewiresrc\"' >&2; exit 1"
    with pytest.raises(SourceError, match=rf"no element .pipewiresrc.*{install}"):
        grabber(session, script)
    assert session.num_closes == 1
    assert shutil.which("no-such-program") is None
    with pytest.raises(SourceError, match="no-such-program cannot be run"):
        CastGrabber(session, ["no-such-program"], (WIDTH, HEIGHT), -1)
