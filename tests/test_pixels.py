"""Pictures: fit, the still card, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from liveedit_cam.pixels import fit, fitted_box, from_jpeg, jpeg, place, slate
from liveedit_cam.types import Box, Fit


def coloured(width: int, height: int) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:] = (200, 100, 50)
    return pixels


def test_fit_returns_the_very_array_when_the_size_is_right() -> None:
    """Catches a needless copy on the hot path."""
    pixels = coloured(64, 36)
    assert fit(pixels, 64, 36) is pixels


@pytest.mark.parametrize(
    ("size", "bars"),
    [((160, 90), "none"), ((160, 160), "rows"), ((320, 90), "columns"), ((17, 400), "rows")],
)
def test_fit_keeps_the_aspect_and_centres(size: tuple[int, int], bars: str) -> None:
    """Catches stretching, bars on one side only, and swapped width and height."""
    width, height = size
    fitted = fit(coloured(640, 360), width, height)
    assert fitted.shape == (height, width, 3)
    assert fitted.dtype == np.uint8
    lit = fitted.any(axis=2)
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    inner = (columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)
    assert inner[0] / inner[1] == pytest.approx(16 / 9, rel=1 / min(inner))
    assert abs(rows[0] - (height - 1 - rows[-1])) <= 1
    assert abs(columns[0] - (width - 1 - columns[-1])) <= 1
    assert (rows[0] > 0) == (bars == "rows")
    assert (columns[0] > 0) == (bars == "columns")
    box = fitted_box(640, 360, width, height)
    assert box == Box(int(columns[0]), int(rows[0]), *inner)


def test_fit_averages_on_the_way_down() -> None:
    """Catches point sampling, which makes moire of a fine pattern: one-pixel stripes turn grey."""
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = fit(stripes, 16, 16)
    assert np.all(np.abs(small.astype(int) - 127) <= 2)  # exact mean 127.5


def test_slate_is_dark_and_shows_its_text() -> None:
    """Catches an empty card, a card whose text is not drawn, and one that glares."""
    plain = slate(640, 360, "", "")
    card = slate(640, 360, "LiveEdit", "Starting")
    other = slate(640, 360, "LiveEdit", "Paused")
    assert card.shape == (360, 640, 3)
    assert card.dtype == np.uint8
    assert card.mean() < 60
    assert card.max() > 200
    assert not np.array_equal(card, plain)
    assert not np.array_equal(card, other)


@pytest.mark.parametrize("size", [(1280, 720), (320, 192), (360, 640), (64, 64)])
def test_slate_keeps_any_text_inside(size: tuple[int, int]) -> None:
    """Catches long messages that run over the right edge, and sizes that break the layout."""
    width, height = size
    card = slate(width, height, "LiveEdit", "a long reason why nothing is shown " * 20)
    empty = slate(width, height, "", "")
    assert card.shape == (height, width, 3)
    assert np.array_equal(card[:, -1], empty[:, -1])
    assert np.array_equal(card[-1], empty[-1])


def test_jpeg_keeps_red_red() -> None:
    """Catches a swap of red and blue; 10 levels is above what quality 90 costs on a plain area."""
    data = jpeg(coloured(64, 48), 90)
    back = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert back.shape == (48, 64, 3)
    assert np.all(np.abs(back.astype(int) - (200, 100, 50)) <= 10)


def test_jpeg_quality_costs_bytes() -> None:
    """Catches an ignored quality."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert len(jpeg(noise, 20)) < len(jpeg(noise, 95))


def test_a_jpeg_is_read_at_the_size_it_is_said_to_have() -> None:
    """Catches swapped sides, blue for red, and a picture decoded before its size was looked at."""
    data = jpeg(coloured(64, 48), 95)
    found = from_jpeg(data, 64, 48)
    assert found is not None
    assert np.abs(found.astype(int) - coloured(64, 48)).mean() < 4
    assert from_jpeg(data, 48, 64) is None
    assert from_jpeg(data[:40], 64, 48) is None
    assert from_jpeg(b"", 64, 48) is None


def test_a_jpeg_that_claims_gigabytes_is_not_decoded() -> None:
    """Catches a decoder that makes room for what a header claims."""
    data = jpeg(coloured(64, 48), 95)
    at = data.index(b"\xff\xc0") + 5
    huge = data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :]
    assert from_jpeg(huge, 64, 48) is None


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (200, 90)])
def test_crop_and_stretch_leave_no_bars_and_mirror_exchanges_the_sides(
    size: tuple[int, int],
) -> None:
    """Catches a stretched face in crop, bars in either, and a box of bars that stays unmirrored."""
    width, height = size
    picture = np.zeros((180, 320, 3), np.uint8)
    picture[:, :160] = 255
    picture[80:100, 150:170] = (250, 10, 10)  # a square in the middle
    for how in (Fit.CROP, Fit.STRETCH):
        placed, box = place(picture, width, height, how, mirror=False)
        assert box is None
        assert placed.shape == (height, width, 3)
        assert placed[:, 0].min() > 200
        assert placed[:, -1].max() < 50
        flipped, _ = place(picture, width, height, how, mirror=True)
        assert np.array_equal(flipped, placed[:, ::-1])
    square = (place(picture, width, height, Fit.CROP, mirror=False)[0] - (250, 10, 10)).astype(int)
    near = np.abs(square).max(axis=2) < 60
    rows, columns = near.any(axis=1).sum(), near.any(axis=0).sum()
    assert rows == pytest.approx(columns, abs=2)


def test_bars_are_told_where_they_lie_also_mirrored() -> None:
    """Catches bars that are edited, by a box that is one pixel beside the picture."""
    picture = np.full((100, 100, 3), 200, np.uint8)
    for mirror in (False, True):
        placed, box = place(picture, 201, 100, Fit.BARS, mirror=mirror)
        assert box is not None
        lit = np.flatnonzero(placed.any(axis=(0, 2)))
        assert (box.x, box.width) == (lit[0], lit[-1] - lit[0] + 1)
