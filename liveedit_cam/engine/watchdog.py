"""Says when the engine is silent for too long. Pure: the clock is given, nothing is ended here."""

from __future__ import annotations

from collections.abc import Callable

START_TIMEOUT_S = 180.0
LONGEST_START_S = 1440.0
"""Loading a large model from a slow disk takes minutes. Each start that was cut for its silence
gives the next one twice the time: a slow computer gets there, too."""

ANSWER_TIMEOUT_S = 20.0
SLOW_TIMEOUT_S = 300.0
"""What happens once may take longer: a large text encoder is read from disk for a prompt it has not
met, a GPU compiles for pictures of another shape. The picture holds meanwhile."""

USUAL_FACTOR = 10.0
"""A chunk that takes this many times the usual is hung."""
LEAST_TIMEOUT_S = 3.0
"""Shorter waits would mistake a busy machine for a hang."""
LEARNING_RATE = 0.1
"""Share by which each chunk moves the usual time."""
STALL_S = 0.5
"""Between two looks no more than this counts: the rest the daemon itself stood still (SIGSTOP, a
suspended computer), and the engine with it."""


class Watchdog:
    """Watches for an answer that is due. An engine nobody asked may be silent. One thread."""

    def __init__(
        self,
        now: Callable[[], float],
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        """``now`` gives seconds on a monotonic clock.

        ``answer_timeout_s`` holds until it is known what a chunk takes, and is the most after that.
        """
        self._now = now
        self._start_timeout_s = start_timeout_s
        self._is_starting = False
        self._answer_timeout_s = answer_timeout_s
        self._limit_s = start_timeout_s
        self._looked_at: float | None = None
        self._silent_s = 0.0
        self._usual_s: float | None = None

    @property
    def limit_s(self) -> float:
        """Seconds of silence now allowed."""
        return self._limit_s

    def started(self) -> None:
        """The process was started; it must say something within the start-up time."""
        self._begin(self._start_timeout_s)
        self._is_starting = True

    def asked(self, *, may_be_slow: bool = False) -> None:
        """Something was asked; the time runs from the first question without an answer."""
        if self._looked_at is None:
            self._begin(self._chunk_limit_s())
        if may_be_slow:
            self._limit_s = max(self._limit_s, SLOW_TIMEOUT_S)

    def answered(self, *, is_more_due: bool, may_be_slow: bool = False) -> None:
        """Something was said; ``is_more_due`` when other questions are still open."""
        self._is_starting = False
        if is_more_due:
            self._begin(SLOW_TIMEOUT_S if may_be_slow else self._chunk_limit_s())
        else:
            self._looked_at = None

    def took(self, chunk_s: float) -> None:
        """Learn what a chunk takes, in seconds; also holds for the next process."""
        usual_s = chunk_s if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + LEARNING_RATE * (chunk_s - usual_s)

    def stopped(self) -> None:
        """The process is gone; nothing is due."""
        self._looked_at = None

    def is_overdue(self) -> bool:
        """True when an answer is due for longer than allowed; look at least twice a second."""
        if self._looked_at is None:
            return False
        now = self._now()
        self._silent_s += min(now - self._looked_at, STALL_S)
        self._looked_at = now
        is_overdue = self._silent_s > self._limit_s
        if is_overdue and self._is_starting:
            self._start_timeout_s = min(2 * self._limit_s, LONGEST_START_S)
        return is_overdue

    def _begin(self, limit_s: float) -> None:
        self._limit_s, self._looked_at, self._silent_s = limit_s, self._now(), 0.0

    def _chunk_limit_s(self) -> float:
        if self._usual_s is None:
            return self._answer_timeout_s
        return min(self._answer_timeout_s, max(LEAST_TIMEOUT_S, USUAL_FACTOR * self._usual_s))
