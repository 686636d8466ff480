"""Wait for due times on a monotonic clock. Knows neither frames nor devices.

One rule for everything that repeats: the next due time is the last one plus a period, never "now
plus a period", so small delays do not add up; whoever comes late skips whole periods and keeps the
phase, so a stall is never followed by a burst.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

Now = Callable[[], float]
"""Seconds on a monotonic clock."""

Sleep = Callable[[float], object]
"""Wait that many seconds. A true result means "woken before the time": ``Event.wait`` fits."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One due time that has come."""

    due: float
    """Seconds on the pacer's clock when it was due."""
    late_s: float
    """How long after ``due`` the wait ended, in seconds, before anything was done with it."""
    skipped: int
    """Whole periods left out just before this one because the caller came late."""


def wait_until(due: float, *, now: Now = time.monotonic, sleep: Sleep = time.sleep) -> bool:
    """Block until ``due`` (seconds on ``now``); at once where it has passed.

    Returns True when the time came, False when ``sleep`` reported that it was woken before.
    """
    while (left_s := due - now()) > 0:
        if sleep(left_s):
            return False
    return True


class Pacer:
    """Ticks ``fps`` times a second. Used by one thread."""

    def __init__(self, fps: float, *, now: Now = time.monotonic, sleep: Sleep = time.sleep) -> None:
        """The first tick is due at the first ``wait``; ``fps`` in ticks per second, above 0."""
        assert fps > 0, f"a pacer needs a rate above 0, got {fps}"
        self.period_s = 1.0 / fps
        self._now = now
        self._sleep = sleep
        self._due: float | None = None

    def wait(self) -> Tick | None:
        """Block until the next due time; None when ``sleep`` was woken before it came."""
        if self._due is None:
            self._due = self._now()
            return Tick(due=self._due, late_s=0.0, skipped=0)
        due = self._due + self.period_s
        skipped = max(0, math.floor((self._now() - due) / self.period_s))
        due += skipped * self.period_s
        if not wait_until(due, now=self._now, sleep=self._sleep):
            return None
        self._due = due
        return Tick(due=due, late_s=self._now() - due, skipped=skipped)
