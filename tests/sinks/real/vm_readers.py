"""The picture as other programs see it: OpenCV and PyAV read the virtual camera."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from vm_checks import wait_for
from vm_editor import BLACK_POINT, CAMERA_POINTS, COUNTER_POINT, PAINTED, PAINTED_POINTS, SIZE

DEVICE = "/dev/video9"
TOLERANCE = 3
"""Rounding to 8 bit YUV and back costs up to 2; another matrix costs 12 and more."""
MAX_PICTURES = 300
"""Bound of a wait for the counter, 20 s: the machine edits one a second, where it is emulated."""
PAINTED_S = 300.0
"""Bound of a wait for an edited picture: numba compiles what puts fields on, which takes minutes
without the host's own processor."""

Pictures = Iterator[np.ndarray]


def checks(note: Path) -> Sequence[Callable[[], str]]:
    """The checks; ``note`` is where the editor writes what the camera showed."""

    def opencv_sees_the_daemon() -> str:
        """Catches another matrix, swapped channels, a frozen picture, and bars that are missing."""
        wait_for(note.exists, "edited picture")
        return verify(from_opencv(), note)

    def pyav_sees_the_same() -> str:
        """Catches a format that only one reader understands."""
        return verify(from_pyav(), note)

    def readers_come_and_go() -> str:
        """Catches a stream that stops with its first reader, or serves one reader only.

        The driver 0.12 cuts off a reader when another one leaves, so the one that stays opens anew.
        """
        first, second = from_opencv(), from_opencv()
        verify(first, note)
        verify(second, note)
        first.close()
        second.close()
        return verify(from_opencv(), note)

    return (opencv_sees_the_daemon, pyav_sees_the_same, readers_come_and_go)


def from_opencv() -> Pictures:
    """RGB pictures as OpenCV converts them."""
    capture = cv2.VideoCapture(DEVICE, cv2.CAP_V4L2)
    assert capture.isOpened(), "OpenCV cannot open the virtual camera"
    try:
        while True:
            ok, picture = capture.read()
            assert ok, "OpenCV got no picture"
            yield picture[..., ::-1]
    finally:
        capture.release()


def from_pyav() -> Pictures:
    """RGB pictures as PyAV (FFmpeg) converts them."""
    with av.open(DEVICE, format="v4l2") as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def verify(pictures: Pictures, note: Path | None) -> str:
    """Compare colours, bars, size and movement; returns what was seen.

    ``note`` holds the colours of the camera; None where no camera is shown.
    """
    give_up = time.monotonic() + PAINTED_S
    picture = next(p for p in pictures if is_painted(p) or time.monotonic() > give_up)
    assert is_painted(picture), f"nothing painted in {PAINTED_S:g} s: {picture[PAINTED_POINTS[0]]}"
    assert picture.shape == (SIZE[1], SIZE[0], 3), picture.shape
    assert max(picture[BLACK_POINT]) <= TOLERANCE, f"no letterbox: {picture[BLACK_POINT]}"
    seen = f"painted {compare(picture, PAINTED_POINTS, PAINTED)}"
    if note is not None:
        camera = [tuple(colour) for colour in json.loads(note.read_text())]
        assert len(set(camera)) == len(camera), f"the camera shows no colour bars: {camera}"
        seen += f", camera {compare(picture, CAMERA_POINTS, camera)} (was {camera})"
    counts: set[int] = set()
    for _, picture in zip(range(MAX_PICTURES), pictures, strict=False):
        counts.add(int(picture[COUNTER_POINT][0]))
        if len(counts) == 4:
            break
    assert len(counts) == 4, f"the counter stands still: {counts}"
    return seen


def is_painted(picture: np.ndarray) -> bool:
    """Whether this is an edited picture, not the still card; with a wide tolerance."""
    y, x = PAINTED_POINTS[0]
    return bool(np.abs(picture[y, x].astype(int) - PAINTED[0]).max() < 40)


def compare(
    picture: np.ndarray,
    points: Sequence[tuple[int, int]],
    colours: Sequence[tuple[int, ...]],
) -> list[tuple[int, ...]]:
    """The colours at ``points``; AssertionError where one is too far from the one expected."""
    seen = [tuple(int(value) for value in picture[point]) for point in points]
    worst = int(np.abs(np.subtract(seen, colours)).max())
    assert worst <= TOLERANCE, f"got {seen}, expected {colours} within {TOLERANCE}"
    return seen
