"""Rectangles of a desktop, what is shared of one, and a Source over anything that reads them.

Knows monitors as rectangles; does not know what windows are on them.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from liveedit_cam.errors import SourceEnded, SourceError, UsageError
from liveedit_cam.pacing import Now, Pacer, Sleep
from liveedit_cam.types import Frame, Pixels

FPS = 30.0
MONITOR = re.compile(r"monitor:(\d+)")
_RECTANGLE = re.compile(r"(-?\d+),(-?\d+),(\d+),(\d+)")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of the desktop, in the desktop's own units (pixels, or points on a Mac)."""

    left: int
    top: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.left},{self.top}"

    def holds(self, other: Area) -> bool:
        """Whether ``other`` lies wholly inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.left + other.width <= self.left + self.width
            and other.top + other.height <= self.top + self.height
        )


class NoPortalError(SourceError):
    """There is no portal that could share a screen here; another way may be tried."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What the person chose."""

    node: int
    """Number of the PipeWire node that has the pictures."""
    size: tuple[int, int] | None
    """Width and height in pixels; None where the portal does not say."""


class Grabber(Protocol):
    """Takes pictures of the desktop; made and used by one thread."""

    def monitors(self) -> tuple[Area, ...]:
        """The whole desktop first, then each monitor."""

    def grab(self, area: Area) -> Pixels:
        """uint8 (H, W, 3) RGB. Raises SourceError."""

    def close(self) -> None: ...


def choose_area(target: str, monitors: Sequence[Area]) -> Area:
    """The rectangle a user meant: "" first monitor, "monitor:N", or "X,Y,W,H".

    ``monitors`` begins with the whole desktop. Raises UsageError where the target cannot be read
    and SourceError where it is not on the screen.
    """
    listed = "; ".join(f"monitor:{i} {area}" for i, area in enumerate(monitors) if i > 0)
    if monitor := MONITOR.fullmatch(target or "monitor:1"):
        number = int(monitor[1])
        if 1 <= number < len(monitors):
            return monitors[number]
        raise SourceError(f"There is no monitor {number}.", hint=f"There are: {listed or 'none'}.")
    rectangle = _RECTANGLE.fullmatch(target.replace(" ", ""))
    if rectangle is None:
        raise UsageError(
            f"Got the screen target {target!r}, expected X,Y,W,H or monitor:N.",
            hint="Such as screen:0,0,1280,720 or screen:monitor:1.",
        )
    area = Area(*(int(number) for number in rectangle.groups()))
    if area.width < 16 or area.height < 16 or not monitors[0].holds(area):
        raise SourceError(
            f"The rectangle {area} is not on the screen, or smaller than 16x16.",
            hint=f"The desktop is {monitors[0]}; {listed}.",
        )
    return area


class Screen:
    """A rectangle of the desktop as a Source, 30 times a second."""

    def __init__(
        self,
        target: str,
        open_grabber: Callable[[], Grabber],
        *,
        now: Now = time.monotonic,
        sleep: Sleep | None = None,
    ) -> None:
        """Check ``target`` and take one picture for its size. Raises SourceError, UsageError."""
        self._open_grabber = open_grabber
        grabber = self._open_grabber()
        try:
            self._area = choose_area(target, grabber.monitors())
            self.height, self.width = grabber.grab(self._area).shape[:2]
        finally:
            grabber.close()
        self.fps = FPS
        self.name = f"screen:{target or 'monitor:1'} ({self._area})"
        self._now = now
        self._closed = threading.Event()
        self._pacer = Pacer(FPS, now=now, sleep=sleep or self._closed.wait)
        self._lock = threading.Lock()  # guards the grabber
        self._grabber: Grabber | None = None  # made by the reading thread, see Grabber
        self._index = 0

    def read(self) -> Frame:
        """Wait for the next due time and take a picture."""
        self._pacer.wait()
        with self._lock:
            if self._closed.is_set():
                raise SourceEnded(f"{self.name} was closed.")
            if self._grabber is None:
                self._grabber = self._open_grabber()
            captured_at = self._now()
            pixels = self._grabber.grab(self._area)
        index, self._index = self._index, self._index + 1
        return Frame(pixels=pixels, index=index, captured_at=captured_at)

    def close(self) -> None:
        """End a waiting ``read`` and free the connection to the display."""
        self._closed.set()
        with self._lock:
            grabber, self._grabber = self._grabber, None
        if grabber is not None:
            grabber.close()
