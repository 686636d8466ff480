"""Webcams through OpenCV: find them, open one, notice when it dies. The only file that opens one.

A thread of its own drains the driver, so ``read`` can give up on a camera that hangs inside the
library, and always gets the newest picture. Pictures are RGB as soon as they leave this file.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from liveedit_cam.errors import SourceEnded, SourceError
from liveedit_cam.pacing import Now
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

ASKED_WIDTH, ASKED_HEIGHT, ASKED_FPS = 1280, 720, 30.0
NO_FRAME_S = 3.0
"""A camera that delivers nothing for so long has stalled."""
SAME_BYTES_S = 5.0
"""A sensor's noise changes every picture; the very same bytes for so long mean a frozen driver."""
FIRST_FRAME_S = 8.0
"""Some cameras need seconds to start."""
_RETRY_S = 0.05
_PLUG_IN = "Plug it in again."
_PROBED_INDICES = 5
"""Where the system offers no list, indices 0..4 are tried."""
_OWN_NAME = "liveedit"
"""Part of the label of our own virtual camera, which must not become our source."""


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` used here; called by one thread after opening."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def get(self, propId: int, /) -> float: ...
    def release(self) -> None: ...


OpenCapture = Callable[[str], Capture]
"""Open the device of that path or index; what it returns may say ``isOpened() == False``."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One camera as the user sees it listed."""

    device: str
    """What goes behind ``camera:``, such as "/dev/video0" or "0"."""
    name: str
    sizes: tuple[tuple[int, int], ...] = ()
    """(width, height) in pixels, largest first; empty where the system does not tell."""
    is_virtual: bool = False
    """Another program's output, not a lens."""


def describe() -> str:
    """One line of help."""
    return "camera[:INDEX|/dev/videoN|NAME]  a webcam; nothing = the first one found"


def create(target: str, *, loop: bool, realtime: bool) -> Source:
    """Open a camera; ``loop`` and ``realtime`` mean nothing to one. Raises SourceError."""
    return Camera(choose(target, list_devices()))


def list_devices() -> tuple[DeviceInfo, ...]:
    """All cameras of this computer, without our own virtual one."""
    devices = _linux_devices() if sys.platform == "linux" else _probed_devices(open_with_opencv)
    return tuple(device for device in devices if _OWN_NAME not in device.name.lower())


def choose(target: str, devices: Sequence[DeviceInfo]) -> DeviceInfo:
    """The camera a user meant by index, path or name. Raises SourceError where there is none.

    A path or index that is not listed is returned as it is: opening it tells more.
    """
    if not target:
        lenses = [device for device in devices if not device.is_virtual]
        if lenses:
            return lenses[0]
        raise SourceError("No camera was found.", hint=_no_camera_hint(devices))
    wanted = target
    if target.isdigit() and sys.platform == "linux":
        wanted = f"/dev/video{int(target)}"
    for device in devices:
        if device.device == wanted:
            return device
    if wanted.isdigit() or wanted.startswith("/"):
        return DeviceInfo(device=wanted, name=wanted)
    return _by_name(target, devices)


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
        *,
        open_capture: OpenCapture | None = None,
        now: Now = time.monotonic,
        no_frame_s: float = NO_FRAME_S,
        first_frame_s: float = FIRST_FRAME_S,
    ) -> None:
        """Open and wait for the first picture, which alone says the true size. SourceError."""
        self._device = device
        self._now = now
        self._no_frame_s = no_frame_s
        self._watch = StillWatch()
        self._arrived = threading.Condition()  # guards the five below
        self._newest: tuple[Any, float] | None = None  # BGR picture, seconds
        self._failure: SourceError | None = None
        self._closed = False
        self._index = 0
        self._capture = (open_capture or open_with_opencv)(device.device)
        if not self._capture.isOpened():
            self._capture.release()
            may_open = partial(os.access, mode=os.R_OK | os.W_OK)
            raise open_error(device, sys.platform, os.path.exists, may_open)
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 1 <= fps <= 240 else ASKED_FPS
        self._thread = threading.Thread(target=self._drain, name="camera", daemon=True)
        self._thread.start()
        self.width, self.height = self._first_size(first_frame_s)
        size = f"{self.width}x{self.height}"
        self.name = f"camera:{device.device} ({device.name}, {size} at {self.fps:g} fps)"
        self.spec = f"camera:{device.name}"

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
        """End a waiting ``read``; the draining thread frees the device when its call returns."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=1.0)

    def _first_size(self, limit_s: float) -> tuple[int, int]:
        with self._arrived:
            self._arrived.wait_for(self._has_news, timeout=limit_s)
            newest, failure = self._newest, self._failure
        if newest is not None:
            height, width = newest[0].shape[:2]
            return width, height
        self.close()
        if failure is not None:
            raise failure
        raise SourceError(
            f"{_label(self._device)} opened but sent no picture for {limit_s:g} s.",
            hint=_busy_hint(self._device.device, sys.platform),
        )

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

    def _drain(self) -> None:
        """The thread: keep the newest picture until closed, unplugged or broken."""
        try:
            while not self._closed:
                ok, bgr = self._capture.read()
                if ok:
                    with self._arrived:
                        self._newest = (bgr, self._now())
                        self._arrived.notify_all()
                elif self._is_gone():
                    raise SourceError(f"{_label(self._device)} was unplugged.", hint=_PLUG_IN)
                else:
                    with self._arrived:
                        self._arrived.wait_for(lambda: self._closed, timeout=_RETRY_S)
        except Exception as error:  # noqa: BLE001 - kept, and raised by the next read
            with self._arrived:
                self._failure = _as_source_error(error, self._device)
                self._arrived.notify_all()
        finally:
            self._capture.release()

    def _is_gone(self) -> bool:
        return self._device.device.startswith("/") and not os.path.exists(self._device.device)


def open_with_opencv(device: str) -> Capture:
    """Open ``device`` (path or index) and ask for MJPG, 1280x720 at 30 fps; silent on failure."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    source: int | str = int(device) if device.isdigit() else device
    mjpg = cv2.VideoWriter.fourcc(*"MJPG")
    if sys.platform == "win32":  # here the format only counts while opening
        capture = cv2.VideoCapture(source, cv2.CAP_DSHOW, [cv2.CAP_PROP_FOURCC, mjpg])
    else:
        capture = cv2.VideoCapture(source, _API.get(sys.platform, cv2.CAP_ANY))
        capture.set(cv2.CAP_PROP_FOURCC, mjpg)  # first: raw HD does not fit through USB 2
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, ASKED_WIDTH)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, ASKED_HEIGHT)
    capture.set(cv2.CAP_PROP_FPS, ASKED_FPS)
    return capture


_API = {"linux": cv2.CAP_V4L2, "darwin": cv2.CAP_AVFOUNDATION}


def open_error(
    device: DeviceInfo,
    system: str,
    exists: Callable[[str], bool],
    may_open: Callable[[str], bool],
) -> SourceError:
    """Why ``device`` could not be opened: absent, no permission, or in use."""
    label = _label(device)
    if device.device.startswith("/") and not exists(device.device):
        return SourceError(f"There is no camera at {device.device}.", hint="Check its cable.")
    if device.device.startswith("/") and not may_open(device.device):
        return SourceError(
            f"This user may not open {label}.",
            hint='Run: sudo usermod -aG video "$USER"  and log in again.',
        )
    return SourceError(
        f"{label} could not be opened; it may be in use by another program.",
        hint=_busy_hint(device.device, system),
    )


def _as_source_error(error: Exception, device: DeviceInfo) -> SourceError:
    if isinstance(error, SourceError):
        return error
    failure = SourceError(f"{_label(device)} failed: {error}.", hint=_PLUG_IN)
    failure.__cause__ = error
    return failure


def _busy_hint(device: str, system: str) -> str:
    if system == "darwin":
        return "Allow it in System Settings, Privacy & Security, Camera; quit other camera apps."
    if system == "win32":
        return "Allow it in Settings, Privacy, Camera; quit other camera programs."
    return f"Close the program that uses it; this names it: fuser -v {device}"


def _label(device: DeviceInfo) -> str:
    same = device.name == device.device
    return f"camera {device.device}" if same else f"camera {device.device} ({device.name})"


def _by_name(target: str, devices: Sequence[DeviceInfo]) -> DeviceInfo:
    wanted = target.lower()
    exact = [device for device in devices if device.name.lower() == wanted]
    found = exact or [device for device in devices if wanted in device.name.lower()]
    if len(found) == 1:
        return found[0]
    if exact:
        return exact[0]  # one camera often has two nodes of one name; the first is the picture
    listed = ", ".join(f"{device.device} ({device.name})" for device in found or devices)
    problem = "Several cameras match" if found else "No camera matches"
    raise SourceError(f"{problem} {target!r}.", hint=f"Choose one of: {listed or 'none found'}.")


def _no_camera_hint(devices: Sequence[DeviceInfo]) -> str:
    if devices:
        virtual = ", ".join(f"camera:{device.device} ({device.name})" for device in devices)
        return f"Only virtual ones are there; name one to use it: {virtual}."
    return "Plug one in, or start with another source: pattern, screen or file:clip.mp4."


def _linux_devices() -> tuple[DeviceInfo, ...]:
    from liveedit_cam.sources import _v4l2  # needs fcntl, which other systems lack

    devices = []
    for path, name in _v4l2.device_names():
        try:
            node = _v4l2.query_path(path)
        except OSError:  # busy or not ours to open: listed all the same, opening says why
            devices.append(DeviceInfo(device=path, name=name or path))
            continue
        if node.is_capture:
            label = name or node.name or path
            devices.append(DeviceInfo(path, label, node.sizes, node.is_virtual))
    return tuple(devices)


def _probed_devices(open_capture: OpenCapture) -> tuple[DeviceInfo, ...]:
    devices = []
    for index in range(_PROBED_INDICES):
        capture = open_capture(str(index))
        if capture.isOpened():
            width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
            height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
            devices.append(DeviceInfo(str(index), f"Camera {index}", ((width, height),)))
        capture.release()
    return tuple(devices)


def _same(one: Pixels, other: Pixels) -> bool:
    """Equal bytes; a sparse look first, because pictures of a live camera nearly always differ."""
    return np.array_equal(one[::16, ::16], other[::16, ::16]) and np.array_equal(one, other)
