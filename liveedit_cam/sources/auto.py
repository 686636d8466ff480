"""The first camera that works, else the drawn scene; ``name`` says which and why.

Knows the two other sources, no device itself.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from liveedit_cam.errors import SourceEnded, SourceError, UsageError
from liveedit_cam.pacing import Now
from liveedit_cam.protocols import Source
from liveedit_cam.sources import camera, pattern
from liveedit_cam.sources._camera_list import DeviceInfo, no_camera_hint
from liveedit_cam.sources._camera_open import ASKED_FPS, ASKED_HEIGHT, ASKED_WIDTH, Wish
from liveedit_cam.sources.camera import FIRST_FRAME_S, OPEN_S

OpenCamera = Callable[[DeviceInfo, float], Source]
"""Open a camera that sends its first picture within so many seconds. Raises SourceError."""

_log = logging.getLogger(__name__)


def describe() -> str:
    """One line of help."""
    return "auto  the first camera that works, else the drawn scene"


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
    """Try every camera in turn, each asked as by ``camera``; 20 s in all.

    Raises UsageError where a target is given, SourceEnded where it was stopped.
    """
    if target:
        raise UsageError(
            f"The source auto takes no target, got {target!r}.",
            hint=f"Name the source itself, such as camera:{target}",
        )
    wish = Wish(width, height, fps)

    def open_camera(device: DeviceInfo, limit_s: float) -> Source:
        first_s = min(FIRST_FRAME_S, limit_s)
        return camera.Camera(device, wish, stop=stop, first_frame_s=first_s, open_s=limit_s)

    return first_working(
        camera.list_devices(), open_camera, lambda: pattern.Pattern(realtime=realtime)
    )


def first_working(
    devices: Sequence[DeviceInfo],
    open_camera: OpenCamera,
    open_pattern: Callable[[], Source],
    *,
    now: Now = time.monotonic,
) -> Source:
    """The first of ``devices`` that opens; virtual cameras are left out, ours may be among them.

    After ``OPEN_S`` seconds no other one is tried. A stop (SourceEnded) is passed on.
    """
    until = now() + OPEN_S
    reasons = []
    lenses = [device for device in devices if not device.is_virtual]
    for number, device in enumerate(lenses):
        left_s = until - now()
        if left_s <= 0:
            reasons.append(f"{len(lenses) - number} more were not tried after {OPEN_S:g} s.")
            break
        if reasons:
            _log.warning("%s Trying %s.", reasons[-1], device.name)  # each may take seconds
        try:
            return open_camera(device, left_s)
        except SourceEnded:
            raise
        except SourceError as error:
            reasons.append(error.message)
    source = open_pattern()
    if not lenses:
        virtual = f". {no_camera_hint(devices)}" if devices else ""
        reasons.append(f"no camera was found{virtual}")
    source.name = f"{source.name}, because {' '.join(reasons)}"
    return source
