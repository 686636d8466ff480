"""Pictures as arrays: fit into a size, draw the still card, make a JPEG. Knows no frame, no device.

Everything takes and returns RGB uint8 (H, W, 3). OpenCV is used here for arithmetic and drawing
only; cameras are opened in ``sources/camera.py``.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import cast

import cv2
import numpy as np

from liveedit_cam.types import Box, Fit, Pixels

Colour = tuple[int, int, int]

_TOP = np.array((30, 33, 44), np.float32)
_BOTTOM = np.array((11, 12, 17), np.float32)
_ACCENT_LEFT = np.array((64, 208, 190), np.float32)
_ACCENT_RIGHT = np.array((128, 110, 240), np.float32)
_TITLE = (238, 241, 246)
_TEXT = (158, 166, 182)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MAX_LINES = 3
FAR = 6
"""Times the width wanted from which on a picture is halved before it is averaged."""


def place(
    pixels: Pixels, width: int, height: int, how: Fit, *, mirror: bool
) -> tuple[Pixels, Box | None]:
    """A picture in the shape of the sinks, and where it lies in it; None = it is all of it.

    Takes and returns uint8 (H, W, 3) RGB; the very same array where nothing is to be done.
    """
    source_height, source_width = pixels.shape[:2]
    box: Box | None = None
    if how is Fit.BARS:
        placed = fit(pixels, width, height)
        box = fitted_box(source_width, source_height, width, height)
    elif how is Fit.CROP:
        placed = cover(pixels, width, height)
    elif (source_width, source_height) == (width, height):
        placed = pixels
    else:
        smaller = width * height < source_width * source_height
        interpolation = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        placed = cast("Pixels", cv2.resize(pixels, (width, height), interpolation=interpolation))
    if not mirror:
        return placed, box
    if box is not None:
        box = replace(box, x=width - box.x - box.width)
    return cast("Pixels", cv2.flip(placed, 1)), box


def fit(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scale a picture into ``width`` x ``height`` with its aspect kept and black bars around it.

    Takes and returns uint8 (H, W, 3) RGB; the very same array where the size is already right.
    Area averaging on the way down, cubic on the way up.
    """
    source_height, source_width = pixels.shape[:2]
    if (source_width, source_height) == (width, height):
        return pixels
    box = fitted_box(source_width, source_height, width, height)
    interpolation = cv2.INTER_AREA if box.width < source_width else cv2.INTER_CUBIC
    inner = cv2.resize(pixels, (box.width, box.height), interpolation=interpolation)
    if (box.width, box.height) == (width, height):
        return cast("Pixels", inner)
    canvas: Pixels = np.zeros((height, width, 3), np.uint8)
    canvas[box.y : box.y + box.height, box.x : box.x + box.width] = inner
    return canvas


