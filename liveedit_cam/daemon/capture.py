"""Frames from the source into the inbox and the raw slot; reopens a source that failed.

Knows no backend: a source is opened by the function it was given.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Lock

from liveedit_cam import pixels
from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.engine.backoff import Backoff
from liveedit_cam.errors import LiveEditError, SourceEnded
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame

_log = logging.getLogger(__name__)


class Capture:
    """One step reads one frame. ``step`` belongs to the capture thread; any thread may close.

    Lock: ``_lock``, over which source is open.
    """

    def __init__(
        self,
        source: Source,
        reopen: Callable[[], Source],
        size: tuple[int, int],
        inbox: FrameInbox,
        raw: Latest[Frame],
        *,
        board: Board,
        metrics: Metrics,
        stop: Event,
        now: Callable[[], float],
    ) -> None:
        """``size`` is the width and height of the sinks in pixels; every frame is fitted to it."""
        self._lock = Lock()
        self._source: Source | None = source
        self._reopen = reopen
        self._width, self._height = size
        self._inbox = inbox
        self._raw = raw
        self._board = board
        self._metrics = metrics
        self._stop = stop
        self._now = now
        self._backoff = Backoff(now)
        self._num_frames = 0
        self.ended = Event()
        """Set after the last frame of a source that has an end."""
        board.update(source=source.name)

    def step(self) -> bool:
        """Read one frame, or try to open the source again. Returns False at its end."""
        source = self._source
        if source is None:
            self._open_when_due()
            return True
        try:
            frame = source.read()
        except SourceEnded:
            self.ended.set()
            return False
        except LiveEditError as error:
            if not self._stop.is_set():
                self._lose(source, error)
            return True
        self._backoff.succeeded()
        self._hand_over(frame)
        return True

    def close(self) -> None:
        """Close the source, which wakes a waiting ``read``. May be called twice."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def _hand_over(self, frame: Frame) -> None:
        height, width = frame.pixels.shape[:2]
        fitted = replace(
            frame,
            pixels=pixels.fit(frame.pixels, self._width, self._height),
            index=self._num_frames,
            box=pixels.fitted_box(width, height, self._width, self._height),
        )
        self._num_frames += 1
        self._metrics.captured(self._now())
        self._raw.put(fitted)
        self._inbox.put(fitted)

    def _lose(self, source: Source, error: LiveEditError) -> None:
        wait_s = self._backoff.failed()
        _log.warning("the source is opened again in %g s: %s", wait_s, error)
        self._board.update(last_error=str(error), source=f"{source.name}, being reopened")
        self.close()

    def _open_when_due(self) -> None:
        self._stop.wait(self._backoff.remaining_s())
        if self._stop.is_set():
            return
        try:
            source = self._reopen()
        except LiveEditError as error:
            wait_s = self._backoff.failed()
            _log.info("the source cannot be opened, next try in %g s: %s", wait_s, error)
            self._board.update(last_error=str(error))
            return
        with self._lock:
            self._source = source
        _log.info("the source is open again: %s", source.name)
        self._board.update(source=source.name)
        if self._stop.is_set():
            self.close()
