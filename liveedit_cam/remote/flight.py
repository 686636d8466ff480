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
LONGEST_CALL_S = 1.0
"""Longest wait at once: the engine's watchdog may take three seconds without a word for a hang."""


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
        self._sent_at = self._pace_s = self._edit_s = 0.0

    def begin(self, first: Landed) -> None:
        """A link is new; what its first answer took is all that is known of it."""
        self._flying.clear()
        self._usual_s = min(first.took_s, FIRST_USUAL_S)
        server_s = first.answer.server_s if isinstance(first.answer, Edited) else 0.0
        self._pace_s = self._edit_s = min(server_s, FIRST_USUAL_S)

    def add(self, asked: Asked) -> None:
        """It was sent."""
        self._flying.append(asked)
        self._sent_at = asked.at

    def forget(self) -> None:
        """What comes for chunks sent so far is of no use any more."""
        self._flying.clear()

    def may_leave(self, frames: Sequence[ModelFrame]) -> bool:
        """Whether these may leave now: the server could begin with them when they are there.

        Half a chunk too soon is near enough: one that is passed over costs a whole one.
        """
        if not self._flying:
            return True
        return len(self._flying) < MAX_FLYING and self._until_next_s <= chunk_s(frames) / 2

    @property
    def _until_next_s(self) -> float:
        return max(0.0, self._sent_at + self._pace_s - self._now())

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

    def next_s(
        self, frames: Sequence[ModelFrame], *, has_left: bool, can_bridge: bool = False
    ) -> float:
        """How long to wait for an answer before the next chunk could leave.

        Neither the camera, of whose newest ``frames`` a chunk just ``has_left`` or not, nor the
        server is faster than that; where this computer ``can_bridge`` an overdue answer, no longer
        than until then.
        """
        next_s = self._until_next_s
        if has_left or next_s == 0:
            next_s = max(chunk_s(frames), next_s) + NEAR_S
        next_s = min(next_s, LONGEST_CALL_S)
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
            self._learn(landed.took_s, answer)
        return landed

    def _learn(self, took_s: float, answer: Edited) -> None:
        usual_s = took_s if self._usual_s is None else self._usual_s
        self._usual_s = usual_s + LEARNING_RATE * (took_s - usual_s)
        edit_s = max(0.0, answer.server_s - answer.queued_s)
        self._edit_s += LEARNING_RATE * (edit_s - self._edit_s)
        self._pace_s = self._edit_s + answer.queued_s / 2  # a queue there is let run dry


def chunk_s(frames: Sequence[ModelFrame]) -> float:
    """Seconds from one chunk to the next, by the times of its frames."""
    span_s = frames[-1].captured_at - frames[0].captured_at
    return span_s * len(frames) / max(1, len(frames) - 1)
