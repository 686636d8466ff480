"""The smallest source plugin: one solid colour that changes. Copy it and draw something better.

After ``pip install ./plugins/example_source`` the source is there as ``--source colour``.
"""

from __future__ import annotations

import colorsys
import threading
import time

import numpy as np

from liveedit_cam.errors import SourceEnded, UsageError
from liveedit_cam.pacing import Now, Pacer, Sleep
from liveedit_cam.types import Frame

SECONDS_AROUND = 6
"""Time for one round through all hues."""


def describe() -> str:
    """One line of help."""
    return "colour  one solid colour that changes, 640x360 at 30 fps"


def create(target: str, *, loop: bool, realtime: bool) -> Colour:
    """Make the source; it never ends. Raises UsageError where a target is given."""
    if target:
        raise UsageError(f"The source colour takes no target, got {target!r}.")
    return Colour(realtime=realtime)


class Colour:
    """A picture of one colour as a Source; frame ``n`` is a pure function of ``n``."""

    width, height, fps = 640, 360, 30.0
    name = "colour (640x360 at 30 fps)"

    def __init__(
        self, *, realtime: bool, now: Now = time.monotonic, sleep: Sleep | None = None
    ) -> None:
        """``sleep`` None waits on the source's own closing event, so ``close`` ends the wait."""
        self._now = now
        self._closed = threading.Event()
        sleep = sleep or self._closed.wait
        self._pacer = Pacer(self.fps, now=now, sleep=sleep) if realtime else None
        self._index = 0

    def read(self) -> Frame:
        """Make the next picture."""
        if self._pacer is not None:
            self._pacer.wait()
        if self._closed.is_set():
            raise SourceEnded("The colour was closed.")
        index, self._index = self._index, self._index + 1
        hue = index / (self.fps * SECONDS_AROUND) % 1.0
        red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.6, 0.9))
        pixels = np.full((self.height, self.width, 3), (red, green, blue), np.uint8)
        return Frame(pixels=pixels, index=index, captured_at=self._now())

    def close(self) -> None:
        """End a waiting ``read``."""
        self._closed.set()
