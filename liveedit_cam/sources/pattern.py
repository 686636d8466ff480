"""A synthetic scene that is always there: a person in a room, a table with moving things.

For machines without a camera, for tests and for demonstrations. Frame ``n`` is a pure function of
``n``. Background and figures are drawn once at twice their size; a frame is one copy of the
background and a handful of small warps. Knows nothing of real devices.
"""

from __future__ import annotations

import math
import re
import threading
import time
from dataclasses import dataclass

from liveedit_cam.errors import SourceEnded, UsageError
from liveedit_cam.pacing import Now, Pacer, Sleep
from liveedit_cam.pixels import cover
from liveedit_cam.protocols import Source
from liveedit_cam.sources._drawing import (
    TABLE_TOP,
    Sprite,
    background,
    ball,
    book,
    cup,
    paste,
    person,
    plant,
)
from liveedit_cam.types import Frame, Pixels

WIDTH, HEIGHT, FPS = 1280, 720, 30.0

_TARGET = re.compile(r"(\d{2,4})x(\d{2,4})")


def describe() -> str:
    """One line of help."""
    return "pattern[:WIDTHxHEIGHT]  a drawn scene, always available (1280x720 at 30 fps)"


def create(target: str, *, loop: bool, realtime: bool) -> Source:
    """Make the scene, which never ends, so ``loop`` means nothing. Raises UsageError."""
    width, height = _parse_size(target)
    return Pattern(width, height, realtime=realtime)


class Pattern:
    """The drawn scene as a Source; paced at 30 frames per second where ``realtime``."""

    def __init__(
        self,
        width: int = WIDTH,
        height: int = HEIGHT,
        *,
        realtime: bool = True,
        now: Now = time.monotonic,
        sleep: Sleep | None = None,
    ) -> None:
        """``sleep`` None waits on the source's own closing event, so ``close`` ends the wait."""
        self.width, self.height, self.fps = width, height, FPS
        self.name = f"pattern ({width}x{height} at {FPS:g} fps)"
        self._scene = Scene()
        self._now = now
        self._closed = threading.Event()
        self._pacer = Pacer(FPS, now=now, sleep=sleep or self._closed.wait) if realtime else None
        self._index = 0

    def read(self) -> Frame:
        """Draw the next frame."""
        if self._pacer is not None:
            self._pacer.wait()
        if self._closed.is_set():
            raise SourceEnded("The pattern was closed.")
        index, self._index = self._index, self._index + 1
        pixels = cover(self._scene.draw(index), self.width, self.height)
        return Frame(pixels=pixels, index=index, captured_at=self._now())

    def close(self) -> None:
        """End a waiting ``read``."""
        self._closed.set()


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where a figure is at one moment."""

    sprite: Sprite
    x: float
    """Centre, pixels from the left of the 1280x720 scene."""
    y: float
    """Centre, pixels from the top."""
    degrees: float = 0.0
    """Turn about the centre, counter-clockwise."""


class Scene:
    """The layers, drawn once, and how they move."""

    def __init__(self) -> None:
        """Draw the layers; takes some tens of milliseconds."""
        self._background = background(WIDTH, HEIGHT)
        self._person, self._plant = person(), plant()
        self._cup, self._ball, self._book = cup(), ball(), book()

    def draw(self, index: int) -> Pixels:
        """Draw frame ``index`` (0, 1, ...) as uint8 (720, 1280, 3) RGB; a new array each time."""
        t = index / FPS
        canvas = self._background.copy()
        sway = math.sin(t * 0.9)
        body = _Pose(self._person, 600 + 34 * sway, 366 + 4 * math.sin(t * 1.8), -3.0 * sway)
        paste(canvas, body.sprite, body.x, body.y, body.degrees)
        canvas[TABLE_TOP:] = self._background[TABLE_TOP:]
        for pose in self._table_poses(t):
            paste(canvas, pose.sprite, pose.x, pose.y, pose.degrees)
        return canvas

    def _table_poses(self, t: float) -> tuple[_Pose, ...]:
        """What stands on the table at ``t`` seconds, farthest first."""
        roll = 930 + 150 * math.sin(t * 0.55)
        hop = abs(math.sin(t * 2.1))
        return (
            _Pose(self._plant, 1140, 422, 1.5 * math.sin(t * 0.8)),
            _Pose(self._book, 250 + 70 * math.sin(t * 0.4 + 1), 618, 4 * math.sin(t * 0.7)),
            _Pose(self._ball, roll, 612 - 78 * hop, -(roll - 930) * 1.4),
            _Pose(self._cup, 560 + 150 * math.sin(t * 0.6 + 2.2), 622),
        )


def _parse_size(target: str) -> tuple[int, int]:
    if not target:
        return WIDTH, HEIGHT
    match = _TARGET.fullmatch(target)
    if match is None:
        raise UsageError(
            f"Got the pattern size {target!r}, expected WIDTHxHEIGHT in pixels.",
            hint="Such as pattern:640x360, or pattern alone for 1280x720.",
        )
    return int(match[1]), int(match[2])
