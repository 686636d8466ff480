"""Waits for what becomes of an instruction without holding a thread. Knows no HTTP.

Whoever waits is one small coroutine that looks again every 20 ms; how many may is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum

from liveedit_cam.types import Settled

LOOK_EVERY_S = 0.02
MAX_WAITING = 32
"""Requests that may wait at a time."""


class Until(StrEnum):
    """What is waited for."""

    ENCODED = "encoded"
    """The engine has read the instruction and said what it does not know of it."""
    VISIBLE = "visible"
    """A picture of it has reached a sink."""


class TooManyWaiting(Exception):
    """All places are taken."""


class Waiting:
    """Belongs to the thread of the event loop."""

    def __init__(
        self,
        look: Callable[[int], Settled],
        *,
        most: int = MAX_WAITING,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``look`` tells at once what is known of a revision; what it raises ends the wait."""
        self._look = look
        self._most = most
        self._now = now
        self._sleep = sleep
        self._num_waiting = 0

    async def wait(
        self,
        revision: int,
        until: Until,
        timeout_s: float,
        *,
        has_left: Callable[[], Awaitable[bool]],
    ) -> Settled:
        """Wait until that is so, or the instruction is refused, up to ``timeout_s`` seconds.

        Returns what is known then, also where whoever asked ``has_left``. Raises TooManyWaiting,
        and what ``look`` raises.
        """
        if self._num_waiting >= self._most:
            raise TooManyWaiting(f"{self._most} requests are waiting already.")
        self._num_waiting += 1
        try:
            give_up_at = self._now() + timeout_s
            while True:
                found = self._look(revision)
                if _is_settled(found, until) or self._now() >= give_up_at or await has_left():
                    return found
                await self._sleep(LOOK_EVERY_S)
        finally:
            self._num_waiting -= 1


def _is_settled(found: Settled, until: Until) -> bool:
    return found.is_final or (until is Until.ENCODED and found.encoded_s is not None)
