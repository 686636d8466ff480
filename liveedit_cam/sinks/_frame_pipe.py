"""Feeds raw frames to the standard input of a child process. Knows no format and no device.

The writer never waits: one frame is on its way to the child and the newest one waits behind it, so
a child that stalls costs frames, never the writer's time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

import numpy as np

from liveedit_cam.types import Pixels

MAX_LINES = 20
"""Lines of the child's standard error that are kept, the newest."""
_END_S = 2.0
"""A child that does not end in this time after it was told to is killed."""


class FramePipe:
    """A child process and the frames on their way to it.

    ``put``, ``stalled_s``, ``ended`` and ``close`` from one thread; the frames are sent, and the
    child's standard error read, by two threads of its own.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start ``command``, a program and its arguments. Raises OSError where it cannot run.

        ``variables`` are added to the environment it inherits.
        """
        self._now = now
        self._changed = threading.Condition()  # guards the four below
        self._next: Pixels | None = None
        self._sending_since: float | None = None
        self._is_closed = False
        self._is_refused = False
        self._lines: deque[str] = deque(maxlen=MAX_LINES)
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(variables or {})},
            start_new_session=True,  # Ctrl-C in the terminal is for us; we end the child
        )
        assert self._child.stdin is not None, "the child was started with a pipe for its input"
        assert self._child.stderr is not None, "the child was started with a pipe for its errors"
        self._listener = threading.Thread(
            target=self._listen, args=(self._child.stderr,), name="child-errors", daemon=True
        )
        self._feeder = threading.Thread(
            target=self._feed, args=(self._child.stdin,), name="child-frames", daemon=True
        )
        self._listener.start()
        self._feeder.start()

    def put(self, pixels: Pixels) -> None:
        """Make ``pixels`` the next frame to send, in place of one that still waits."""
        with self._changed:
            self._next = pixels
            self._changed.notify_all()

    def stalled_s(self) -> float:
        """For how many seconds the child has been taking one frame; 0 while it waits for one."""
        with self._changed:
            since = self._sending_since
            return 0.0 if since is None else self._now() - since

    def ended(self) -> str | None:
        """How the child ended, such as "exit status 1"; None while it runs and takes frames."""
        status = self._child.poll()
        if status is None:
            with self._changed:
                return "it has closed its input" if self._is_refused else None
        self._listener.join(_END_S)  # its last words are on their way
        if status < 0:
            return f"signal {-status} ({signal.strsignal(-status)})"
        return f"exit status {status}"

    def lines(self) -> tuple[str, ...]:
        """The last lines the child wrote to its standard error."""
        with self._changed:
            return tuple(self._lines)

    def close(self) -> None:
        """End the child and both threads. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._next = None
            self._changed.notify_all()
        self._child.terminate()
        try:
            self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._feeder.join()
        self._listener.join()

    def _feed(self, stdin: IO[bytes]) -> None:
        with stdin:
            while (pixels := self._take()) is not None:
                view = np.ascontiguousarray(pixels).data.cast("B")
                try:
                    while view:
                        view = view[stdin.write(view) :]
                except OSError:  # the other end is gone; ``ended`` says so
                    with self._changed:
                        self._is_refused = True
                        self._sending_since = None
                    return

    def _take(self) -> Pixels | None:
        """The frame to send now; None once closed."""
        with self._changed:
            self._sending_since = None
            self._changed.wait_for(lambda: self._is_closed or self._next is not None)
            if self._is_closed:
                return None
            pixels, self._next = self._next, None
            self._sending_since = self._now()
            return pixels

    def _listen(self, stderr: IO[bytes]) -> None:
        with stderr:
            for line in stderr:
                text = line.decode(errors="replace").strip()
                if text:
                    with self._changed:
                        self._lines.append(text)
