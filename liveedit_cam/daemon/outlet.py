"""One sink with a thread of its own, and how it comes back. Knows no backend.

The newest frame waits in a slot, so that a sink which blocks costs no other sink a tick. A failed
write closes the sink, and it is opened again with back-off, always at the same size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from liveedit_cam.backoff import Backoff
from liveedit_cam.daemon.mailbox import Slot
from liveedit_cam.errors import LiveEditError, kept
from liveedit_cam.protocols import Sink, WatchedSink
from liveedit_cam.types import Frame

WAIT_S = 0.1
"""Longest wait for a frame before looking whether the run has ended."""

_log = logging.getLogger(__name__)


class Outlet:
    """A sink and how to open it again. ``step`` belongs to its thread, ``offer`` to any."""

    def __init__(
        self,
        sink: Sink,
        reopen: Callable[[], Sink],
        now: Callable[[], float],
        on_write: Callable[[Frame], None] = lambda frame: None,
    ) -> None:
        """``now`` gives seconds on a monotonic clock; ``on_write`` hears of each frame written."""
        self._sink: Sink | None = sink
        self._reopen = reopen
        self._on_write = on_write
        self._backoff = Backoff(now)
        self._slot: Slot[Frame] = Slot()
        self._next: Slot[tuple[Sink, Callable[[], Sink]]] = Slot()
        self._name = sink.name
        self.error: str | None = None
        """Why the last write or opening failed; None while the sink works."""

    @property
    def name(self) -> str:
        """The sink's name now, for people; says so while it is being reopened."""
        sink = self._sink
        return sink.name if sink is not None else f"{self._name}, being reopened"

    def has_reader(self) -> bool:
        """Whether anybody watches this sink; one that cannot tell counts as watched."""
        sink = self._sink
        return sink.has_reader() if isinstance(sink, WatchedSink) else sink is not None

    def offer(self, frame: Frame) -> None:
        """Leave the newest frame; one that still waits is lost. Never blocks."""
        self._slot.put(frame)

    def exchange(self, sink: Sink, reopen: Callable[[], Sink]) -> None:
        """Write to another sink from the next frame on; the one before is closed. Any thread."""
        self._next.put((sink, reopen))

    def step(self) -> bool:
        """Write the frame that waits, if one comes. Never False: more may come."""
        frame = self._slot.take(WAIT_S)
        following = self._next.take(0.0)
        if following is not None:
            self._become(*following)
        if frame is not None and self.write(frame):
            self._on_write(frame)
        return True

    def write(self, frame: Frame) -> bool:
        """Write one frame; False where the sink is not there. Never raises."""
        with kept(self._lose):  # one sink never stops the others
            if self._sink is None:
                if self._backoff.remaining_s() > 0:
                    return False
                self._sink = self._reopen()
                self._name = self._sink.name
                _log.info("the sink is open again: %s", self._name)
            self._sink.write(frame)
            self._backoff.succeeded()
            self.error = None
            return True
        return False

    def close(self) -> None:
        """Close the sink. May be called twice. Raises what the sink's ``close`` raises."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._name = sink.name
            sink.close()

    def _become(self, sink: Sink, reopen: Callable[[], Sink]) -> None:
        before, self._sink, self._reopen = self._sink, sink, reopen
        self._name, self.error = sink.name, None
        self._backoff.clear()
        if before is not None:
            try:
                before.close()
            except LiveEditError as error:
                _log.warning("%s did not close: %s", before.name, error)

    def _lose(self, error: Exception) -> None:
        wait_s = self._backoff.failed()
        is_ours = isinstance(error, LiveEditError)
        self.error = str(error) if is_ours else f"{type(error).__name__}: {error}"
        _log.warning("%s is opened again in %g s: %s", self._name, wait_s, self.error)
        try:
            self.close()
        except LiveEditError as close_error:
            _log.warning("%s did not close: %s", self._name, close_error)
