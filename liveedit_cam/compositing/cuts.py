"""Says when a source cuts to another picture, from which on older fields mean nothing."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.types import Pixels

Grey = NDArray[np.float32]

SMALL_PX = (32, 18)
"""Width and height at which two pictures are compared: motion within a scene hardly shows."""
UNLIKE = 0.5
"""Correlation of two pictures below which they are of different scenes."""
LEAST_LEVELS = 12.0
"""Mean levels by which they must differ, so that noise on a flat picture is no cut."""
CALM_S = 1.0
"""A source that flashes all the time does not cut all the time: one cut in so many seconds."""


class CutDetector:
    """Looks at one frame after the other. One thread owns it."""

    def __init__(self) -> None:
        self._last: Grey | None = None
        self._cut_at: float | None = None

    def is_cut(self, small: Pixels, captured_at: float) -> bool:
        """Whether ``small``, uint8 (h, w, 3), is of another scene than the frame before it."""
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        seen = cast("Grey", cv2.resize(grey, SMALL_PX, interpolation=cv2.INTER_AREA))
        seen = seen.astype(np.float32)
        last, self._last = self._last, seen
        if last is None or not _are_unlike(last, seen):
            return False
        if self._cut_at is not None and captured_at - self._cut_at < CALM_S:
            return False
        self._cut_at = captured_at
        return True


def _are_unlike(one: Grey, other: Grey) -> bool:
    if float(np.abs(one - other).mean()) < LEAST_LEVELS:
        return False
    a, b = one - one.mean(), other - other.mean()
    spread = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return spread == 0.0 or float((a * b).sum()) / spread < UNLIKE
