"""The choice between cameras and the drawn scene."""

from __future__ import annotations

import pytest

from liveedit_cam.errors import SourceEnded, SourceError
from liveedit_cam.protocols import Source
from liveedit_cam.sources._camera_list import DeviceInfo
from liveedit_cam.sources.auto import first_working
from liveedit_cam.sources.pattern import Pattern

BUSY = DeviceInfo("/dev/video0", "Busy")
FREE = DeviceInfo("/dev/video2", "Free")
LOOPBACK = DeviceInfo("/dev/video9", "Loopback", is_virtual=True)


def open_camera(device: DeviceInfo, limit_s: float) -> Source:
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


def test_a_phone_behind_a_loopback_device_is_named_as_a_choice() -> None:
    """Catches "no camera was found" where a DSLR or a phone comes through one (issue 15)."""
    source = first_working([LOOPBACK], open_camera, open_pattern)
    assert "phone or a DSLR" in source.name
    assert '--source "camera:/dev/video9" (Loopback)' in source.name


def test_many_silent_devices_cost_twenty_seconds_together(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Catches 24 nodes that open and never deliver: 202 s, and silence meanwhile (issue 15)."""
    clock, limits = [0.0], []

    def silent(device: DeviceInfo, limit_s: float) -> Source:
        limits.append(limit_s)
        clock[0] += min(8.0, limit_s)
        raise SourceError(f"{device.name} sent no picture.")

    devices = [DeviceInfo(f"/dev/video{number}", f"Node {number}") for number in range(24)]
    source = first_working(devices, silent, open_pattern, now=lambda: clock[0])
    assert clock[0] == 20.0
    assert limits == [20.0, 12.0, 4.0]
    assert "21 more were not tried" in source.name
    assert [record.getMessage() for record in caplog.records] == [
        "Node 0 sent no picture. Trying Node 1.",
        "Node 1 sent no picture. Trying Node 2.",
    ]


def test_a_stop_is_not_taken_for_a_broken_camera() -> None:
    """Catches a stop while the first camera opens that goes on to the next one."""

    def stopped(device: DeviceInfo, limit_s: float) -> Source:
        raise SourceEnded("stopped")

    with pytest.raises(SourceEnded):
        first_working([BUSY, FREE], stopped, open_pattern)
