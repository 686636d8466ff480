"""Hand-overs between threads: frames for the engine, work for the compositor, single values.

Knows no engine and no devices. Every box is bounded, and the newest is never what is lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Condition, Lock
from typing import Generic, TypeVar

from liveedit_cam.types import EditField, Frame, ModelFrame

T = TypeVar("T")

GAP_S = 1.0
"""A longer time from one captured frame to the next was an outage: what came before is old."""
MAX_SHOTS = 64
"""Full-size frames that wait for the compositor; more only where it stands still."""


class FrameInbox:
    """Small frames waiting for the engine. The capture thread puts, the engine thread takes.

    Lock: ``_changed``.
    """

    def __init__(self, capacity: int) -> None:
        """Hold at most ``capacity`` frames."""
        assert capacity > 0, f"an inbox holds at least one frame, got {capacity}"
        self._changed = Condition()
        self._frames: deque[ModelFrame] = deque()
        self._capacity = capacity
        self._num_dropped = 0

    def __len__(self) -> int:
        with self._changed:
            return len(self._frames)

    @property
    def num_dropped(self) -> int:
        """Frames that were put but never taken: pushed out by newer ones, or passed over."""
        with self._changed:
            return self._num_dropped

    def put(self, frame: ModelFrame) -> None:
        """Add the newest frame; where the box is full the oldest one is dropped.

        Frames from before an outage, or of another size or part of the picture, are dropped too.
        """
        with self._changed:
            if self._frames and not _go_together(self._frames[-1], frame):
                self._num_dropped += len(self._frames)
                self._frames.clear()
            if len(self._frames) == self._capacity:
                self._frames.popleft()
                self._num_dropped += 1
            self._frames.append(frame)
            self._changed.notify_all()

    def take(self, count: int) -> tuple[ModelFrame, ...]:
        """That many frames of those that wait, and forget the rest; nothing while fewer wait.

        They are evenly spaced over what waits and end with the newest.
        """
        assert 0 < count <= self._capacity, f"cannot take {count} of {self._capacity} frames"
        with self._changed:
            num_waiting = len(self._frames)
            if num_waiting < count:
                return ()
            taken = tuple(self._frames[(i + 1) * num_waiting // count - 1] for i in range(count))
            self._num_dropped += num_waiting - count
            self._frames.clear()
            return taken

    def take_rest(self, count: int) -> tuple[ModelFrame, ...]:
        """The last frames of a source that has ended, its newest repeated until there are
        ``count``; nothing when none waits.
        """
        with self._changed:
            rest = tuple(self._frames)[-count:]
            self._frames.clear()
            return rest + rest[-1:] * (count - len(rest))

    def keep_newest(self, count: int) -> None:
        """Forget all but the newest ``count`` frames."""
        with self._changed:
            while len(self._frames) > count:
                self._frames.popleft()
                self._num_dropped += 1


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One captured frame on its way to the compositor."""

    frame: Frame
    """Full size, as the sinks show it."""
    small: ModelFrame | None
    """Its small copy; None while no editor has said how large it wants it."""
    layout: object = None
    """How the source's picture lies in it; fields of another layout are of another scene."""


@dataclass(frozen=True, slots=True)
class Work:
    """What came for the compositor since it last looked, oldest first."""

    shots: tuple[Shot, ...]
    fields: tuple[EditField, ...]


class WorkBox:
    """Frames and fields for the compositor. Any thread puts, one takes. Lock: ``_changed``."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._shots: deque[Shot] = deque(maxlen=MAX_SHOTS)
        self._fields: deque[EditField] = deque(maxlen=MAX_SHOTS)

    def put_shot(self, shot: Shot) -> None:
        """Add a captured frame."""
        with self._changed:
            self._shots.append(shot)
            self._changed.notify()

    def put_fields(self, fields: tuple[EditField, ...]) -> None:
        """Add the fields of a chunk."""
        with self._changed:
            self._fields.extend(fields)
            self._changed.notify()

    def take(self, timeout_s: float) -> Work:
        """All that waits, at least one thing unless ``timeout_s`` seconds pass."""
        with self._changed:
            self._changed.wait_for(lambda: self._shots or self._fields, timeout_s)
            work = Work(tuple(self._shots), tuple(self._fields))
            self._shots.clear()
            self._fields.clear()
            return work

    @property
    def is_empty(self) -> bool:
        """True when everything was taken."""
        with self._changed:
            return not self._shots and not self._fields


class Slot(Generic[T]):
    """One value on its way to one thread; a newer one replaces it. Lock: ``_changed``."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._value: T | None = None

    def put(self, value: T) -> None:
        """Leave a value; the one that waits is lost."""
        with self._changed:
            self._value = value
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """The value, once; None after ``timeout_s`` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._value is not None, timeout_s)
            value, self._value = self._value, None
            return value


class Latest(Generic[T]):
    """One value; a newer one replaces it. Any thread may put and get. Lock: ``_lock``."""

    def __init__(self) -> None:
        """Empty."""
        self._lock = Lock()
        self._value: T | None = None

    def put(self, value: T) -> None:
        """Replace the value."""
        with self._lock:
            self._value = value

    def get(self) -> T | None:
        """The newest value; None before the first."""
        with self._lock:
            return self._value


def _go_together(before: ModelFrame, after: ModelFrame) -> bool:
    """Whether one chunk may hold both."""
    return (
        before.pixels.shape == after.pixels.shape
        and before.part == after.part
        and 0 <= after.captured_at - before.captured_at <= GAP_S
    )
