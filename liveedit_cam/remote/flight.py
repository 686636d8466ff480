"""Chunks on their way to a server and back: how many at once, how long one is waited for.

Where the way is long the next chunk leaves before the last one is answered, but never sooner than
the server could begin with it: the round trip makes a field older, and edits no rarer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from liveedit_cam.remote.link import Link
from liveedit_cam.remote.messages import Edit, Edited, Failed
from liveedit_cam.types import ModelFrame

MAX_FLYING = 4
"""Chunks without an answer; half a second of pictures. While there are so many none is sent."""
NEAR_S = 0.03
"""An answer is waited for so much longer than the next chunk could leave: sent a moment after it,
that one does not wait at the server."""
TICK_S = 0.001
"""So much beyond it a time is surely over when it was waited for."""
LEAST_WAIT_S, LONGEST_WAIT_S = 0.8, 10.0
"""An answer is waited for three times as long as usual, within these."""
USUAL_FACTOR = 3.0
BRIDGE_S, BRIDGE_FACTOR = 0.2, 1.5
"""So much after so many times the usual, chunks are edited here until an answer comes or the link
is given up: the newest field must not get too old to be shown (``hold_s``, 2 s)."""
FIRST_USUAL_S = 1.0
"""The most that the first answer teaches: it may have been slow for once."""
LEARNING_RATE = 0.1


@dataclass(frozen=True, slots=True)
class Asked:
    """A chunk on its way."""

    link: Link
    message: Edit
    frames: tuple[ModelFrame, ...]
    at: float


@dataclass(frozen=True, slots=True)
class Landed:
    """A chunk and its answer."""

    asked: Asked
    answer: Edited | Failed
    blobs: list[bytes]
    took_s: float


class Flight:
    """What one link has on its way, and what answers usually take. One thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Nothing is on its way; ``now`` gives monotonic seconds."""
        self._now = now
        self._flying: deque[Asked] = deque()
        self._usual_s: float | None = None
        self._server_s = 0.0

    def begin(self, first: Landed) -> None:
        """A link is new; what its first answer took is all that is known of it."""
        self._flying.clear()
        self._usual_s, self._server_s = min(first.took_s, FIRST_USUAL_S), 0.0

    def add(self, asked: Asked) -> None:
        """It was sent."""
        self._flying.append(asked)

    def forget(self) -> None:
        """What comes for chunks sent so far is of no use any more."""
        self._flying.clear()

    @property
    def is_full(self) -> bool:
        """Whether no other chunk may leave."""
        return len(self._flying) >= MAX_FLYING

    @property
    def silent_s(self) -> float:
        """Since when the oldest chunk waits for its answer."""
        return self._now() - self._flying[0].at if self._flying else 0.0

    @property
    def bridge_s(self) -> float:
        """After how long a silence this computer should edit."""
        return min(self.longest_s, BRIDGE_S + BRIDGE_FACTOR * (self._usual_s or 0.0))

    @property
    def longest_s(self) -> float:
        """After how long a silence the link is lost."""
        return min(LONGEST_WAIT_S, max(LEAST_WAIT_S, USUAL_FACTOR * (self._usual_s or 0.0)))

    def next_s(self, frames: Sequence[ModelFrame], can_bridge: bool) -> float:
        """How long to wait for an answer before the next chunk leaves, counted from this one.

        Neither the camera nor the server is faster than that; where this computer ``can_bridge``
        an overdue one, no longer than until then.
        """
        span_s = frames[-1].captured_at - frames[0].captured_at
        chunk_s = span_s * len(frames) / max(1, len(frames) - 1)
        next_s = max(chunk_s, self._server_s) + NEAR_S
        overdue_s = max(0.0, self.bridge_s - self.silent_s + TICK_S)
        return min(next_s, overdue_s) if can_bridge else next_s

    def wait(self, timeout_s: float, *, is_last_wanted: bool = False) -> Landed | None:
        """The newest answer that there is, or the next that comes; those before it are forgotten.

        Where the last chunk's own should come in time it is waited for. ``is_last_wanted``: no
        other is given. Raises LinkLost.
        """
        if is_last_wanted:
            return self._land(list(self._flying)[-1:], timeout_s)
        there = self._land(self._flying, 0.0)
        if there is not None and (self._usual_s or 0.0) > timeout_s:
            return there
        return self._land(self._flying, timeout_s) or there

    def _land(self, wanted: Sequence[Asked], timeout_s: float) -> Landed | None:
        if not wanted:
            return None
        found = wanted[-1].link.wait([asked.message for asked in wanted], timeout_s)
        if found is None:
            return None
        (answer, blobs), at = found
        assert isinstance(answer, Edited | Failed), f"the link gave {answer.type} for an edit"
        while (asked := self._flying.popleft()).message.number != answer.number:
            pass
        landed = Landed(asked, answer, blobs, at - asked.at)
        if isinstance(answer, Edited):
            self._learn(landed.took_s, answer.server_s)
        return landed

    def _learn(self, took_s: float, server_s: float) -> None:
        usual_s = took_s if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + LEARNING_RATE * (took_s - usual_s)
        self._server_s += LEARNING_RATE * (server_s - self._server_s)
