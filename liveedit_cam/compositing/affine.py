"""Put a field on a full-size picture: colour + B colour + c + rest, at every pixel.

B, c and rest are interpolated linearly between their points, so that the change follows the
picture's own borders and keeps its detail (a guided filter's second half, He et al. 2013). Along a
row of cells everything is widened to full width once, along a column it is blended row by row in
a compiled loop. Where a field is zero the camera's own pixels come out, bit for bit.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numba import njit

from liveedit_cam.types import EditField, Floats, Pixels

_F = np.float32
_OFFSETS = 9
"""Planes of a field's cells before c: the nine of B."""


def put_on(picture: Pixels, field: EditField, out: Pixels | None = None) -> Pixels:
    """The picture with the field's change; uint8 (H, W, 3) RGB of any size, taken and returned.

    ``field`` covers all of ``picture``. ``out``, contiguous and of the picture's shape, takes the
    result and may be the picture itself; None = a new one.
    """
    out = np.empty(picture.shape, np.uint8) if out is None else out
    if field.rest is None and not field.cells.any():
        out[:] = picture
        return out
    height, width = picture.shape[:2]
    levels = field.cells.copy()
    levels[_OFFSETS:] *= _F(255)
    cells = _widened(levels, width)
    rest = np.zeros((2, 3, 1), _F) if field.rest is None else _widened(field.rest * _F(255), width)
    rows, shares = _between(height, cells.shape[0])
    rest_rows, rest_shares = _between(height, rest.shape[0])
    flat = np.ascontiguousarray(picture).reshape(height, 3 * width)
    assert out.flags.c_contiguous, f"out of shape {out.shape} and strides {out.strides}"
    flat_out = out.reshape(height, 3 * width)
    _blend(flat, cells, rows, shares, rest, rest_rows, rest_shares, flat_out)
    return out


def put_on_exact(picture: Pixels, field: EditField) -> Pixels:
    """The slow twin of ``put_on``: the formula written down, in float64."""
    height, width = picture.shape[:2]

    def full(plane: Floats) -> Floats:
        return _along(_along(plane.astype(np.float64), height, 0), width, 1)

    colour = picture.astype(np.float64) / 255
    out = colour.copy()
    for channel in range(3):
        for guide in range(3):
            out[..., channel] += full(field.cells[3 * channel + guide]) * colour[..., guide]
        out[..., channel] += full(field.cells[_OFFSETS + channel])
        if field.rest is not None:
            out[..., channel] += full(field.rest[channel])
    return (out.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _widened(planes: Floats, width: int) -> Floats:
    """Planes (C, h, w) interpolated along rows, as (h, C, width)."""
    channels, height, _ = planes.shape
    rows = np.ascontiguousarray(planes.transpose(1, 0, 2)).reshape(height * channels, -1)
    wide = cv2.resize(rows, (width, height * channels), interpolation=cv2.INTER_LINEAR)
    return cast("Floats", wide.reshape(height, channels, width))


def _between(length: int, num_points: int) -> tuple[np.ndarray, Floats]:
    """For each of ``length`` pixels the point before it and its share of the way to the next.

    int64 and float32, shape (length,).
    """
    at = np.clip((np.arange(length) + 0.5) * num_points / length - 0.5, 0, num_points - 1)
    before = np.minimum(at.astype(np.int64), num_points - 2)
    return before, (at - before).astype(np.float32)


def _along(plane: np.ndarray, length: int, axis: int) -> np.ndarray:
    """A plane of shape (h, w) interpolated to ``length`` points along one axis."""
    before, share = _between(length, plane.shape[axis])
    share = share.reshape((-1, 1) if axis == 0 else (1, -1))
    first, second = plane.take(before, axis), plane.take(before + 1, axis)
    return cast("np.ndarray", first + share * (second - first))


@njit(nogil=True, fastmath=True, cache=True)
def _change_row(
    own: Pixels,
    red: Pixels,
    green: Pixels,
    blue: Pixels,
    slope: Floats,
    next_slope: Floats,
    offset: Floats,
    next_offset: Floats,
    share: float,
    out: Floats,
) -> None:
    """One channel of a row: own + B colour + c + 0.5; ``share`` of the way to the next cells."""
    for x in range(out.shape[0]):
        out[x] = (
            _F(own[x])
            + _F(0.5)
            + (slope[0, x] + share * (next_slope[0, x] - slope[0, x])) * _F(red[x])
            + (slope[1, x] + share * (next_slope[1, x] - slope[1, x])) * _F(green[x])
            + (slope[2, x] + share * (next_slope[2, x] - slope[2, x])) * _F(blue[x])
            + (offset[x] + share * (next_offset[x] - offset[x]))
        )


@njit(nogil=True, fastmath=True, cache=True)
def _blend(
    picture: np.ndarray,
    cells: Floats,
    rows: np.ndarray,
    shares: Floats,
    rest: Floats,
    rest_rows: np.ndarray,
    rest_shares: Floats,
    out: np.ndarray,
) -> None:
    """Every row of ``picture`` uint8 (H, 3 W); cells float32 (h, 12, W) in levels of 255.

    Row by row in three planes, each loop over contiguous memory, so that the compiler makes eight
    pixels at a time of it; bytes are taken apart and put together in loops of their own, which it
    turns into shuffles.
    """
    width = picture.shape[1] // 3
    red, green, blue = np.empty(width, _F), np.empty(width, _F), np.empty(width, _F)
    red8 = np.empty(width, np.uint8)
    green8, blue8 = np.empty_like(red8), np.empty_like(red8)
    for y in range(picture.shape[0]):
        source, to = picture[y], out[y]
        for x in range(width):
            red8[x], green8[x], blue8[x] = source[3 * x], source[3 * x + 1], source[3 * x + 2]
        a, z, w = cells[rows[y]], cells[rows[y] + 1], shares[y]
        _change_row(red8, red8, green8, blue8, a[0:3], z[0:3], a[9], z[9], w, red)
        _change_row(green8, red8, green8, blue8, a[3:6], z[3:6], a[10], z[10], w, green)
        _change_row(blue8, red8, green8, blue8, a[6:9], z[6:9], a[11], z[11], w, blue)
        if rest.shape[2] == width:
            p, q, v = rest[rest_rows[y]], rest[rest_rows[y] + 1], rest_shares[y]
            for x in range(width):
                red[x] += p[0, x] + v * (q[0, x] - p[0, x])
                green[x] += p[1, x] + v * (q[1, x] - p[1, x])
                blue[x] += p[2, x] + v * (q[2, x] - p[2, x])
        for x in range(width):
            red8[x] = np.uint8(np.int32(min(max(red[x], _F(0)), _F(255))))
            green8[x] = np.uint8(np.int32(min(max(green[x], _F(0)), _F(255))))
            blue8[x] = np.uint8(np.int32(min(max(blue[x], _F(0)), _F(255))))
        for x in range(width):
            to[3 * x], to[3 * x + 1], to[3 * x + 2] = red8[x], green8[x], blue8[x]
