"""What reading and writing video nodes of Linux share: their list, and the first question."""

from __future__ import annotations

import struct
from pathlib import Path

LOOPBACK_DRIVER = "v4l2 loopback"
"""What the driver of virtual cameras calls itself."""
QUERYCAP = 0x80685600
CAPABILITY = struct.Struct("=16s32s32sIII3I")
"""driver, card, bus, version, capabilities, device capabilities, reserved."""
SYSFS = Path("/sys/class/video4linux")


def text(raw: bytes) -> str:
    """A name out of an answer, which zeros fill up."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()


def nodes(sysfs: Path = SYSFS) -> list[Path]:
    """The folder of every video node in ``sysfs``, by number: "video2" before "video10"."""
    found = [entry for entry in sysfs.glob("video*") if entry.name[5:].isdigit()]
    return sorted(found, key=lambda entry: int(entry.name[5:]))