def shrink(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scale a picture to exactly ``width`` x ``height``, its aspect not kept, by area averaging.

    Takes and returns uint8 (H, W, 3) RGB. What is far larger is halved first, which OpenCV makes of
    whole pixels: from 1920x1080 to 256x144 2.7 ms instead of 6.9, and within 2 levels of it.
    """
    while pixels.shape[1] > FAR * width and pixels.shape[0] % 2 == pixels.shape[1] % 2 == 0:
        half = pixels.shape[1] // 2, pixels.shape[0] // 2
        pixels = cast("Pixels", cv2.resize(pixels, half, interpolation=cv2.INTER_AREA))
    return cast("Pixels", cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))


def cover(pixels: Pixels, width: int, height: int) -> Pixels:
    """Scale a picture over all of ``width`` x ``height``, its aspect kept, what sticks out cut off.

    Takes and returns uint8 (H, W, 3) RGB.
    """
    source_height, source_width = pixels.shape[:2]
    if (source_width, source_height) == (width, height):
        return pixels
    box = fitted_box(width, height, source_width, source_height)
    seen = pixels[box.y : box.y + box.height, box.x : box.x + box.width]
    interpolation = cv2.INTER_AREA if width < box.width else cv2.INTER_CUBIC
    return cast("Pixels", cv2.resize(seen, (width, height), interpolation=interpolation))


def fitted_box(source_width: int, source_height: int, width: int, height: int) -> Box:
    """Where ``fit`` puts a picture of the first size in one of the second; bars are around it."""
    scale = min(width / source_width, height / source_height)
    inner_width = max(1, min(width, round(source_width * scale)))
    inner_height = max(1, min(height, round(source_height * scale)))
    x, y = (width - inner_width) // 2, (height - inner_height) // 2
    return Box(x, y, inner_width, inner_height)


def slate(width: int, height: int, title: str, text: str) -> Pixels:
    """Draw the still card: dark, ``title`` large, ``text`` small below, up to three lines.

    Returns uint8 (height, width, 3) RGB. Text that does not fit ends in an ellipsis.
    """
    card = _vertical_gradient(width, height)
    left, limit = width // 12, width - width // 6
    base = min(height, width * 9 // 16)
    title_scale = _scale_to_fit(title, base * 0.085, limit)
    text_scale = _scale_for_height(max(9.0, base * 0.036))
    y = round(height * 0.5 - base * 0.04)
    _write(card, title, (left, y), title_scale, _TITLE)
    y += round(base * 0.055)
    _accent(card, left, y, round(base * 0.26), max(2, round(base * 0.006)))
    for line in _wrap(text, text_scale, limit):
        y += max(15, round(base * 0.075))
        if y > height - 6:  # a very small card shows fewer lines
            break
        _write(card, line, (left, y), text_scale, _TEXT)
    return card


def badge(pixels: Pixels, text: str) -> Pixels:
    """A copy of uint8 (H, W, 3) RGB with a short text in its lower left corner."""
    marked = pixels.copy()
    height, width = marked.shape[:2]
    scale = _scale_for_height(max(9.0, min(height, width) * 0.028))
    text_width, text_height = _text_size(text, scale)
    pad = max(4, text_height // 2)
    left, base = 2 * pad, height - 2 * pad
    top, right = max(0, base - text_height - pad), left + text_width + pad
    marked[top : base + pad, left - pad : right] //= 3
    _write(marked, text, (left, base), scale, _TITLE)
    return marked


def jpeg(pixels: Pixels, quality: int = 80) -> bytes:
    """Encode uint8 (H, W, 3) RGB as JPEG, ``quality`` 1..100."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    ok, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert ok, f"JPEG encoding refused an array of shape {pixels.shape}, quality {quality}"
    return encoded.tobytes()


def from_jpeg(data: bytes, width: int, height: int) -> Pixels | None:
    """Decode a JPEG of exactly that size to uint8 (height, width, 3) RGB; None where it is not one.

    Its size is read from its header first: a few bytes can claim gigabytes.
    """
    if _jpeg_size(data) != (width, height):
        return None
    bgr = cv2.imdecode(
        np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    if bgr is None or bgr.shape != (height, width, 3):
        return None
    return cast("Pixels", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in the first start-of-frame segment (ITU T.81, B.2.2); None without one."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def _vertical_gradient(width: int, height: int) -> Pixels:
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    column = _TOP * (1 - share) + _BOTTOM * share
    return np.repeat(column[:, None, :].astype(np.uint8), width, axis=1)


def _accent(card: Pixels, x: int, y: int, length: int, thickness: int) -> None:
    stripe = card[y : y + thickness, x : x + length]
    share = np.linspace(0, 1, stripe.shape[1], dtype=np.float32)[:, None]
    stripe[:] = (_ACCENT_LEFT * (1 - share) + _ACCENT_RIGHT * share).astype(np.uint8)


def _write(card: Pixels, line: str, at: tuple[int, int], scale: float, colour: Colour) -> None:
    thickness = max(1, round(scale * 1.2))
    cv2.putText(card, line, at, _FONT, scale, colour, thickness, cv2.LINE_AA)


def _text_size(line: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(line, _FONT, scale, max(1, round(scale * 1.2)))
    return width, height


def _scale_for_height(pixels_high: float) -> float:
    return max(0.2, pixels_high / _text_size("Hg", 1.0)[1])


def _scale_to_fit(line: str, pixels_high: float, limit_px: int) -> float:
    scale = _scale_for_height(pixels_high)
    return scale * min(1.0, limit_px / max(1, _text_size(line, scale)[0]))


def _wrap(text: str, scale: float, limit_px: int) -> list[str]:
    letter_px = max(1.0, _text_size("the quick brown fox jumps", scale)[0] / 25)
    columns = max(8, int(limit_px / letter_px))
    return textwrap.wrap(text, columns, max_lines=_MAX_LINES, placeholder=" ...")
