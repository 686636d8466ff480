"""Wait for due times on a monotonic clock. Knows neither frames nor devices.

One rule for everything that repeats: the next due time is the last one plus a period, never "now
plus a period", so small delays do not add up; whoever comes late skips whole periods and keeps the
phase, so a stall is never followed by a burst.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

Now = Callable[[], float]
"""Seconds on a monotonic clock."""

Sleep = Callable[[float], object]
"""Wait that many seconds. A true result means "woken before the time": ``Event.wait`` fits."""


def wait_until(due: float, *, now: Now = time.monotonic, sleep: Sleep = time.sleep) -> bool:
    """Block until ``due`` (seconds on ``now``); at once where it has passed.

    Returns True when the time came, False when ``sleep`` reported that it was woken before.
    """
    while (left_s := due - now()) > 0:
        if sleep(left_s):
            return False
    return True


MARGIN_S = 0.001, 0.004
"""A tick should follow what it shows by no less, and need follow by no more, than this."""
LATER_S, EARLIER_S = 0.001, 0.00025
"""How far one tick moves the phase."""
NUM_MARGINS, NUM_OUTLIERS = 64, 2
"""The phase follows the margins of the last so many ticks, but for the smallest few."""
LOCKED_SHARE = 0.6
"""Margins that spread over more of a period are those of another rate: no phase fits."""
NUM_CAPTURES = 64
"""Frames whose times tell the rate of a source."""
STEADY_SHARE = 0.5
"""Captures that stray by more than this share of a period are not those of a steady source."""


class SourceClock:
    """When each frame of a source was captured, were its times not shaken. One thread owns it.

    A camera or a file delivers at an even rate; what is measured is when the reading thread was
    woken. Times are put onto the line through those of the last frames.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, float]] = deque(maxlen=NUM_CAPTURES)

    def smooth(self, index: int, captured_at: float) -> float:
        """The time of frame ``index``, in seconds; ``captured_at`` where the source is uneven."""
        if self._seen and index <= self._seen[-1][0]:
            self._seen.clear()
        self._seen.append((index, captured_at))
        (first, began), (last, ended) = self._seen[0], self._seen[-1]
        if last - first < NUM_CAPTURES // 4:
            return captured_at
        period_s = (ended - began) / (last - first)
        offsets = sorted(at - number * period_s for number, at in self._seen)
        middle = offsets[len(offsets) // 2]
        off_s = abs(captured_at - index * period_s - middle)
        return captured_at if off_s > STEADY_SHARE * period_s else index * period_s + middle


class Pacer:
    """Ticks ``fps`` times a second. Used by one thread."""

    def __init__(self, fps: float, *, now: Now = time.monotonic, sleep: Sleep = time.sleep) -> None:
        """The first tick is due at the first ``wait``; ``fps`` in ticks per second, above 0."""
        assert fps > 0, f"a pacer needs a rate above 0, got {fps}"
        self.period_s = 1.0 / fps
        self._now = now
        self._sleep = sleep
        self._due: float | None = None
        self._margins_s: deque[float] = deque(maxlen=NUM_MARGINS)

    def wait(self) -> float | None:
        """Block until the next due time and return it, in seconds on ``now``.

        A caller that comes late loses whole periods. None when ``sleep`` was woken before the time.
        """
        if self._due is None:
            self._due = self._now()
            return self._due
        due = self._due + self.period_s
        due += max(0, math.floor((self._now() - due) / self.period_s)) * self.period_s
        if not wait_until(due, now=self._now, sleep=self._sleep):
            return None
        self._due = due
        return due

    def keep_behind(self, due: float) -> None:
        """Move the phase a little, so that what is due is shown soon, and each frame once.

        ``due``: seconds on ``now`` when the frame that the last tick showed first was due. Where
        that was just before the tick, or just after the one before, the least tremor makes ticks
        miss it: they move later by 1 ms; where all waited they move earlier by a quarter of one,
        0.75 % of a period at 30 fps.
        """
        if self._due is None:
            return
        margin_s = self._due - due
        missed = margin_s > self.period_s - 2 * MARGIN_S[1]
        self._margins_s.append(margin_s - self.period_s if missed else margin_s)
        if len(self._margins_s) < NUM_MARGINS // 4:
            return
        ordered = sorted(self._margins_s)
        least_s = ordered[NUM_OUTLIERS]
        if ordered[-1 - NUM_OUTLIERS] - least_s > LOCKED_SHARE * self.period_s:
            return
        if least_s < MARGIN_S[0]:
            self._shift(LATER_S)
        elif least_s > MARGIN_S[1]:
            self._shift(-EARLIER_S)

    def _shift(self, by_s: float) -> None:
        assert self._due is not None, "the first tick has no phase to move"
        self._due += by_s
        self._margins_s = deque((margin_s + by_s for margin_s in self._margins_s), NUM_MARGINS)
