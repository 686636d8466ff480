"""Says when the engine is silent for too long. Pure: the clock is given, nothing is ended here."""

from __future__ import annotations

from collections.abc import Callable

START_TIMEOUT_S = 180.0
"""Loading a large model from a slow disk takes minutes."""

ANSWER_TIMEOUT_S = 20.0
SLOW_TIMEOUT_S = 300.0
"""What happens once may take longer: a large text encoder is read from disk for a prompt it has not
met, a GPU compiles for pictures of another shape. The picture holds meanwhile."""


class Watchdog:
    """Watches for an answer that is due. An engine nobody asked may be silent. One thread."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """``now`` gives seconds on a monotonic clock."""
        self._now = now
        self._start_timeout_s = start_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._limit_s = start_timeout_s
        self._since: float | None = None

    @property
    def limit_s(self) -> float:
        """Seconds of silence now allowed."""
        return self._limit_s

    def started(self) -> None:
        """The process was started; it must say something within the start-up time."""
        self._limit_s, self._since = self._start_timeout_s, self._now()

    def asked(self, *, may_be_slow: bool = False) -> None:
        """Something was asked; the time runs from the first question without an answer."""
        if self._since is None:
            self._limit_s, self._since = self._answer_timeout_s, self._now()
        if may_be_slow:
            self._limit_s = max(self._limit_s, SLOW_TIMEOUT_S)

    def answered(self, *, is_more_due: bool, may_be_slow: bool = False) -> None:
        """Something was said; ``is_more_due`` when other questions are still open."""
        self._limit_s = SLOW_TIMEOUT_S if may_be_slow else self._answer_timeout_s
        self._since = self._now() if is_more_due else None

    def stopped(self) -> None:
        """The process is gone; nothing is due."""
        self._since = None

    def is_overdue(self) -> bool:
        """True when an answer is due for longer than allowed."""
        return self._since is not None and self._now() - self._since > self._limit_s
