"""A virtual camera where there is one, and always the preview; ``name`` says what is missing.

On Linux that is v4l2loopback, else PipeWire. The preview goes on when the camera fails, and the
cameras are tried again every few seconds, so one that is installed or freed meanwhile appears by
itself; that happens in a thread of its own, because to open a camera takes longer than a frame.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial

from liveedit_cam.errors import LiveEditError, SinkError, UsageError
from liveedit_cam.protocols import Sink, WatchedSink
from liveedit_cam.registry import open_sink
from liveedit_cam.sinks import preview
from liveedit_cam.types import Frame

log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Between two attempts to open a camera, counted in frames written."""

OpenSink = Callable[[], Sink]


def describe() -> str:
    """One line of help."""
    return "auto  the first virtual camera there is, and the preview page"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Open what there is. Raises UsageError on a target."""
    if target:
        raise UsageError(
            f"The sink auto takes no target, got {target!r}.",
            hint=f"Name the sink itself, such as virtual-camera:{target} or preview:{target}",
        )
    open_one = partial(open_sink, width=width, height=height, fps=fps)
    return Auto(
        open_camera=partial(open_first, [partial(open_one, kind) for kind in camera_kinds()]),
        preview=preview.Preview(width, height, fps),
        retry_writes=max(1, round(RETRY_S * fps)),
        executor=ThreadPoolExecutor(1, thread_name_prefix="auto-camera"),
    )


def camera_kinds(system: str = sys.platform) -> tuple[str, ...]:
    """Kinds of cameras to try in this order on ``system``, named as in ``sys.platform``.

    More programs list a v4l2loopback device than a PipeWire camera, so that comes first.
    """
    return ("virtual-camera", "pipewire") if system == "linux" else ("virtual-camera",)


def open_first(openers: Sequence[OpenSink]) -> Sink:
    """The first sink that opens. Raises SinkError with the reasons of all where none does."""
    reasons = []
    for open_one in openers:
        try:
            return open_one()
        except LiveEditError as error:
            reasons.append(str(error))
    raise SinkError(" Or: ".join(reasons))


class Auto:
    """Camera and preview as one Sink. All methods from one thread; ``name`` from any."""

    def __init__(
        self, *, open_camera: OpenSink, preview: Sink, retry_writes: int, executor: Executor
    ) -> None:
        """Try the camera at once, and again after each ``retry_writes`` frames without one.

        ``executor`` runs the later attempts and is shut down on ``close``.
        """
        self._open_camera = open_camera
        self._preview = preview
        self._retry_writes = retry_writes
        self._writes_to_retry = retry_writes
        self._executor = executor
        self._attempt: Future[Sink] | None = None
        self._camera: Sink | None = None
        self._missing = ""
        self._is_closed = False
        self.name = ""
        self._use(open_camera)

    def write(self, frame: Frame) -> None:
        """Write to both; only a failing preview is a failure."""
        if self._is_closed:
            raise SinkError("The sink auto is closed.")
        if self._camera is None:
            self._retry()
        if self._camera is not None:
            self._write_camera(self._camera, frame)
        self._preview.write(frame)

    def has_reader(self) -> bool:
        """Whether anybody reads the camera; one that cannot tell counts as read."""
        camera = self._camera
        return camera.has_reader() if isinstance(camera, WatchedSink) else camera is not None

    def close(self) -> None:
        """Close both. A camera that is just being opened is closed as soon as it is there."""
        if self._is_closed:
            return
        self._is_closed = True
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.add_done_callback(_close_result)
        self._executor.shutdown(wait=False)
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
        self._preview.close()

    def _retry(self) -> None:
        if self._attempt is None:
            self._writes_to_retry -= 1
            if self._writes_to_retry <= 0:
                self._attempt = self._executor.submit(self._open_camera)
        if self._attempt is not None and self._attempt.done():
            attempt, self._attempt = self._attempt, None
            self._use(attempt.result)

    def _use(self, result: OpenSink) -> None:
        """Take the camera that ``result`` gives, or note why there is none."""
        self._writes_to_retry = self._retry_writes
        try:
            self._camera = result()
        except LiveEditError as error:
            if str(error) != self._missing:
                log.info("no virtual camera: %s", error)
            self._lack_camera(str(error))
        else:
            self.name = f"{self._camera.name} + {self._preview.name}"
            log.info("virtual camera: %s", self._camera.name)

    def _lack_camera(self, reason: str) -> None:
        self._missing = reason
        self.name = f"{self._preview.name}; no virtual camera: {reason}"

    def _write_camera(self, camera: Sink, frame: Frame) -> None:
        try:
            camera.write(frame)
        except SinkError as error:
            log.warning("the virtual camera failed: %s", error)
            self._camera = None
            self._lack_camera(str(error))
            camera.close()


def _close_result(attempt: Future[Sink]) -> None:
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().close()
