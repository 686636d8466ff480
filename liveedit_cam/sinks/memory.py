"""Keeps the last frames written, for tests; can be told to fail. Touches nothing outside."""

from __future__ import annotations

import re
from collections import deque

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_size
from liveedit_cam.types import Frame

MAX_FRAMES = 256
"""Older frames are forgotten."""


def describe() -> str:
    """One line of help."""
    return "memory[:fail:N]  keeps the last 256 frames, for tests; fails at the Nth write"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Make the sink. Raises UsageError where the target is not "" or "fail:N" with N from 1."""
    match = re.fullmatch(r"(?:fail:([1-9]\d*))?", target)
    if match is None:
        raise UsageError(f"Got the memory target {target!r}, expected nothing or fail:N, N from 1.")
    fail_at = int(match[1]) if match[1] else None
    return Memory(width, height, fps, fail_at=fail_at)


class Memory:
    """Frames in a list. ``write`` from one thread; ``frames`` from any."""

    def __init__(self, width: int, height: int, fps: float, *, fail_at: int | None = None) -> None:
        """``fail_at``: that write, counted from 1, and all later ones fail; None = none does."""
        self.name = f"memory ({width}x{height} at {fps:g} fps)"
        self.frames: deque[Frame] = deque(maxlen=MAX_FRAMES)
        self.num_written = 0
        self.is_closed = False
        self._size = (width, height)
        self._fail_at = fail_at

    def write(self, frame: Frame) -> None:
        """Keep ``frame``."""
        if self.is_closed:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        if self._fail_at is not None and self.num_written + 1 >= self._fail_at:
            raise SinkError(f"{self.name} fails at write {self._fail_at}, as it was told.")
        self.frames.append(frame)
        self.num_written += 1

    def close(self) -> None:
        """Refuse further frames; the ones written stay readable."""
        self.is_closed = True
