"""Open a camera at the wanted size and rate, in the format that really delivers it.

What a driver says of size and rate is not believed: each format is read for a moment and measured.
Everything here may hang inside the driver, so the camera's own thread calls it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Protocol

import cv2

from liveedit_cam.errors import SourceError
from liveedit_cam.pacing import Now
from liveedit_cam.sources._camera_list import API, DeviceInfo

ASKED_WIDTH, ASKED_HEIGHT, ASKED_FPS = 1280, 720, 30.0
"""Where the caller says nothing of size and rate."""
MEASURE_S = 0.7
"""How long a format is watched: about twenty pictures at 30 per second."""
_FORMATS = ("MJPG", "YUYV")
"""MJPG first: raw HD does not fit through USB 2. After them the driver's own choice."""
_ENOUGH = 0.8
"""Share of the wanted rate and size at which no other format is tried; dim light takes some."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a camera, which gives what it can."""

    width: int = ASKED_WIDTH
    height: int = ASKED_HEIGHT
    fps: float = ASKED_FPS


class Capture(Protocol):
    """The part of ``cv2.VideoCapture`` used here; called by one thread."""

    def isOpened(self) -> bool: ...
    def read(self) -> tuple[bool, Any]: ...
    def get(self, propId: int, /) -> float: ...
    def release(self) -> None: ...


OpenCapture = Callable[[str, Wish, str | None], Capture]
"""Open the device of that path or index in that four-letter format, None = its own choice; what
is returned may say ``isOpened() == False``."""


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """An open capture and what it was seen to deliver."""

    capture: Capture
    fourcc: str | None
    newest: Any
    """BGR picture (H, W, 3)."""
    fps: float
    """Measured where it was watched, else what the driver says."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.newest.shape[:2]
        return width, height

    def score(self, wish: Wish) -> float:
        """Share of the wanted pixels per second, 0..1; more than wanted counts as wanted."""
        width, height = self.size
        pixels = min(1.0, width / wish.width) * min(1.0, height / wish.height)
        return pixels * min(1.0, self.fps / wish.fps)


class Refusal(Enum):
    """Why a format gave no picture."""

    NOT_OPEN = "not open"
    SILENT = "silent"


FirstPicture = Callable[[Capture], Any | None]
"""Wait for a picture of an open capture (BGR); None = given up. May raise SourceError."""


def open_best(
    device: DeviceInfo,
    wish: Wish,
    open_capture: OpenCapture,
    first_picture: FirstPicture,
    *,
    now: Now,
    measure_s: float,
) -> Delivery:
    """Try formats until one delivers what is wished; else the best of them, opened again.

    Raises SourceError where no format opens or delivers; nothing is left open then.
    """

    def attempt(fourcc: str | None) -> Delivery | Refusal:
        capture = open_capture(device.device, wish, fourcc)
        try:
            newest = first_picture(capture) if capture.isOpened() else None
            if newest is not None:
                return _measured(capture, fourcc, newest, wish, now, measure_s)
            refusal = Refusal.SILENT if capture.isOpened() else Refusal.NOT_OPEN
        except BaseException:
            capture.release()
            raise
        capture.release()
        return refusal

    best: Delivery | None = None
    refusals = []
    for fourcc in formats_of(device):
        found = attempt(fourcc)
        if isinstance(found, Refusal):
            refusals.append(found)
            continue
        if found.score(wish) >= _ENOUGH:
            return found
        found.capture.release()  # a camera opens once at a time
        if best is None or found.score(wish) > best.score(wish):
            best = found
    if best is not None:
        again = attempt(best.fourcc)
        if isinstance(again, Delivery):
            return again
        refusals.append(again)
    if Refusal.SILENT in refusals:
        raise silent_error(device, sys.platform)
    may_open = partial(os.access, mode=os.R_OK | os.W_OK)
    raise open_error(device, sys.platform, os.path.exists, may_open)


def formats_of(device: DeviceInfo) -> Iterator[str | None]:
    """What to try, in order: of the usual formats those it has, then its own choice."""
    yield from (name for name in _FORMATS if not device.formats or name in device.formats)
    yield None


def _measured(
    capture: Capture, fourcc: str | None, newest: Any, wish: Wish, now: Now, measure_s: float
) -> Delivery:
    """Read for ``measure_s`` seconds; the driver's word on the rate counts where it fits."""
    said = capture.get(cv2.CAP_PROP_FPS)
    fps = said if 1 <= said <= 240 else wish.fps
    began, num_pictures = now(), 0
    while (watched_s := now() - began) < measure_s:
        ok, picture = capture.read()
        if ok:
            newest, num_pictures = picture, num_pictures + 1
    if measure_s > 0 and not 0.85 <= num_pictures / watched_s / fps <= 1.15:
        fps = round(num_pictures / watched_s, 1)
    return Delivery(capture, fourcc, newest, fps)


def open_with_opencv(device: str, wish: Wish, fourcc: str | None) -> Capture:
    """Open ``device`` (path or index); silent on failure, of which ``isOpened`` tells."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    source: int | str = int(device) if device.isdecimal() else device
    api = API.get(sys.platform, cv2.CAP_ANY)
    code = None if fourcc is None else cv2.VideoWriter.fourcc(*fourcc)
    if sys.platform == "win32" and code is not None:  # here it only counts while opening
        capture = cv2.VideoCapture(source, api, [cv2.CAP_PROP_FOURCC, code])
    else:
        capture = cv2.VideoCapture(source, api)
        if code is not None:
            capture.set(cv2.CAP_PROP_FOURCC, code)  # before the size, which depends on it
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, wish.width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wish.height)
    capture.set(cv2.CAP_PROP_FPS, wish.fps)
    return capture


def open_error(
    device: DeviceInfo,
    system: str,
    exists: Callable[[str], bool],
    may_open: Callable[[str], bool],
) -> SourceError:
    """Why ``device`` could not be opened: absent, no permission, or in use."""
    shown = label(device)
    if device.device.startswith("/") and not exists(device.device):
        return SourceError(f"There is no camera at {device.device}.", hint="Check its cable.")
    if device.device.startswith("/") and not may_open(device.device):
        return SourceError(
            f"This user may not open {shown}.",
            hint='Run: sudo usermod -aG video "$USER"  and log in again.',
        )
    return SourceError(
        f"{shown} could not be opened; it may be in use by another program.",
        hint=busy_hint(device.device, system),
    )


def silent_error(device: DeviceInfo, system: str) -> SourceError:
    """``device`` opened and delivers nothing."""
    return SourceError(
        f"{label(device)} opened but sent no picture.", hint=busy_hint(device.device, system)
    )


def busy_hint(device: str, system: str) -> str:
    """How to free a camera that others may hold."""
    if system == "darwin":
        return "Allow it in System Settings, Privacy & Security, Camera; quit other camera apps."
    if system == "win32":
        return "Allow it in Settings, Privacy, Camera; quit other camera programs."
    return f"Close the program that uses it; this names it: fuser -v {device}"


def label(device: DeviceInfo) -> str:
    """The camera in a message."""
    same = device.name == device.device
    return f"camera {device.device}" if same else f"camera {device.device} ({device.name})"
