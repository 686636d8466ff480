"""Frames from the source: full size to the compositor and the raw slot, a small copy to the engine.

Reopens a source that failed. Knows no backend: a source is opened by the function it was given.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Lock

from liveedit_cam import pixels
from liveedit_cam.backoff import Backoff
from liveedit_cam.daemon.mailbox import FrameInbox, Latest, Shot, WorkBox
from liveedit_cam.daemon.run import Run
from liveedit_cam.errors import LiveEditError, SourceEnded
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame, ModelFrame, ModelSize, Region

MIN_SIDE_PX = 16
"""A strip between bars that is thinner is no picture to a model: then the bars are edited, too."""
MODEL_WAIT_S = 0.1
"""Longest wait for the model before looking whether the run has ended."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where captured frames go."""

    raw: Latest[Frame]
    inbox: FrameInbox
    work: WorkBox
    model_size: Latest[ModelSize]
    """How large the editor wants small copies; empty before it is loaded."""
    notify: Callable[[], None]
    """Called after a small copy was put into the inbox."""


class Capture:
    """One step reads one frame. ``step`` belongs to the capture thread; any thread may close.

    Lock: ``_lock``, over which source is open.
    """

    def __init__(
        self,
        source: Source,
        reopen: Callable[[], Source],
        size: tuple[int, int],
        outputs: Outputs,
        run: Run,
        *,
        may_begin: Event | None,
        wanted: Event,
    ) -> None:
        """``size`` is the width and height of the sinks in pixels; every frame is fitted to it.

        ``may_begin``: a source that can wait is not read before it is set; None = one that cannot.
        The source is closed while ``wanted`` is not set, and opened again when it is.
        Sets ``run.ends.source`` after the last frame of a source that has an end.
        """
        self._lock = Lock()
        self._source: Source | None = source
        self._reopen = reopen
        self._width, self._height = size
        self._outputs = outputs
        self._may_begin = may_begin
        self._wanted = wanted
        self._ended, self._stop = run.ends.source, run.stop
        self._board, self._metrics, self._now = run.board, run.metrics, run.now
        self._backoff = Backoff(run.now)
        self._num_frames = 0
        self._num_taken = 0
        self._small_sizes: dict[tuple[ModelSize, int, int], tuple[int, int]] = {}
        self._board.update(source=source.name)

    def step(self) -> bool:
        """Read one frame, or try to open the source again. Returns False at its end."""
        if self._may_begin is not None and not self._may_begin.wait(MODEL_WAIT_S):
            return True
        if not self._wanted.is_set():
            self._rest()
            return True
        source = self._source
        if source is None:
            self._open_when_due()
            return True
        try:
            frame = source.read()
        except SourceEnded:
            if source is not self._source:  # it was closed for another one
                return True
            self._ended.set()
            return False
        except LiveEditError as error:
            if source is self._source and not self._stop.is_set():
                self._lose(source, error)
            return True
        self._backoff.succeeded()
        if source is self._source:  # else it was closed meanwhile, or another one was taken
            self._hand_over(frame)
        return True

    def take(self, source: Source) -> None:
        """Read from another source from now on; the one before is closed. Any thread."""
        with self._lock:
            before, self._source = self._source, source
        if before is not None:
            before.close()
        self._num_taken += 1
        self._backoff.clear()
        self._board.fault("source", None)
        self._board.update(source=source.name)

    def close(self) -> None:
        """Close the source, which wakes a waiting ``read``. May be called twice."""
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()

    def _rest(self) -> None:
        """Give the device back, its light with it, until somebody watches again."""
        source = self._source
        if source is not None:
            self.close()
            self._board.update(
                source=f"{source.name}, at rest: nobody watches, or the screen is locked"
            )
        self._wanted.wait(MODEL_WAIT_S)

    def _hand_over(self, frame: Frame) -> None:
        status = self._board.status()
        placed, box = pixels.place(
            frame.pixels, self._width, self._height, status.fit, mirror=status.mirror
        )
        fitted = replace(frame, pixels=placed, index=self._num_frames, box=box)
        self._num_frames += 1
        self._metrics.captured(self._now())
        out = self._outputs
        out.raw.put(fitted)
        model_size = out.model_size.get()
        small = None if model_size is None else self._shrunk(fitted, model_size)
        out.work.put_shot(Shot(fitted, small, (status.fit, status.mirror, self._num_taken)))
        if small is not None:
            out.inbox.put(small)
            out.notify()

    def _shrunk(self, frame: Frame, model_size: ModelSize) -> ModelFrame:
        """The picture between the bars as large as the model wants it."""
        picture, part, box = frame.pixels, None, frame.box
        is_all = box is None or (box.width, box.height) == (self._width, self._height)
        if box is not None and not is_all and min(box.width, box.height) >= MIN_SIDE_PX:
            picture = picture[box.y : box.y + box.height, box.x : box.x + box.width]
            part = Region(
                box.x / self._width,
                box.y / self._height,
                box.width / self._width,
                box.height / self._height,
            )
        height, width = picture.shape[:2]
        key = (model_size, width, height)
        if key not in self._small_sizes:
            self._small_sizes = {key: model_size.of(width, height)}
        small = pixels.shrink(picture, *self._small_sizes[key])
        return ModelFrame(small, frame.index, frame.captured_at, part)

    def _lose(self, source: Source, error: LiveEditError) -> None:
        wait_s = self._backoff.failed()
        _log.warning("the source is opened again in %g s: %s", wait_s, error)
        self._board.fault("source", str(error))
        self._board.update(source=f"{source.name}, being reopened")
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
            self._board.fault("source", str(error))
            return
        with self._lock:
            self._source = source
        _log.info("the source is open again: %s", source.name)
        self._board.fault("source", None)
        self._board.update(source=source.name)
        if self._stop.is_set():
            self.close()
