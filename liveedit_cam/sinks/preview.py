"""The picture on the control page, which shows what all sinks get. Knows no HTTP and no device.

The page takes each picture from the daemon itself, so this sink has nothing to do: it stands for a
run that needs no other.
"""

from __future__ import annotations

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_size
from liveedit_cam.types import Frame


def describe() -> str:
    """One line of help."""
    return "preview[:PORT]  the pictures on the control page; PORT is the page's own, as --port"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Make the sink. Raises UsageError on a bad port."""
    port_of(target)
    return Preview(width, height, fps)


def port_of(target: str) -> int | None:
    """The port that ``preview:PORT`` asks for, 0 = any free one; None where it names none.

    Raises UsageError.
    """
    if not target:
        return None
    if target.isascii() and target.isdecimal() and int(target) <= 65535:
        return int(target)
    raise UsageError(
        f"Got the preview port {target!r}, expected a number from 0 to 65535.",
        hint="Such as preview:8650, or preview:0 for any free one.",
    )


class Preview:
    """The control page as a Sink."""

    def __init__(self, width: int, height: int, fps: float) -> None:
        """For pictures of that size in pixels."""
        self._size = (width, height)
        self._is_closed = False
        self.name = f"preview: the control page ({width}x{height} at {fps:g} fps)"

    def write(self, frame: Frame) -> None:
        """Take one frame; the page shows it because the daemon does."""
        if self._is_closed:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)

    def has_reader(self) -> bool:
        """False: who looks at the page is told to the daemon by the page."""
        return False

    def close(self) -> None:
        """End it. May be called twice."""
        self._is_closed = True
