"""Ask Linux which cameras exist: names from sysfs, abilities by ioctl. Opens no stream.

Only the read-only questions QUERYCAP and ENUM_FMT, FRAMESIZES, FRAMEINTERVALS of the V4L2
interface; none of them changes a device or disturbs a program that uses it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.v4l2 import CAPABILITY, LOOPBACK_DRIVER, QUERYCAP, SYSFS, nodes, text

Ioctl = Callable[[int, bytearray], bool]
"""(request, buffer filled in place) -> False where the driver has no such entry."""

ENUM_FMT = 0xC0405602
ENUM_FRAMESIZES = 0xC02C564A
ENUM_FRAMEINTERVALS = 0xC034564B

FORMAT = struct.Struct("=III32sI4I")
"""index, buffer type, flags, description, pixel format, media bus code, reserved."""
FRAME_SIZE = struct.Struct("=III6I2I")
"""index, pixel format, type, width and height (or a range of six numbers), reserved."""
FRAME_INTERVAL = struct.Struct("=IIIII2I4I2I")
"""index, pixel format, width, height, type, seconds per frame as a fraction (or a range of three),
reserved."""

_CAN_CAPTURE = 0x00000001 | 0x00001000
_HAS_DEVICE_CAPABILITIES = 0x80000000
_BUFFER_TYPES = (1, 9)
"""Capture, and capture with several planes."""
_SIZE_DISCRETE = 1
_MAX_ENTRIES = 128
"""Bound for both lists; a driver that never ends its list is not followed further."""


@dataclass(frozen=True, slots=True)
class Node:
    """What one /dev/videoN says of itself."""

    name: str
    sizes: tuple[tuple[int, int], ...]
    """(width, height) in pixels, largest first; empty where the driver lists none."""
    formats: tuple[str, ...]
    """Four-letter codes of its pixel formats; empty where it lists none."""
    is_capture: bool
    is_virtual: bool
    """A loopback device: another program's output, perhaps our own."""
    bus: str
    """Where it is plugged in; the nodes of one camera have the same."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What a driver promises in one pixel format."""

    fourcc: str
    width: int
    height: int
    fps: float


def device_paths(sysfs: Path = SYSFS) -> tuple[str, ...]:
    """``"/dev/video0"`` and so on for every video node, by number."""
    return tuple(f"/dev/{node.name}" for node in nodes(sysfs))


def device_name(path: str, sysfs: Path = SYSFS) -> str:
    """What the driver calls the node at ``path``; empty where the system does not tell."""
    try:
        name = sysfs / Path(path).name / "name"
        return name.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def query_path(path: str) -> Node:
    """Ask the device at ``path``. Raises OSError where it cannot be opened or is no V4L2 device."""
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return query(_ioctl_on(descriptor))
    finally:
        os.close(descriptor)


def query(ioctl: Ioctl) -> Node:
    """Ask an open device. Raises OSError where it does not answer QUERYCAP."""
    buffer = bytearray(CAPABILITY.size)
    if not ioctl(QUERYCAP, buffer):
        raise OSError(errno.ENOTTY, "not a video device")
    driver, card, bus, _, capabilities, device_capabilities, *_ = CAPABILITY.unpack(buffer)
    if capabilities & _HAS_DEVICE_CAPABILITIES:
        capabilities = device_capabilities
    is_capture = bool(capabilities & _CAN_CAPTURE)
    return Node(
        name=text(card),
        sizes=_frame_sizes(ioctl) if is_capture else (),
        formats=_format_codes(ioctl) if is_capture else (),
        is_capture=is_capture,
        is_virtual=text(driver) == LOOPBACK_DRIVER,
        bus=text(bus),
    )


def query_rates(path: str, width: int, height: int) -> tuple[Rate, ...]:
    """For each pixel format the size nearest to the wanted one, and its highest rate.

    Raises OSError where the device cannot be opened; a driver that lists no rates gives ().
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        return rates(_ioctl_on(descriptor), width, height)
    finally:
        os.close(descriptor)


def rates(ioctl: Ioctl, width: int, height: int) -> tuple[Rate, ...]:
    """As ``query_rates``, of an open device."""
    found = []
    for code in _pixel_formats(ioctl):
        sizes = list(_sizes_of(ioctl, code))
        if not sizes:
            continue
        nearest = min(sizes, key=lambda size: abs(size[0] - width) + abs(size[1] - height))
        fps = max(_fps_of(ioctl, code, *nearest), default=0.0)
        if fps:
            found.append(Rate(_four_letters(code), *nearest, round(fps, 1)))
    return tuple(found)


def _fps_of(ioctl: Ioctl, pixel_format: int, width: int, height: int) -> Iterator[float]:
    for index in range(_MAX_ENTRIES):
        buffer = bytearray(FRAME_INTERVAL.pack(index, pixel_format, width, height, *[0] * 9))
        if not ioctl(ENUM_FRAMEINTERVALS, buffer):
            return
        _, _, _, _, kind, over, under, *_ = FRAME_INTERVAL.unpack(buffer)
        if over:
            yield under / over
        if kind != _SIZE_DISCRETE:  # one range, which begins with the shortest interval
            return


def _format_codes(ioctl: Ioctl) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_four_letters, _pixel_formats(ioctl))))


def _four_letters(code: int) -> str:
    """The name of a pixel format: four letters, and -BE where the highest bit says big-endian."""
    letters = (code & 0x7FFFFFFF).to_bytes(4, "little").decode("ascii", "replace").strip()
    return f"{letters}-BE" if code >> 31 else letters


def _frame_sizes(ioctl: Ioctl) -> tuple[tuple[int, int], ...]:
    sizes = {size for code in _pixel_formats(ioctl) for size in _sizes_of(ioctl, code)}
    return tuple(sorted(sizes, key=lambda size: (-size[0] * size[1], size)))


def _pixel_formats(ioctl: Ioctl) -> Iterator[int]:
    for buffer_type in _BUFFER_TYPES:
        for index in range(_MAX_ENTRIES):
            buffer = bytearray(FORMAT.pack(index, buffer_type, 0, b"", 0, 0, 0, 0, 0))
            if not ioctl(ENUM_FMT, buffer):
                break
            yield FORMAT.unpack(buffer)[4]


def _sizes_of(ioctl: Ioctl, pixel_format: int) -> Iterator[tuple[int, int]]:
    for index in range(_MAX_ENTRIES):
        buffer = bytearray(FRAME_SIZE.pack(index, pixel_format, *[0] * 9))
        if not ioctl(ENUM_FRAMESIZES, buffer):
            return
        _, _, kind, *numbers = FRAME_SIZE.unpack(buffer)
        if kind != _SIZE_DISCRETE:  # one range: min, max, step of the width, then of the height
            yield numbers[1], numbers[4]
            return
        yield numbers[0], numbers[1]


def _ioctl_on(descriptor: int) -> Ioctl:
    def call(request: int, buffer: bytearray) -> bool:
        try:
            fcntl.ioctl(descriptor, request, buffer, True)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY, errno.ENODATA):
                return False
            raise
        return True

    return call
