"""Fade from one edit to the next: the change is mixed, so the picture itself never stops.

A field is an affine change of each colour, so a mix of two fields on a frame is the mix of the two
pictures they would make of it, before levels are cut off.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from liveedit_cam.compositing.carry import Carrier
from liveedit_cam.types import EditField, Pixels


class CrossFade:
    """Keeps the field of before while it fades. One thread owns it."""

    def __init__(self) -> None:
        self._carrier = Carrier()
        self._before: EditField | None = None
        self._began_at: float | None = None
        self._seconds = 0.0

    def begin(self, before: EditField, seconds: float) -> None:
        """Fade out ``before`` from the next frame on, over so many seconds of the frames' time."""
        self._before = before if seconds > 0 else None
        self._began_at, self._seconds = None, seconds

    def end(self) -> None:
        """Show the new field alone."""
        self._before = None

    def mixed(self, field: EditField, small: Pixels, at: float) -> EditField:
        """``field``, which lies on ``small``, with what is left of the one before.

        ``small`` uint8 (h, w, 3) RGB of the field's size; ``at`` the frame's capture in seconds.
        The field of before is carried all the way from its own guide: from frame to frame it would
        stay behind on what a moving thing uncovers. Half a second on it is as good as a late field.
        """
        before = self._before
        if before is None:
            return field
        if self._began_at is None:
            self._began_at = at
        left = 1 - (at - self._began_at) / self._seconds
        if left <= 0 or before.guide.shape != field.guide.shape or before.part != field.part:
            self._before = None
            return field
        carried = self._carrier.carry(before, small)
        share = np.float32(min(left, 1.0))
        cells = field.cells + share * (carried.cells - field.cells)
        rest = field.rest
        if field.rest is not None or carried.rest is not None:
            shape = (3, *field.guide.shape)
            new = np.zeros(shape, np.float32) if field.rest is None else field.rest
            old = np.zeros(shape, np.float32) if carried.rest is None else carried.rest
            rest = new + share * (old - new)
        return replace(field, cells=cells, rest=rest)
