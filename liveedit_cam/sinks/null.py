"""Takes frames and keeps nothing: to measure what everything else costs."""

from __future__ import annotations

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_size
from liveedit_cam.types import Frame


def describe() -> str:
    """One line of help."""
    return "null  takes frames and keeps nothing, for measurements"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Make the sink. Raises UsageError where a target is given."""
    if target:
        raise UsageError(f"The sink null takes no target, got {target!r}.")
    return Null(width, height, fps)


class Null:
    """A sink without an end. ``write`` from one thread."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        """Remember the size, which every frame must have."""
        self.name = f"null ({width}x{height} at {fps:g} fps)"
        self._size = (width, height)
        self._is_closed = False

    def write(self, frame: Frame) -> None:
        """Check ``frame`` as a device would, and forget it."""
        if self._is_closed:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)

    def close(self) -> None:
        """Refuse further frames."""
        self._is_closed = True
