"""When to try again after a failure. Knows nothing of what failed.

The wait doubles from failure to failure up to a limit, and starts small again only after things
went well for a while, so that something that works for a second and fails is not tried in a rush.
"""

from __future__ import annotations

from collections.abc import Callable

FIRST_S = 0.5
LIMIT_S = 15.0
CALM_S = 30.0


class Backoff:
    """Waits of 0.5, 1, 2, 4, 8, 15, 15 .. seconds after failures. Used by one thread."""

    def __init__(self, now: Callable[[], float], limit_s: float = LIMIT_S) -> None:
        """``now`` gives seconds on a monotonic clock; ``limit_s`` is the longest wait."""
        self._now = now
        self._limit_s = limit_s
        self._next_s = FIRST_S
        self._due = now()
        self._well_since: float | None = None

    def failed(self) -> float:
        """Note a failure; returns the seconds to wait before the next try."""
        if self._well_since is not None and self._now() - self._well_since >= CALM_S:
            self._next_s = FIRST_S
        wait_s = self._next_s
        self._next_s = min(2 * self._next_s, self._limit_s)
        self._due = self._now() + wait_s
        self._well_since = None
        return wait_s

    def clear(self) -> None:
        """Try again at once: what is tried is no longer what failed."""
        self._next_s = FIRST_S
        self._due = self._now()

    def succeeded(self) -> None:
        """Note that things work; after 30 s of it the next failure starts at 0.5 s again."""
        if self._well_since is None:
            self._well_since = self._now()

    def remaining_s(self) -> float:
        """Seconds until the next try is due; 0 when it is."""
        return max(0.0, self._due - self._now())
