"""Fields lose half a step of 127 on the wire, and nothing where they are zero."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from liveedit_cam.remote.messages import WireError
from liveedit_cam.remote.planes import LEVELS, packed, unpacked

SHAPE = (2, 12, 9, 16)


def planes(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = random.normal(0, 1, SHAPE).astype(np.float32)
    found[:, 3] *= 1e-3  # a small plane must not be rounded by the step of a large one
    found[:, 5] = 0
    found[0, 0, 2:5] = 0
    return found


def test_half_a_step_is_lost_at_most() -> None:
    """Catches one scale for all planes, truncation instead of rounding, and a wrap that stays."""
    before = planes()
    after = unpacked(packed(before), SHAPE)
    step = np.abs(before).max(axis=(2, 3), keepdims=True) / LEVELS
    assert after.dtype == np.float32
    assert (np.abs(after - before) <= 0.5 * step + 1e-7).all()


def test_zero_stays_zero() -> None:
    """Catches levels without one at zero: unedited pixels must stay the camera's own."""
    before = planes()
    assert not unpacked(packed(before), SHAPE)[before == 0].any()
    assert not unpacked(packed(np.zeros(SHAPE, np.float32)), SHAPE).any()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no zlib", "unpacked"),
        (packed(planes())[:-9], "bytes"),
        (packed(planes()[:1]), "bytes, expected"),
        (zlib.compress(bytes(10**8)), "more than"),
        (packed(planes()) + b"more", None),
    ],
)
def test_a_wrong_size_is_refused(data: bytes, says: str | None) -> None:
    """Catches a reshape error from inside numpy, and a few bytes that unpack to a gigabyte."""
    if says is None:  # bytes after the end mean nothing
        assert unpacked(data, SHAPE).shape == SHAPE
        return
    with pytest.raises(WireError, match=says):
        unpacked(data, SHAPE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 3e38])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    """Catches a NaN that reaches the picture, also one made only by the multiplication."""
    raw = bytearray(zlib.decompress(packed(planes())))
    raw[4:8] = np.float32(bad).tobytes()
    with pytest.raises(WireError, match="finite"):
        unpacked(zlib.compress(bytes(raw)), SHAPE)
