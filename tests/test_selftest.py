"""The painted numbers: what survives an edit, what is no number, and the delays made of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from liveedit_cam.selftest import NUM_BITS, Book, MarkedSource, WatchedSink, paint, read
from liveedit_cam.sinks.memory import Memory
from liveedit_cam.sources.pattern import Pattern
from liveedit_cam.types import Frame

SCENE = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)


def night(pixels: np.ndarray) -> np.ndarray:
    return (pixels * np.array([0.3, 0.35, 0.6]) + 12).astype(np.uint8)


def through_jpeg(pixels: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)


@pytest.mark.parametrize("number", [0, 1, 5, 2048, 4095])
@pytest.mark.parametrize("change", [np.array, night, through_jpeg])
def test_a_number_is_found_after_an_edit_and_a_camera(number: int, change: object) -> None:
    """Catches a marker that only exact pixels carry: an edit and a JPEG change every one."""
    assert read(change(paint(SCENE, number))) == number  # type: ignore[operator]


def test_a_picture_without_a_number_has_none() -> None:
    """Catches delays made of a still card or of a number that was cut in two by a tear."""
    assert read(np.full((360, 640, 3), 90, np.uint8)) is None
    torn = paint(SCENE, 0b1000)
    side = 640 // 30
    torn[:side, 5 * side : 6 * side] = 0  # that bit is lost, the check stays
    assert read(torn) is None
    assert (paint(SCENE, 7) != SCENE).any()


def test_each_number_counts_once_with_its_own_delay() -> None:
    """Catches a held picture that is counted again, later and later."""
    clock = [10.0]
    book = Book(lambda: clock[0])
    for number in range(20):
        book.painted(number, clock[0])
        clock[0] += 0.04
        book.found(paint(SCENE, number))
        clock[0] += 1.0
        book.found(paint(SCENE, number))
    painted, found, delay = book.result()
    assert (painted, found) == (20, 20)
    assert delay.p50_ms == pytest.approx(40)
    assert delay.p95_ms == pytest.approx(40)


def test_what_the_source_paints_the_sink_finds() -> None:
    """Catches a wrapper that changes the order, or a sink that gets other pixels than were read."""
    book = Book()
    source = MarkedSource(Pattern(640, 360, realtime=False), book)
    inner = Memory(640, 360, 30.0)
    sink = WatchedSink(inner, book)
    for _ in range(5):
        frame: Frame = source.read()
        sink.write(frame)
    assert book.result()[:2] == (5, 5)
    assert read(inner.frames[-1].pixels) == 4 < 2**NUM_BITS
