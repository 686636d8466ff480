"""Pictures of a screen or window that the desktop shares through PipeWire, by a child of GStreamer.

The child scales them to one size, so that a window may change its own. A screen that stands still
sends nothing; its newest picture is taken again then.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING, Protocol, cast

import numpy as np

from liveedit_cam.errors import SourceError
from liveedit_cam.sources._desktop import Area, Screen, Shared
from liveedit_cam.types import Frame, Pixels

if TYPE_CHECKING:
    from io import RawIOBase

FIRST_S = 10.0
"""Longest wait for the first picture."""
_END_S = 2.0
_SET_PIPE_SIZE, _PIPE_BYTES = 1031, 1 << 20
"""F_SETPIPE_SZ of Linux; a picture then takes three turns and not forty."""
_LACKS = "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-pipewire"


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
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                pass_fds=() if descriptor < 0 else (descriptor,),
                start_new_session=True,
            )
        except OSError as error:
            raise SourceError(
                f"{command[0]} cannot be run: {error.strerror}.", hint=f"Run: {_LACKS}"
            ) from error
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        assert self._child.stdout is not None, "it was started with a pipe for its output"
        with contextlib.suppress(OSError):  # a kernel that allows less is slower
            fcntl.fcntl(self._child.stdout, _SET_PIPE_SIZE, _PIPE_BYTES)
        self._reader = threading.Thread(
            target=self._read, args=(self._child.stdout,), name="screen-cast", daemon=True
        )
        self._reader.start()
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
        self._signal(signal.SIGTERM)
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self._child.wait()
        self._reader.join()
        if self._child.stderr is not None:
            self._child.stderr.close()
        self._session.close()

    def _signal(self, number: signal.Signals) -> None:
        """To the child and all that it started: any of them keeps the pipe open."""
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self._child.pid, number)

    def _read(self, output: IO[bytes]) -> None:
        num_bytes = self._width * self._height * 3
        with output:
            while (data := _exactly(output, num_bytes)) is not None:
                picture = np.frombuffer(data, np.uint8).reshape(self._height, self._width, 3)
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
        assert self._child.stderr is not None, "it was started with a pipe for its errors"
        lines = self._child.stderr.read().decode(errors="replace").strip().splitlines()
        said = next((line for line in lines if line.startswith(("ERROR", "WARNING"))), "")
        return SourceError(
            f"The shared screen cannot be read: {said or 'GStreamer ended'}.",
            hint=f"Where a part is missing: {_LACKS}",
        )


def _exactly(output: IO[bytes], num_bytes: int) -> bytearray | None:
    """The next picture; None at the end."""
    data = bytearray(num_bytes)
    view, raw = memoryview(data), cast("RawIOBase", output)
    while view:
        count = raw.readinto(view)
        if not count:
            return None
        view = view[count:]
    return data


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
