"""When an edited frame is shown: ``delay`` seconds after its capture. Pure: the clock is given.

Chunks come in bursts and at uneven times; a delay that covers the slowest makes motion even.
It jumps up when a chunk comes later than it allows, and shrinks again towards what the chunks of
the last seconds needed: at most 25 % of the excess, or 20 ms, per second, so that playback runs a
barely visible 2 % fast after a small hiccup and recovers within seconds from a large one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Lock

from liveedit_cam.types import Frame

MEMORY_S = 5.0
"""How long the need of a chunk keeps the delay from shrinking below it."""

SHRINK_SHARE = 0.25
SHRINK_S = 0.02
"""Per second of clock time: this share of the excess, but not less than this many seconds."""


class Playout:
    """Frames waiting for their due time. The engine thread puts, the present thread shows.

    Lock: ``_lock``.
    """

    def __init__(self, *, capacity: int = 64, fixed_delay_s: float | None = None) -> None:
        """Hold at most ``capacity`` frames; ``fixed_delay_s`` None = the delay adapts itself."""
        assert capacity > 0, f"a playout holds at least one frame, got {capacity}"
        self._lock = Lock()
        self._waiting: deque[Frame] = deque()
        self._capacity = capacity
        self._needs: deque[tuple[float, float]] = deque(maxlen=256)
        self._fixed_delay_s = fixed_delay_s
        self._delay_s = fixed_delay_s or 0.0
        self._adapted_at: float | None = None
        self._shown: Frame | None = None

    @property
    def delay_s(self) -> float:
        """Seconds from a frame's capture to its due time, now in force."""
        with self._lock:
            return self._delay_s

    @property
    def is_drained(self) -> bool:
        """True when every frame that was put has been shown or passed over."""
        with self._lock:
            return not self._waiting

    def put(self, frames: Sequence[Frame], now: float) -> None:
        """Add a chunk, oldest frame first; ``now`` in seconds on the clock of ``captured_at``.

        Where there is no room the oldest frames are shown before their time. A frame captured
        before one that is here or was shown is left out: pictures never run backwards.
        """
        with self._lock:
            newest = self._waiting[-1] if self._waiting else self._shown
            for frame in frames:
                if newest is None or _order(frame) > _order(newest):
                    self._waiting.append(frame)
                    newest = frame
            while len(self._waiting) > self._capacity:
                self._shown = self._waiting.popleft()
            if frames and self._fixed_delay_s is None:
                self._adapt(now - frames[0].captured_at, now)

    def show(self, now: float) -> Frame | None:
        """The newest frame that is due at ``now``, else the last one again; None before any."""
        with self._lock:
            while self._waiting and self._waiting[0].captured_at + self._delay_s <= now:
                self._shown = self._waiting.popleft()
            return self._shown

    def _adapt(self, need_s: float, now: float) -> None:
        """Move the delay; ``need_s`` is what would have shown this chunk's first frame in time."""
        self._needs.append((now, need_s))
        while self._needs[0][0] < now - MEMORY_S:
            self._needs.popleft()
        elapsed_s = 0.0 if self._adapted_at is None else now - self._adapted_at
        self._adapted_at = now
        target_s = max(need for _, need in self._needs)
        excess_s = self._delay_s - target_s
        shrink_s = elapsed_s * max(SHRINK_SHARE * excess_s, SHRINK_S)
        self._delay_s = max(target_s, self._delay_s - shrink_s)


def _order(frame: Frame) -> tuple[float, int]:
    """Two frames may share a time where the system's clock is coarse."""
    return frame.captured_at, frame.index
