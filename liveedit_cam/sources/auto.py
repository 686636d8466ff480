"""The first camera that works, else the drawn scene; ``name`` says which and why.

Knows the two other sources, no device itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from liveedit_cam.errors import SourceError, UsageError
from liveedit_cam.protocols import Source
from liveedit_cam.sources import camera, pattern
from liveedit_cam.sources.camera import DeviceInfo


def describe() -> str:
    """One line of help."""
    return "auto  the first camera that works, else the drawn scene"


def create(target: str, *, loop: bool, realtime: bool) -> Source:
    """Try every camera in turn. Raises UsageError where a target is given."""
    if target:
        raise UsageError(
            f"The source auto takes no target, got {target!r}.",
            hint=f"Name the source itself, such as camera:{target}",
        )
    return first_working(
        camera.list_devices(), camera.Camera, lambda: pattern.Pattern(realtime=realtime)
    )


def first_working(
    devices: Sequence[DeviceInfo],
    open_camera: Callable[[DeviceInfo], Source],
    open_pattern: Callable[[], Source],
) -> Source:
    """The first of ``devices`` that opens; virtual cameras are left out, ours may be among them."""
    reasons = []
    for device in devices:
        if device.is_virtual:
            continue
        try:
            return open_camera(device)
        except SourceError as error:
            reasons.append(error.message)
    source = open_pattern()
    source.name = f"{source.name}, because {' '.join(reasons) or 'no camera was found'}"
    return source
