"""The one supervised connection to OBS: connects, watches, comes back. Knows no rule.

A thread of its own owns the link; every request is made on it, by the handler. The link's reader
thread only fills the inbox, so nothing the handler does can stop the events from coming.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from liveedit_cam.backoff import FIRST_S, Backoff
from liveedit_cam.errors import kept
from liveedit_cam.obs import link as obs_link
from liveedit_cam.obs.errors import (
    ObsError,
    ObsLost,
    ObsRequestRefused,
    ObsTooOld,
    ObsWrongPassword,
)
from liveedit_cam.obs.link import ObsAddress, ObsLink

TICK_S = 0.1
"""Seconds between two calls of the handler's ``tick``."""
PING_S = 3.0
"""Seconds between two pings; a half-open connection is noticed after this and the time-out."""
TIMEOUT_S = 5.0
"""Longest wait for an answer; OBS answers in milliseconds while it is well."""
LONGEST_WAIT_S = 3.0
"""Longest wait between two tries where another one may help."""
HOPELESS_WAIT_S = 30.0
"""The wait where only the user can help: wrong password, other protocol."""
COLLECTION_LIMIT_S = 60.0
"""Longest change of the scene collection; after it the connection is made anew."""
DEFECT_SHOWN_S = 30.0
"""For how long a defect of ours stays in the status after it last happened."""
MAX_EVENTS = 10_000
"""Events that may wait for the handler; with more the connection is made anew."""

_CHANGING, _CHANGED = "CurrentSceneCollectionChanging", "CurrentSceneCollectionChanged"
_EXIT = "ExitStarted"
_PING = "GetVersion"
"""Answered without OBS's own user interface, which may be busy for seconds."""
_KICKED = 4011
"""Ended by hand in OBS; the protocol says not to come back by ourselves."""

_log = logging.getLogger(__name__)


class ObsState(StrEnum):
    """Where the connection stands."""

    OFF = "off"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """Not connected; tried again by itself."""


@dataclass(frozen=True, slots=True)
class ObsStatus:
    """State and what there is to say of it."""

    state: ObsState
    detail: str | None = None
    """The versions while connected, the reason while waiting; None = nothing to say."""


class ObsHandler(Protocol):
    """What is done with OBS. All calls come from the connection's thread, one at a time.

    The order is ``connected``, any number of ``event`` and ``tick``, ``lost``, and so on. An
    ObsLost may pass through; any other error is shown in the status and the connection goes on.
    Nothing is called while OBS changes its scene collection: events wait, ticks are left out.
    """

    def connected(self, link: ObsLink) -> None:
        """A new link is there; what was known of OBS's scenes and sources is out of date."""

    def event(self, link: ObsLink, name: str, data: dict[str, Any]) -> None:
        """One event, in the protocol's words and order; all but ExitStarted."""

    def tick(self, link: ObsLink) -> None:
        """About ten times a second while connected."""

    def lost(self) -> None:
        """The link is gone."""


Connect = Callable[..., ObsLink]
"""``link.connect``, or what a test puts in its place."""


