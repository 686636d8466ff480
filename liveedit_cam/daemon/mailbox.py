"""Hand-overs between threads: frames for the engine, and single values where the latest counts.

Knows no engine and no devices. Both boxes are bounded, and the newest is never what is lost.
"""

from __future__ import annotations

from collections import deque
from threading import Condition, Lock
from typing import Generic, TypeVar

from liveedit_cam.types import Frame

T = TypeVar("T")


class FrameInbox:
    """Frames waiting for the engine. The capture thread puts, the engine thread takes.

    Lock: ``_changed``.
    """

    def __init__(self, capacity: int) -> None:
        """Hold at most ``capacity`` frames."""
        assert capacity > 0, f"an inbox holds at least one frame, got {capacity}"
        self._changed = Condition()
        self._frames: deque[Frame] = deque()
        self._capacity = capacity
        self._num_dropped = 0
        self._is_closed = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._frames)

    @property
    def num_dropped(self) -> int:
        """Frames that were put but never taken: pushed out by newer ones, or passed over."""
        with self._changed:
            return self._num_dropped

    def put(self, frame: Frame) -> None:
        """Add the newest frame; where the box is full the oldest one is dropped."""
        with self._changed:
            if len(self._frames) == self._capacity:
                self._frames.popleft()
                self._num_dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()

    def take(self, count: int, timeout_s: float | None = None) -> tuple[Frame, ...]:
        """Block until ``count`` frames wait; return that many and forget the rest.

        They are evenly spaced over what waits and end with the newest. Returns nothing after
        ``timeout_s`` seconds (None = wait without end), or once the box is closed.
        """
        assert 0 < count <= self._capacity, f"cannot take {count} of {self._capacity} frames"
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or len(self._frames) >= count, timeout_s)
            num_waiting = len(self._frames)
            if self._is_closed or num_waiting < count:
                return ()
            taken = tuple(self._frames[(i + 1) * num_waiting // count - 1] for i in range(count))
            self._num_dropped += num_waiting - count
            self._frames.clear()
            return taken

    def keep_newest(self, count: int) -> None:
        """Forget all but the newest ``count`` frames."""
        with self._changed:
            while len(self._frames) > count:
                self._frames.popleft()
                self._num_dropped += 1

    def close(self) -> None:
        """Wake whoever waits and hand out nothing more. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._frames.clear()
            self._changed.notify_all()


class Latest(Generic[T]):
    """One value; a newer one replaces it. Any thread may put and get. Lock: ``_lock``."""

    def __init__(self) -> None:
        """Empty, at revision 0."""
        self._lock = Lock()
        self._value: T | None = None
        self._revision = 0
        self._acked = 0

    def put(self, value: T) -> int:
        """Replace the value; returns its revision, counting up from 1."""
        with self._lock:
            self._value = value
            self._revision += 1
            return self._revision

    def get(self) -> T | None:
        """The newest value; None before the first."""
        with self._lock:
            return self._value

    def pending(self) -> tuple[T, int] | None:
        """The newest value and its revision, where it was not acknowledged yet; else None."""
        with self._lock:
            if self._value is None or self._revision == self._acked:
                return None
            return self._value, self._revision

    def ack(self, revision: int) -> None:
        """Say that the value of this revision was dealt with; a newer one stays pending."""
        with self._lock:
            assert revision <= self._revision, f"ack of {revision}, newest is {self._revision}"
            self._acked = max(self._acked, revision)
