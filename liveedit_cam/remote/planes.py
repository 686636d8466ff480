"""Edit fields as few bytes: 8 bits a value, each plane with a scale of its own. Knows no socket.

A value is stored as its difference to its left neighbour, whole numbers that zlib packs well. Zero
stays zero: what an edit leaves alone stays the camera's own, bit for bit. float16 would be three
times as large and no better to look at (``benchmarks/wire.py``).
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from liveedit_cam.remote.messages import WireError

if TYPE_CHECKING:
    from liveedit_cam.types import Floats

LEVELS = 127
ZLIB_LEVEL = 1
"""Higher ones save 3 % and take twice as long or more."""


def packed(planes: Floats) -> bytes:
    """Finite float32 (..., h, w) as bytes; the shape is not among them."""
    flat = planes.reshape(-1, *planes.shape[-2:])
    scales = (np.abs(flat).max(axis=(1, 2)) / LEVELS).astype(np.float32)
    steps = np.where(scales > 0, scales, 1)[:, None, None]
    values = np.rint(flat / steps).astype(np.int8)
    differences = np.diff(values, axis=2, prepend=np.int8(0))  # wraps, and unwraps again
    return zlib.compress(scales.tobytes() + differences.tobytes(), ZLIB_LEVEL)


def unpacked(data: bytes, shape: tuple[int, ...]) -> Floats:
    """float32 of ``shape`` (..., h, w), at most half a step off. Raises WireError."""
    num_planes = int(np.prod(shape[:-2]))
    num_values = int(np.prod(shape))
    size = 4 * num_planes + num_values
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(data, size + 1)
    except zlib.error as error:
        raise WireError(
            f"got planes that cannot be unpacked ({error}), expected {shape}"
        ) from error
    if len(raw) != size or not inflater.eof:
        more = "" if len(raw) <= size else "more than "
        raise WireError(
            f"got planes of {more}{min(len(raw), size)} bytes, expected {size} for {shape}"
        )
    scales = np.frombuffer(raw, np.float32, num_planes)
    with np.errstate(over="ignore", invalid="ignore"):
        is_usable = np.isfinite(scales * np.float32(LEVELS + 1)).all() and (scales >= 0).all()
    if not is_usable:
        raise WireError("got planes with values that are not finite, expected numbers")
    differences = np.frombuffer(raw, np.int8, num_values, 4 * num_planes)
    values = np.cumsum(differences.reshape(num_planes, *shape[-2:]), axis=2, dtype=np.int8)
    return (values * scales[:, None, None]).reshape(shape)
