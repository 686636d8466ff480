"""Whether anybody watches: camera and engine rest while nobody does. Knows no backend.

The engine rests later than the camera: to load a model takes seconds, to open a camera half of one.
While the screen is locked nobody counts, where that is asked for. A sink that cannot tell is taken
to be watched always, as a recording is. Who looks at the control page, or gives an instruction,
counts as a reader, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Literal

from liveedit_cam.protocols import WatchedSink

LOOK_S = 0.25
"""Between two looks at the sinks; the longest a reader waits before the camera is opened."""
LINGER_S = 9.0
"""After the last reader left, so that with a look and the closing the camera is off within 10 s;
one that opens and closes ten times a second never gets that far."""

_log = logging.getLogger(__name__)


class Demand:
    """``step`` belongs to a thread of its own, ``looked`` to any; the events are read by all."""

    def __init__(
        self,
        wish: Literal["off", "camera", "all"],
        now: Callable[[], float],
        *,
        engine_rest_s: float = 0.0,
        is_locked: Callable[[], bool] | None = None,
    ) -> None:
        """``wish`` says what rests; ``now`` gives seconds on a monotonic clock.

        The engine rests once nobody watched for ``engine_rest_s`` seconds, and not before the
        camera. ``is_locked`` None = the screen's lock is nothing to it.
        """
        self._wish = wish
        self._engine_rest_s = max(LINGER_S, engine_rest_s)
        self._is_locked = is_locked or (lambda: False)
        self._minds_lock = is_locked is not None
        self._now = now
        self._last_at = now()
        self.camera, self.engine = Event(), Event()
        """Set while each of the two is wanted."""
        self.camera.set()
        self.engine.set()

    @property
    def is_on(self) -> bool:
        """Whether anything may ever rest."""
        return self._wish != "off" or self._minds_lock

    def looked(self) -> None:
        """Somebody looks, or asks for something, at this moment."""
        self._last_at = self._now()
        if self._minds_lock and self._is_locked():
            return
        self.camera.set()
        self.engine.set()

    def step(self, watched: Sequence[WatchedSink], stop: Event) -> bool:
        """Look at the sinks once. Never False: readers may come as long as they are open."""
        stop.wait(LOOK_S)
        if self._minds_lock and self._is_locked():
            self._rest(self.camera, "the camera", "the screen is locked")
        elif self._wish == "off" or any(one.has_reader() for one in watched):
            self.looked()
        else:
            alone_s = self._now() - self._last_at
            if alone_s > LINGER_S:
                self._rest(self.camera, "the camera", "nobody watches")
            if self._wish == "all" and alone_s > self._engine_rest_s:
                self._rest(self.engine, "the engine", "nobody watches")
        return True

    @staticmethod
    def _rest(what: Event, name: str, reason: str) -> None:
        if what.is_set():
            _log.info("%s: %s released", reason, name)
            what.clear()
