"""Feeds raw frames to the standard input of a child process. Knows no format and no device.

The writer never waits: one frame is on its way to the child and the newest one waits behind it, so
a child that stalls costs frames, never the writer's time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from liveedit_cam.child import Child
from liveedit_cam.types import Pixels

_EXIT_S = 0.5
"""A child that ends closes its input first; one that has not ended by then lives on."""


class FramePipe:
    """A child process and the frames on their way to it.

    ``put``, ``stalled_s``, ``ended`` and ``close`` from one thread; the frames are sent by a thread
    of its own.
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
        self._child = Child(command, "child-errors", has_input=True, variables=variables)
        self._feeder = threading.Thread(target=self._feed, name="child-frames", daemon=True)
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
        with self._changed:
            is_refused = self._is_refused
        how = self._child.ended(_EXIT_S if is_refused else 0.0)
        return how or ("it has closed its input" if is_refused else None)

    def lines(self) -> tuple[str, ...]:
        """The last lines the child wrote to its standard error."""
        return self._child.lines()

    def close(self) -> None:
        """End the child and both threads. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._next = None
            self._changed.notify_all()
        self._child.end()
        self._feeder.join()

    def _feed(self) -> None:
        with self._child.input as stdin:
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
