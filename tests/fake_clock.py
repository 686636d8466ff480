"""The clock of every test that waits: nothing sleeps, and time passes when told to."""

from __future__ import annotations


class Clock:
    """Seconds that pass in ``wait`` and by hand; with ``step_s``, also at each look."""

    def __init__(self, now_s: float = 1000.0, step_s: float = 0.0) -> None:
        self.now_s = now_s
        self.step_s = step_s
        self.is_woken = False
        """Whether ``wait`` is cut short: it returns True at once."""

    def now(self) -> float:
        self.now_s += self.step_s
        return self.now_s

    def wait(self, seconds: float) -> bool:
        if not self.is_woken:
            self.now_s += seconds
        return self.is_woken
