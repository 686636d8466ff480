"""A webcam as a source: drained and watched. ``_camera_list`` finds it, ``_camera_open`` opens it.

A thread of its own opens and drains the driver, so that nobody waits for one that hangs inside the
library, and ``read`` always gets the newest picture. Pictures are RGB as soon as they leave this
file.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import Any

import cv2
import numpy as np

from liveedit_cam.errors import SourceEnded, SourceError, kept
from liveedit_cam.pacing import Now
from liveedit_cam.protocols import Source
from liveedit_cam.sources._camera_list import DeviceInfo, find, list_devices
from liveedit_cam.sources._camera_open import (
    ASKED_FPS,
    ASKED_HEIGHT,
    ASKED_WIDTH,
    MEASURE_S,
    Capture,
    Delivery,
    OpenCapture,
    Wish,
    label,
    open_best,
    open_with_opencv,
    silent_error,
)
from liveedit_cam.types import Frame, Pixels

__all__ = ["Camera", "DeviceInfo", "StillWatch", "Wish", "create", "describe", "list_devices"]

log = logging.getLogger(__name__)

NO_FRAME_S = 3.0
"""A camera that delivers nothing for so long has stalled."""
SAME_BYTES_S = 5.0
"""A sensor's noise changes every picture; the very same bytes for so long mean a frozen driver."""
FIRST_FRAME_S = 8.0
"""Some cameras need seconds to start."""
OPEN_S = 20.0
"""Limit for finding the best format of a camera that does deliver."""
_TELL_S = 1.5
"""After so long without a picture the user is told what is waited for."""
_FORMAT_S = 3.0
"""A format whose reads only fail is left after so long."""
_LOOK_S = 0.1
"""Longest reaction to a stop while a camera opens."""
_RETRY_S = 0.05
_PLUG_IN = "Plug it in again."


def describe() -> str:
    """One line of help."""
    return "camera[:INDEX|/dev/videoN|NAME]  a webcam; nothing = the first one found"


def create(
    target: str,
    *,
    loop: bool,
    realtime: bool,
    width: int = ASKED_WIDTH,
    height: int = ASKED_HEIGHT,
    fps: float = ASKED_FPS,
    stop: threading.Event | None = None,
) -> Source:
    """Open a camera, asked for ``width`` x ``height`` pixels at ``fps``, which it may not have.

    ``loop`` and ``realtime`` mean nothing to one; ``stop`` ends the wait for its first picture.
    Raises SourceError, and SourceEnded where it was stopped.
    """
    return Camera(find(target), Wish(width, height, fps), stop=stop)


class StillWatch:
    """Notices a driver that repeats one picture. Used by the reading thread only."""

    def __init__(self, limit_s: float = SAME_BYTES_S) -> None:
        """``limit_s`` in seconds of identical pictures."""
        self._limit_s = limit_s
        self._last: Pixels | None = None
        self._since = 0.0

    def is_frozen(self, pixels: Pixels, at: float) -> bool:
        """Whether every picture since ``limit_s`` before ``at`` (seconds) was this very one."""
        if self._last is None or not _same(self._last, pixels):
            self._last, self._since = pixels, at
            return False
        return at - self._since >= self._limit_s


