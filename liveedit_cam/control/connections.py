"""Connections of the control plane that cannot use it up: bounded, and none waits for ever.

A connection that has sent no whole request holds a place for a few seconds at most, and gives it up
at once to one that comes when all places are taken. Knows no routes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEADER_BYTES = 16 * 1024
SAY_AGAIN_S = 60.0
"""The same line is logged once in this time, however often a client makes us say it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one client may ask of us."""

    max_connections: int = 64
    """A browser opens 6 at most; waits, viewers and commands together stay far below."""
    header_timeout_s: float = 10.0
    """Longest time from the first byte of silence to the end of a request's headers."""
    send_timeout_s: float = 10.0
    """A reader who takes nothing for so long is let go."""


class Connection(H11Protocol):
    """One connection. Belongs to the event loop."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *args: Any, **options: Any) -> None:
        """As uvicorn makes it."""
        super().__init__(*args, **options)
        self.access_log = False  # whatever the handlers: an address may hold a pasted token
        self._idle_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        """True while no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, if need be that of the idle connection that has waited longest."""
        super().connection_made(transport)
        self._begin_idle()
        if len(self.connections) > self.limits.max_connections:
            known = [one for one in self.connections if isinstance(one, Connection)]
            idle = [one for one in known if one.is_idle and one is not self]
            longest = min(idle, key=Connection.idle_until, default=self)
            longest.drop()

    def idle_until(self) -> float:
        """When the patience with this idle connection ends, in seconds of the loop's clock."""
        return self._idle_timer.when() if self._idle_timer is not None else 0.0

    def drop(self) -> None:
        """Close at once, whatever is still to be sent."""
        self.transport.abort()
        self.connections.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for timer in (self._idle_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """The next request has its own time."""
        self._begin_idle()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The reader is slow: see whether it takes anything at all."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self.limits.send_timeout_s, self.drop)

    def resume_writing(self) -> None:
        """The reader goes on."""
        if self._send_timer is not None:
            self._send_timer.cancel()
        super().resume_writing()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection to the socket's own protocol, which has its own patience."""
        for timer in (self._idle_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        super().handle_websocket_upgrade(event)

    def shutdown(self) -> None:
        """End what never ends by itself; other answers are completed."""
        if not self.is_idle and self.cycle.response_started:
            self.drop()  # a stream
        else:
            super().shutdown()

    def _begin_idle(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._idle_timer = self.loop.call_later(self.limits.header_timeout_s, self._end_idle)

    def _end_idle(self) -> None:
        if self.is_idle:
            self.drop()


class Seldom(logging.Filter):
    """Lets the same line through once a minute, so that no client can fill a log."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """``now`` gives seconds on a monotonic clock."""
        super().__init__()
        self._now = now
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that was said a moment ago; only the last 64 are remembered."""
        now, line = self._now(), record.getMessage()
        if now - self._said_at.get(line, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return False
        while len(self._said_at) >= 64:
            del self._said_at[next(iter(self._said_at))]
        self._said_at[line] = now
        return True
