"""Whether anybody watches: camera and engine rest while nobody does. Knows no backend.

A sink that cannot tell is taken to be watched always, as a recording is. Who looks at the control
page, or gives an instruction, counts as a reader, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event
from typing import Literal

from liveedit_cam.protocols import WatchedSink

LOOK_S = 0.25
"""Between two looks at the sinks; the longest a reader waits before the camera is opened."""
LINGER_S = 10.0
"""After the last reader left; one that opens and closes ten times a second never gets that far."""

_log = logging.getLogger(__name__)


class Demand:
    """``step`` belongs to a thread of its own, ``looked`` to any; the events are read by all."""

    def __init__(self, wish: Literal["off", "camera", "all"], now: Callable[[], float]) -> None:
        """``wish`` says what rests; ``now`` gives seconds on a monotonic clock."""
        self._wish = wish
        self._now = now
        self._last_at = now()
        self.camera, self.engine = Event(), Event()
        """Set while each of the two is wanted."""
        self._set(True)

    @property
    def is_on(self) -> bool:
        """Whether anything may ever rest."""
        return self._wish != "off"

    def looked(self) -> None:
        """Somebody looks, or asks for something, at this moment."""
        self._last_at = self._now()
        if not self.camera.is_set():
            self._set(True)

    def step(self, watched: Sequence[WatchedSink], stop: Event) -> bool:
        """Look at the sinks once. Never False: readers may come as long as they are open."""
        stop.wait(LOOK_S)
        if any(one.has_reader() for one in watched):
            self.looked()
        elif self.camera.is_set() and self._now() - self._last_at > LINGER_S:
            _log.info("nobody watches: %s released", self._wish)
            self._set(False)
        return True

    def _set(self, is_wanted: bool) -> None:
        for event, rests in ((self.camera, self.is_on), (self.engine, self._wish == "all")):
            if is_wanted or not rests:
                event.set()
            else:
                event.clear()