class ObsConnection:
    """One connection that comes back. ``start``, ``stop`` and ``status`` from any thread."""

    def __init__(
        self,
        address: ObsAddress,
        handler: ObsHandler,
        *,
        connect: Connect = obs_link.connect,
        now: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Nothing happens before ``start``; ``now`` gives seconds on a monotonic clock."""
        self._address = address
        self._handler = handler
        self._connect = connect
        self._now = now
        self._timeout_s = timeout_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="obs", daemon=True)
        self._status = ObsStatus(ObsState.OFF)
        self._linked = self._status
        self._defect_until = math.inf
        self._said = ""
        self._link: ObsLink | None = None
        self._inbox = _Inbox(now)
        self._backoff = Backoff(now, LONGEST_WAIT_S)
        self._connect_at = now()
        self._tick_at = self._ping_at = 0.0

    def start(self) -> None:
        """Begin to connect, in a thread of our own; once only."""
        self._thread.start()

    def stop(self) -> None:
        """Close the link and end the thread. May be called twice, and without ``start``."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._timeout_s + 1.0)

    def status(self) -> ObsStatus:
        """Where the connection stands now."""
        return self._status

    def poll(self, timeout_s: float) -> None:
        """One round: connect when it is due, else hand on one event or tick; ``timeout_s`` at most.

        The thread calls it in a loop; a test without ``start`` calls it by hand.
        """
        try:
            if self._link is None:
                self._connect_when_due(timeout_s)
            else:
                self._serve(self._link, timeout_s)
        except ObsLost as error:
            self._drop(str(error), FIRST_S)

    def _run(self) -> None:
        while self._link is not None or not self._stopping.is_set():
            with kept(self._note_defect):
                if self._stopping.is_set():
                    self._drop("liveedit-cam stops", 0.0)
                else:
                    self.poll(TICK_S)
        self._status = ObsStatus(ObsState.OFF)

    def _connect_when_due(self, timeout_s: float) -> None:
        remaining_s = self._connect_at - self._now()
        if remaining_s > 0:
            self._stopping.wait(min(remaining_s, timeout_s))
            return
        self._status = replace(self._status, state=ObsState.CONNECTING)
        wait_s = self._backoff.failed()
        self._connect_at = self._now() + wait_s  # holds where nobody foresaw how it fails
        inbox = _Inbox(self._now)
        try:
            link = self._connect(self._address, inbox.put, inbox.end, timeout_s=self._timeout_s)
        except (ObsWrongPassword, ObsTooOld) as error:
            self._wait(str(error), HOPELESS_WAIT_S, logging.WARNING)
        except ObsError as error:
            self._wait(str(error), wait_s)
        else:
            self._take_on(link, inbox)

    def _take_on(self, link: ObsLink, inbox: _Inbox) -> None:
        version = link.version
        detail = f"OBS {version.obs}, obs-websocket {version.websocket}"
        self._link, self._inbox = link, inbox
        self._backoff.clear()
        self._tick_at, self._ping_at = self._now() + TICK_S, self._now() + PING_S
        self._status = self._linked = ObsStatus(ObsState.CONNECTED, detail)
        self._defect_until = math.inf
        self._say(f"Connected to {detail} at {self._address}.")
        self._handler.connected(link)

    def _serve(self, link: ObsLink, timeout_s: float) -> None:
        """Raises ObsLost."""
        until_tick_s = max(0.0, self._tick_at - self._now())
        event = self._inbox.take(min(timeout_s, until_tick_s))
        if event is not None and event.name == _EXIT:
            self._drop("OBS was closed", LONGEST_WAIT_S)
            return
        if event is not None:
            self._handler.event(link, event.name, event.data)
        if not self._is_held():
            self._tick_and_ping(link)

    def _is_held(self) -> bool:
        """Whether OBS changes its scene collection. Raises ObsLost if it does not end."""
        since = self._inbox.held_since
        if since is not None and self._now() - since > COLLECTION_LIMIT_S:
            raise ObsLost(f"OBS changed its scene collection for {COLLECTION_LIMIT_S:g} s.")
        return since is not None

    def _tick_and_ping(self, link: ObsLink) -> None:
        if self._now() >= self._ping_at:
            self._ping_at = self._now() + PING_S
            try:
                link.request(_PING)
            except ObsRequestRefused as error:
                _log.debug("ping refused, so OBS is alive: %s", error)
        if self._now() >= self._defect_until:
            self._status, self._defect_until = self._linked, math.inf
        if self._now() >= self._tick_at:
            self._tick_at = self._now() + TICK_S
            self._handler.tick(link)

    def _drop(self, reason: str, wait_s: float) -> None:
        """Close the link and wait for the next try."""
        link, self._link = self._link, None
        if link is None:
            self._wait(reason, wait_s)
            return
        link.close()
        if link.close_code == _KICKED:
            reason = "Somebody ended the connection in OBS. Start liveedit-cam again to connect."
            wait_s = math.inf
        self._wait(reason, wait_s)
        self._handler.lost()

    def _wait(self, reason: str, wait_s: float, level: int = logging.INFO) -> None:
        self._connect_at = self._now() + wait_s
        self._status = ObsStatus(ObsState.WAITING, reason)
        self._say(reason, level)

    def _say(self, message: str, level: int = logging.INFO) -> None:
        """Log it unless it was the last thing said: a missing OBS is told once."""
        if message != self._said:
            self._said = message
            _log.log(level, "%s", message)

    def _note_defect(self, error: Exception) -> None:
        """Show in the status what the handler could not bear; the connection goes on."""
        detail = f"{type(error).__name__}: {error}"
        self._defect_until = self._now() + DEFECT_SHOWN_S
        if detail != self._status.detail:
            self._status = replace(self._status, detail=detail)
            _log.error("OBS: %s", detail, exc_info=error)


@dataclass(frozen=True, slots=True)
class _Event:
    """One event as it came."""

    name: str
    data: dict[str, Any]


class _Inbox:
    """Events between the link's reader thread and ours, in order, bounded; one lock.

    Between the two events about the scene collection it hands out nothing.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._events: deque[_Event] = deque()
        self._changed = threading.Condition()
        self._end: str | None = None
        self.held_since: float | None = None
        """When OBS began to change its scene collection; None while it does not."""

    def put(self, name: str, data: dict[str, Any]) -> None:
        """Queue one event; once too many wait, none any more, so that there is no gap."""
        with self._changed:
            if len(self._events) >= MAX_EVENTS:
                self._end = self._end or f"more than {MAX_EVENTS} events waited"
            if self._end is None:
                self._events.append(_Event(name, data))
            if name == _CHANGING:
                self.held_since = self._now()
            elif name == _CHANGED:
                self.held_since = None
            self._changed.notify_all()

    def end(self, reason: str) -> None:
        """Nothing comes any more."""
        with self._changed:
            self._end = self._end or reason
            self._changed.notify_all()

    def take(self, timeout_s: float) -> _Event | None:
        """The next event, None when none came in time. Raises ObsLost after the last."""
        with self._changed:
            self._changed.wait_for(self._has_news, timeout_s)
            if self._events and self.held_since is None:
                return self._events.popleft()
            if self._end is not None:
                raise ObsLost(f"The connection to OBS is lost: {self._end}.")
            return None

    def _has_news(self) -> bool:
        return self._end is not None or (bool(self._events) and self.held_since is None)
