"""When an edited frame is shown: ``delay`` after its capture. Pure: the clock is given.

A delay that covers nearly the slowest makes motion even. Live frames come one by one, a few
milliseconds after their capture, later on a busy machine; those few that are later than the delay
are shown late, or not at all. Exact frames come in bursts, whole chunks; the delay covers all.

It jumps up when frames come later than it allows, and shrinks again towards what the frames of the
last seconds needed: at most 25 % of the excess, or 20 ms, per second, so that playback runs a
barely visible 2 % fast after a small hiccup and recovers within seconds from a large one. Exact
frames far later than any before came through an outage: they are left out, and only if those after
them are as late, the delay follows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from liveedit_cam.pacing import SourceClock
from liveedit_cam.types import Frame, LatencyMode

SHRINK_SHARE = 0.25
SHRINK_S = 0.02
"""Per second of clock time: this share of the excess, but not less than this many seconds."""
OUTLIER_FACTOR, OUTLIER_S = 2.0, 0.5
"""A frame later than so many times the delay and so many seconds more came through an outage."""
OUTAGE_S = 1.0
"""Frames later than expected for longer than this are no outage any more."""


@dataclass(frozen=True, slots=True)
class Need:
    """How the delay follows what frames needed."""

    memory_s: float
    """How long a need keeps the delay from shrinking below it."""
    covered: float
    """Share of the needs that the delay covers, 0..1."""
    limit_s: float
    """The delay never grows beyond this."""


NEEDS = {
    LatencyMode.LIVE: Need(memory_s=3.0, covered=0.97, limit_s=0.1),
    LatencyMode.EXACT: Need(memory_s=5.0, covered=1.0, limit_s=float("inf")),
}


class Playout:
    """Frames waiting for their due time. The compositor puts, the present thread shows.

    Lock: ``_lock``.
    """

    def __init__(self, *, capacity: int = 64, exact_delay_s: float | None = None) -> None:
        """Hold at most ``capacity`` frames; exact until told otherwise.

        ``exact_delay_s`` is the delay of exact frames; None = it adapts itself.
        """
        assert capacity > 0, f"a playout holds at least one frame, got {capacity}"
        self._lock = Lock()
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._capacity = capacity
        self._exact_delay_s = exact_delay_s
        self._shown: Frame | None = None
        self._due: float | None = None
        self._start(LatencyMode.EXACT)

    def follow(self, latency: LatencyMode) -> None:
        """Show live or exact frames from the next one on; the delay starts anew."""
        with self._lock:
            self._start(latency)

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
        """Add frames, oldest first; ``now`` in seconds on the clock of ``captured_at``.

        Where there is no room the oldest frames are shown before their time. A frame captured
        before one that is here or was shown is left out: pictures never run backwards.
        """
        with self._lock:
            newest = self._waiting[-1][1] if self._waiting else self._shown
            for frame in frames:
                if newest is not None and _order(frame) <= _order(newest):
                    continue
                taken_at = self._clock.smooth(frame.index, frame.captured_at)
                if self._is_outlier(now - taken_at, now):
                    continue
                self._waiting.append((taken_at, frame))
                newest = frame
                self._adapt(now - taken_at, now)
            while len(self._waiting) > self._capacity:
                self._shown = self._waiting.popleft()[1]

    def show(self, now: float) -> Frame | None:
        """The newest frame that is due at ``now``, else the last one again; None before any."""
        with self._lock:
            while self._waiting and self._waiting[0][0] + self._delay_s <= now:
                self._due, self._shown = (
                    self._waiting[0][0] + self._delay_s,
                    self._waiting[0][1],
                )
                self._waiting.popleft()
            return self._shown

    @property
    def due(self) -> float | None:
        """When the frame shown last was due, in seconds; None before any."""
        with self._lock:
            return self._due

    def _start(self, latency: LatencyMode) -> None:
        self._need = NEEDS[latency]
        is_exact = latency is LatencyMode.EXACT
        self._fixed_delay_s = self._exact_delay_s if is_exact else None
        self._delay_s = self._fixed_delay_s or 0.0
        self._is_exact = is_exact
        self._needs: deque[tuple[float, float]] = deque(maxlen=256)
        self._adapted_at: float | None = None
        self._late_since: float | None = None
        self._due = None
        self._clock = SourceClock()

    def _is_outlier(self, need_s: float, now: float) -> bool:
        if not self._is_exact or self._fixed_delay_s is not None or not self._needs:
            return False
        if need_s <= OUTLIER_FACTOR * self._delay_s + OUTLIER_S:
            self._late_since = None
            return False
        if self._late_since is None:
            self._late_since = now
        return now - self._late_since < OUTAGE_S

    def _adapt(self, need_s: float, now: float) -> None:
        """Move the delay; ``need_s`` is what would have shown this frame in time."""
        if self._fixed_delay_s is not None:
            return
        self._needs.append((now, need_s))
        while self._needs[0][0] < now - self._need.memory_s:
            self._needs.popleft()
        elapsed_s = 0.0 if self._adapted_at is None else now - self._adapted_at
        self._adapted_at = now
        ordered = sorted(need for _, need in self._needs)
        covered = ordered[min(len(ordered) - 1, int(self._need.covered * len(ordered)))]
        target_s = min(self._need.limit_s, covered)
        excess_s = self._delay_s - target_s
        shrink_s = elapsed_s * max(SHRINK_SHARE * excess_s, SHRINK_S)
        self._delay_s = max(target_s, self._delay_s - shrink_s)


def _order(frame: Frame) -> tuple[float, int]:
    """Two frames may share a time where the system's clock is coarse."""
    return frame.captured_at, frame.index
