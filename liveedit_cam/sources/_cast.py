"""Pictures of a screen or window that the desktop shares through PipeWire, by a child of GStreamer.

The child scales them to one size, so that a window may change its own. A screen that stands still
sends nothing; its newest picture is taken again then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Sequence
from io import BufferedReader
from typing import Protocol

import numpy as np

from liveedit_cam.child import Child
from liveedit_cam.distribution import pipewire_command
from liveedit_cam.errors import SourceError
from liveedit_cam.sources._desktop import Area, Screen, Shared
from liveedit_cam.types import Frame, Pixels

FIRST_S = 10.0
"""Longest wait for the first picture."""
_SET_PIPE_SIZE, _PIPE_BYTES = 1031, 1 << 20
"""F_SETPIPE_SZ of Linux; a picture then takes three turns and not forty."""


class Session(Protocol):
    """What is needed of ``Portal`` once something is shared."""

    def is_over(self) -> bool:
        """Whether the sharing has ended."""

    def close(self) -> None:
        """End it."""


def fitted(size: tuple[int, int] | None, width: int, height: int) -> tuple[int, int]:
    """The largest size of the shared shape within ``width`` x ``height``, never more than it has.

    The width is a multiple of 4: rows are not padded then. ``size`` None = the shape is not known.
    """
    if size is None or min(size) < 1:
        return max(4, width // 4 * 4), max(2, height // 2 * 2)
    scale = min(1.0, width / size[0], height / size[1])
    return max(4, int(size[0] * scale) // 4 * 4), max(2, int(size[1] * scale) // 2 * 2)


def gst_command(descriptor: int, node: int, width: int, height: int) -> list[str]:
    """The child: RGB pictures of that size, one behind the other, on its standard output."""
    source = ["pipewiresrc", f"fd={descriptor}", f"path={node}", "do-timestamp=true"]
    shape = f"video/x-raw,format=RGB,width={width},height={height},pixel-aspect-ratio=1/1"
    scale = ["videoconvert", "!", "videoscale", "add-borders=true", "!", shape]
    return ["gst-launch-1.0", "--quiet", *source, "!", *scale, "!", "fdsink", "fd=1", "sync=false"]


class CastGrabber:
    """A Grabber over what is shared; ``close`` leaves it open, ``end`` does not."""

    def __init__(
        self, session: Session, command: Sequence[str], size: tuple[int, int], descriptor: int
    ) -> None:
        """Start ``command``, which inherits ``descriptor`` (-1 = none) and gets it for its own.

        Waits for the first picture of ``size``. Raises SourceError.
        """
        self._session = session
        self._width, self._height = size
        self._arrived = threading.Condition()  # guards the two below
        self._newest: Pixels | None = None
        self._has_ended = False
        descriptors = () if descriptor < 0 else (descriptor,)
        try:
            self._child = Child(command, "screen-cast", read=self._read, descriptors=descriptors)
        except OSError as error:
            raise SourceError(
                f"{command[0]} cannot be run: {error.strerror}.",
                hint=f"To install: {pipewire_command()}",
            ) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        with self._arrived:
            is_there = self._arrived.wait_for(
                lambda: self._newest is not None or self._has_ended, FIRST_S
            )
        if self._newest is None:
            reason = self._no_picture(is_silent=not is_there)
            self.end()
            raise reason

    def monitors(self) -> tuple[Area, ...]:
        """What is shared, as the only monitor of its desktop."""
        area = Area(0, 0, self._width, self._height)
        return area, area

    def grab(self, area: Area) -> Pixels:
        with self._arrived:
            newest, has_ended = self._newest, self._has_ended
        if has_ended or self._session.is_over():
            raise SourceError(
                "The sharing of the screen was ended.", hint="It is asked for again by itself."
            )
        assert newest is not None, "there was a first picture"
        bottom, right = area.top + area.height, area.left + area.width
        return newest[area.top : bottom, area.left : right]

    def close(self) -> None:
        """Nothing: the same sharing is used again."""

    def end(self) -> None:
        """End child, thread and sharing. May be called twice."""
        self._child.end()
        self._session.close()

    def _read(self, output: BufferedReader) -> None:
        with contextlib.suppress(OSError):  # a kernel that allows less is slower
            fcntl.fcntl(output, _SET_PIPE_SIZE, _PIPE_BYTES)
        while True:
            picture = np.empty((self._height, self._width, 3), np.uint8)
            if output.readinto(picture.data.cast("B")) < picture.nbytes:
                break
            with self._arrived:
                self._newest = picture
                self._arrived.notify_all()
        with self._arrived:
            self._has_ended = True
            self._arrived.notify_all()

    def _no_picture(self, *, is_silent: bool) -> SourceError:
        if is_silent:
            return SourceError(
                f"The desktop shares the screen, but sent no picture in {FIRST_S:g} s.",
                hint="Run: systemctl --user restart pipewire wireplumber",
            )
        self._child.join()  # its last words are on their way
        errors = [line for line in self._child.lines() if line.startswith(("ERROR", "WARNING"))]
        return SourceError(
            f"The shared screen cannot be read: {errors[0] if errors else 'GStreamer ended'}.",
            hint=f"Where a part is missing: {pipewire_command()}",
        )


class SharedScreen:
    """What the desktop shares, as a Source, 30 times a second."""

    def __init__(self, target: str, grabber: CastGrabber, what: str) -> None:
        """``target`` as of ``Screen``, within what is shared; ``what`` names that for people."""
        self._grabber = grabber
        try:
            self._screen = screen = Screen(target, lambda: grabber)
        except BaseException:
            grabber.end()
            raise
        self.width, self.height, self.fps = screen.width, screen.height, screen.fps
        self.name = f"screen: {what} shared by the desktop ({self.width}x{self.height})"

    def read(self) -> Frame:
        """Wait for the next due time and take the newest picture."""
        return self._screen.read()

    def close(self) -> None:
        """End a waiting ``read`` and the sharing."""
        self._screen.close()
        self._grabber.end()


Share = Callable[[str], tuple[Session, Shared, int]]
"""Ask to share a kind: the session, what was chosen, a descriptor of a connection to PipeWire."""


def open_shared(kind: str, target: str, width: int, height: int, share: Share) -> SharedScreen:
    """Ask to share ``kind`` and read it, at most ``width`` x ``height``. Raises SourceError."""
    session, shared, descriptor = share(kind)
    size = fitted(shared.size, width, height)
    try:
        grabber = CastGrabber(
            session, gst_command(descriptor, shared.node, *size), size, descriptor
        )
    except BaseException:
        session.close()
        raise
    return SharedScreen(target, grabber, f"a {kind}")
