"""The virtual camera where there is one, and always the preview; ``name`` says what is missing.

The preview goes on when the camera fails, and the camera is tried again every few seconds, so one
that is installed or freed meanwhile appears by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from liveedit_cam.errors import LiveEditError, SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.registry import open_sink
from liveedit_cam.sinks import preview

if TYPE_CHECKING:
    from liveedit_cam.types import Frame

log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Between two attempts to open the virtual camera, counted in frames written."""


def describe() -> str:
    """One line of help."""
    return "auto  the virtual camera if there is one, and the preview page"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Open what there is. Raises UsageError on a target, SinkError where no port is free."""
    if target:
        raise UsageError(
            f"The sink auto takes no target, got {target!r}.",
            hint=f"Name the sink itself, such as virtual-camera:{target} or preview:{target}",
        )
    return Auto(
        open_camera=lambda: open_sink("virtual-camera", width=width, height=height, fps=fps),
        preview=_open_preview(width, height, fps),
        retry_writes=max(1, round(RETRY_S * fps)),
    )


class Auto:
    """Camera and preview as one Sink. All methods from one thread; ``name`` from any."""

    def __init__(
        self, *, open_camera: Callable[[], Sink], preview: Sink, retry_writes: int
    ) -> None:
        """``retry_writes``: after so many frames without a camera it is tried again."""
        self._open_camera = open_camera
        self._preview = preview
        self._retry_writes = retry_writes
        self._writes_to_retry = retry_writes
        self._missing = ""
        self._is_closed = False
        self.name = ""
        self.url = preview.url
        self._camera: Sink | None = None
        self._try_camera()

    def write(self, frame: Frame) -> None:
        """Write to both; only a failing preview is a failure."""
        if self._is_closed:
            raise SinkError("The sink auto is closed.")
        if self._camera is None:
            self._writes_to_retry -= 1
            if self._writes_to_retry <= 0:
                self._try_camera()
        if self._camera is not None:
            self._write_camera(self._camera, frame)
        self._preview.write(frame)

    def close(self) -> None:
        """Close both."""
        self._is_closed = True
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()
        self._preview.close()

    def _try_camera(self) -> None:
        self._writes_to_retry = self._retry_writes
        try:
            self._camera = self._open_camera()
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


def _open_preview(width: int, height: int, fps: float) -> Sink:
    """On the usual port; on any free one where that is taken."""
    try:
        return preview.Preview(preview.DEFAULT_PORT, width, height, fps)
    except SinkError as error:
        log.info("%s Any free port is taken instead.", error.message)
        return preview.Preview(0, width, height, fps)
