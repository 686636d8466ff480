"""Rates, latencies and counts for the status. Knows no threads but its callers, and no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from math import ceil
from threading import Lock

from liveedit_cam.types import Latency, Status

LATE_S = 0.008
"""A sink write that begins more than this after its due time counts as late."""

WINDOW_S = 3.0
RING = 256


class Metrics:
    """Filled by the loops, read by any thread. Lock: ``_lock``."""

    def __init__(self) -> None:
        """All zero."""
        self._lock = Lock()
        self._capture = _Rate()
        self._edit = _Rate()
        self._shown = _Rate()
        self._sink = _Rate()
        self._chunk_s: deque[float] = deque(maxlen=RING)
        self._glass_s: deque[float] = deque(maxlen=RING)
        self._field_age_s: deque[float] = deque(maxlen=RING)
        self._skip: deque[float] = deque(maxlen=16)
        self._num_composited = 0
        self._num_late = 0

    def captured(self, now: float) -> None:
        """One frame came from the source at ``now`` (seconds, monotonic; so everywhere here)."""
        with self._lock:
            self._capture.add(1, now)

    def edited(self, chunk_s: float, cache_skip: float, now: float) -> None:
        """The fields of a chunk came ``chunk_s`` seconds after its newest frame was captured."""
        with self._lock:
            self._edit.add(1, now)
            self._chunk_s.append(chunk_s)
            self._skip.append(cache_skip)

    def composited(self) -> None:
        """A field was put on a frame."""
        with self._lock:
            self._num_composited += 1

    def ticked(self, late_s: float, now: float) -> None:
        """The sinks were given a picture at ``now``, ``late_s`` seconds after the due time."""
        with self._lock:
            self._sink.add(1, now)
            self._num_late += late_s > LATE_S

    def shown(self, glass_to_sink_s: float, field_age_s: float, now: float) -> None:
        """An edited frame was first written to a sink."""
        with self._lock:
            self._shown.add(1, now)
            self._glass_s.append(glass_to_sink_s)
            self._field_age_s.append(field_age_s)

    def since_edit_s(self, now: float) -> float:
        """Seconds since the last edited chunk; 0 before the first."""
        with self._lock:
            return self._edit.age_s(now)

    def snapshot(self, now: float, status: Status | None = None) -> Status:
        """``status`` (None = an empty one) with the figures as of ``now``."""
        with self._lock:
            return replace(
                status or Status(),
                capture_fps=self._capture.per_second(now),
                shown_fps=self._shown.per_second(now),
                sink_fps=self._sink.per_second(now),
                fields_per_second=self._edit.per_second(now),
                field_age=latency_of(self._field_age_s),
                chunk_latency=latency_of(self._chunk_s),
                glass_to_sink=latency_of(self._glass_s),
                frames_captured=self._capture.total,
                frames_edited=self._num_composited,
                frames_shown=self._shown.total,
                late_ticks=self._num_late,
                cache_skip=sum(self._skip) / len(self._skip) if self._skip else 0.0,
            )


class _Rate:
    """Throughput: counts over the time they took, not the mean of single distances.

    Frames that came in bursts would make single distances jump.
    """

    def __init__(self) -> None:
        self.total = 0
        self._events: deque[tuple[float, int]] = deque(maxlen=RING)

    def add(self, count: int, now: float) -> None:
        self.total += count
        self._events.append((now, count))
        while len(self._events) > 2 and self._events[0][0] < now - WINDOW_S:
            self._events.popleft()

    def age_s(self, now: float) -> float:
        return now - self._events[-1][0] if self._events else 0.0

    def per_second(self, now: float) -> float:
        """0 before two events; falls once the wait is longer than any distance in the window."""
        if len(self._events) < 2:
            return 0.0
        times = [at for at, _ in self._events]
        longest_s = max(later - earlier for earlier, later in pairwise(times))
        elapsed_s = max(times[-1], now - longest_s) - times[0]
        count = sum(count for _, count in self._events) - self._events[0][1]
        return count / elapsed_s if elapsed_s > 0 else 0.0


def latency_of(delays_s: Iterable[float]) -> Latency:
    """Median and 95th percentile of delays in seconds; 0 where there are none."""
    ordered = sorted(delays_s)
    if not ordered:
        return Latency()
    p50, p95 = (ordered[ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return Latency(1000 * p50, 1000 * p95)
