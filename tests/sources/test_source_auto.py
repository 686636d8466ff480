"""The choice between cameras and the drawn scene."""

from __future__ import annotations

from liveedit_cam.errors import SourceError
from liveedit_cam.protocols import Source
from liveedit_cam.sources.auto import first_working
from liveedit_cam.sources.camera import DeviceInfo
from liveedit_cam.sources.pattern import Pattern

BUSY = DeviceInfo("/dev/video0", "Busy")
FREE = DeviceInfo("/dev/video2", "Free")
LOOPBACK = DeviceInfo("/dev/video9", "Loopback", is_virtual=True)


def open_camera(device: DeviceInfo) -> Source:
    if device is BUSY:
        raise SourceError("camera /dev/video0 is in use.", hint="Close it.")
    source = Pattern(64, 36, realtime=False)
    source.name = f"camera:{device.device}"
    return source


def open_pattern() -> Source:
    return Pattern(64, 36, realtime=False)


def test_the_first_camera_that_opens_is_taken() -> None:
    """Catches giving up at a busy camera, and a loopback chosen before a lens."""
    assert first_working([LOOPBACK, BUSY, FREE], open_camera, open_pattern).name.endswith("video2")


def test_without_a_camera_the_scene_serves_and_says_why() -> None:
    """Catches a silent fallback: the user must learn that the camera was busy."""
    source = first_working([BUSY, LOOPBACK], open_camera, open_pattern)
    assert source.name.startswith("pattern")
    assert "in use" in source.name
    assert "no camera was found" in first_working([], open_camera, open_pattern).name