class Camera:
    """One open camera as a Source."""

    def __init__(
        self,
        device: DeviceInfo,
        wish: Wish | None = None,
        *,
        open_capture: OpenCapture = open_with_opencv,
        stop: threading.Event | None = None,
        now: Now = time.monotonic,
        no_frame_s: float = NO_FRAME_S,
        first_frame_s: float = FIRST_FRAME_S,
        open_s: float = OPEN_S,
        measure_s: float = MEASURE_S,
    ) -> None:
        """Open and wait for the first picture, which alone says the true size.

        ``first_frame_s`` limits the wait for any picture, ``open_s`` that for the best format, in
        which each is watched for ``measure_s``. Raises SourceError, SourceEnded on ``stop``.
        """
        self._device, self._wish = device, wish or Wish()
        self._open_capture = open_capture
        self._now = now
        self._no_frame_s, self._measure_s = no_frame_s, measure_s
        self._watch = StillWatch()
        self._arrived = threading.Condition()  # guards the six below
        self._newest: tuple[Any, float] | None = None  # BGR picture, seconds
        self._delivers = False  # any format gave a picture
        self._opened: Delivery | None = None
        self._failure: SourceError | None = None
        self._closed = False
        self._index = 0
        self._thread = threading.Thread(target=self._work, name="camera", daemon=True)
        self._thread.start()
        try:
            opened = self._await_open(stop or threading.Event(), first_frame_s, open_s)
        except BaseException:
            self._give_up()
            raise
        self.width, self.height = opened.size
        self.fps = opened.fps
        size = f"{self.width}x{self.height}"
        self.name = f"camera:{device.device} ({device.name}, {size} at {self.fps:g} fps)"
        self.spec = f"camera:{device.target}"

    def read(self) -> Frame:
        """Wait for the next picture."""
        bgr, captured_at = self._take()
        if not self._device.is_virtual and self._watch.is_frozen(bgr, self._now()):
            raise SourceError(
                f"{self.name} has sent the very same picture for {SAME_BYTES_S:g} s.",
                hint="Open its shutter, or unplug it and plug it in again.",
            )
        index, self._index = self._index, self._index + 1
        return Frame(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), index, captured_at)

    def close(self) -> None:
        """End a waiting ``read``; the camera's thread frees the device when its call returns."""
        self._give_up()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)

    def _give_up(self) -> None:
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()

    def _await_open(self, stop: threading.Event, first_frame_s: float, open_s: float) -> Delivery:
        """What the thread opened. Waits in short steps, so that Ctrl-C and ``stop`` count."""
        began, is_told = time.monotonic(), False
        with self._arrived:
            while self._opened is None and self._failure is None:
                waited_s = time.monotonic() - began
                limit_s = open_s if self._delivers else first_frame_s
                if stop.is_set():
                    raise SourceEnded(f"Opening {label(self._device)} was stopped.")
                if waited_s >= limit_s:
                    raise silent_error(self._device, sys.platform)
                if waited_s >= _TELL_S and not is_told:
                    is_told = True
                    log.warning(
                        "%s: no picture yet, waiting up to %.0f s", label(self._device), limit_s
                    )
                self._arrived.wait(_LOOK_S)
            if self._opened is None:
                assert self._failure is not None, "the loop ends with one of the two"
                raise self._failure
            return self._opened

    def _take(self) -> tuple[Any, float]:
        with self._arrived:
            self._arrived.wait_for(self._has_news, timeout=self._no_frame_s)
            if self._closed:
                raise SourceEnded(f"{self.name} was closed.")
            if self._newest is not None:
                newest, self._newest = self._newest, None
                return newest
            if self._failure is not None:
                raise self._failure
        raise SourceError(
            f"{self.name} has sent no picture for {self._no_frame_s:g} s.",
            hint="Unplug it and plug it in again, or choose another source.",
        )

    def _has_news(self) -> bool:
        return self._closed or self._newest is not None or self._failure is not None

    def _work(self) -> None:
        """The thread: open, then keep the newest picture until closed, unplugged or broken."""
        with kept(self._fail):
            opened = open_best(
                self._device,
                self._wish,
                self._open_capture,
                self._first_picture,
                now=self._now,
                measure_s=self._measure_s,
            )
            with self._arrived:
                self._opened, self._newest = opened, (opened.newest, self._now())
                self._arrived.notify_all()
            self._drain(opened.capture)

    def _fail(self, error: Exception) -> None:
        """Keep it for the next read to raise."""
        with self._arrived:
            self._failure = _as_source_error(error, self._device)
            self._arrived.notify_all()

    def _drain(self, capture: Capture) -> None:
        try:
            while not self._closed:
                ok, bgr = capture.read()
                if ok:
                    with self._arrived:
                        self._newest = (bgr, self._now())
                        self._arrived.notify_all()
                else:
                    self._rest_after_failed_read()
        finally:
            capture.release()

    def _first_picture(self, capture: Capture) -> Any | None:
        """The first that comes; None where reads have failed for long. SourceEnded once closed."""
        began = self._now()
        while self._now() - began < _FORMAT_S:
            if self._closed:
                raise SourceEnded(f"Opening {label(self._device)} was given up.")
            ok, bgr = capture.read()
            if ok:
                with self._arrived:
                    self._delivers = True
                return bgr
            self._rest_after_failed_read()
        return None

    def _rest_after_failed_read(self) -> None:
        """Wait a little. Raises SourceError where the device is gone."""
        if self._device.device.startswith("/") and not os.path.exists(self._device.device):
            raise SourceError(f"{label(self._device)} was unplugged.", hint=_PLUG_IN)
        with self._arrived:
            self._arrived.wait_for(lambda: self._closed, timeout=_RETRY_S)


def _as_source_error(error: Exception, device: DeviceInfo) -> SourceError:
    if isinstance(error, SourceError):
        return error
    failure = SourceError(f"{label(device)} failed: {error}.", hint=_PLUG_IN)
    failure.__cause__ = error
    return failure


def _same(one: Pixels, other: Pixels) -> bool:
    """Equal bytes; a sparse look first, because pictures of a live camera nearly always differ."""
    return np.array_equal(one[::16, ::16], other[::16, ::16]) and np.array_equal(one, other)
