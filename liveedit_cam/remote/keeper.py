"""Keeps a link to a model server: connects, notices a loss, connects again. Knows no pictures."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from liveedit_cam.backoff import Backoff
from liveedit_cam.remote.link import Link, LinkLost, LinkRefused

LONGEST_WAIT_S = 3.0
"""Between two tries: a server that is back is used again within five seconds."""
REFUSED_WAIT_S = 30.0
"""Where only a person can help: a wrong token, another protocol, a model that is not there."""
TICK_S = 0.1

_log = logging.getLogger(__name__)


class LinkKeeper:
    """One link that comes back, by a thread of its own. Lock: ``_lock``."""

    def __init__(
        self, connect: Callable[[], Link], now: Callable[[], float] = time.monotonic
    ) -> None:
        """``connect`` opens a link or raises LinkLost; nothing happens before ``start``."""
        self._connect = connect
        self._backoff = Backoff(now, LONGEST_WAIT_S)
        self._now = now
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._link: Link | None = None
        self._reason = "not connected yet"
        self._not_before = 0.0
        self._thread = threading.Thread(target=self._run, name="remote-keep", daemon=True)

    def start(self) -> None:
        """Begin to connect. Once only."""
        self._thread.start()

    def link(self) -> Link | None:
        """The link, where it stands."""
        with self._lock:
            link = self._link
        return None if link is None or link.lost is not None else link

    @property
    def reason(self) -> str:
        """Why there is no link, or was none last."""
        with self._lock:
            return self._reason

    def close(self) -> None:
        """End link and thread. May be called twice."""
        self._closing.set()
        if (link := self.link()) is not None:
            link.end(LinkLost("the camera stops"))
        with suppress(RuntimeError):  # it was never started
            self._thread.join(TICK_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self.step()
            except Exception as error:  # noqa: BLE001 - loop of this thread; shown in the status
                _log.exception("keeping the link failed")
                self._note_loss(LinkLost(f"{type(error).__name__}: {error}"))
            self._closing.wait(TICK_S)

    def step(self) -> None:
        """Look at the link once, connect where that is due. The thread calls it in a loop."""
        with self._lock:
            link = self._link
        if link is not None and link.lost is None:
            self._backoff.succeeded()
        elif link is not None:
            assert link.lost is not None, "looked at just above; a loss is for good"
            self._note_loss(link.lost)
        elif self._backoff.remaining_s() == 0 and self._now() >= self._not_before:
            self._try()

    def _try(self) -> None:
        try:
            link = self._connect()
        except LinkLost as error:
            self._note_loss(error)
            return
        _log.info("connected to %s, model %s", link.address.host, link.welcome.model)
        with self._lock:
            self._link = link

    def _note_loss(self, why: LinkLost) -> None:
        with self._lock:
            is_new, self._reason, self._link = str(why) != self._reason, str(why), None
        self._backoff.failed()
        if isinstance(why, LinkRefused) and why.cause in ("protocol", "token", "model"):
            self._not_before = self._now() + REFUSED_WAIT_S
        if is_new:
            _log.warning("no link to the model server: %s", why)
