"""Write pictures into one v4l2loopback device of Linux. Knows ioctls, no labels and no advice.

The driver of many distributions (0.12) watches its writers badly: one that only calls write()
leaves a device that announces nothing; it takes two writers at once; it answers a size it cannot
give with another size. Here the stream is started, so that closing gives the device back even
when this program is killed; what others left is repaired; and every answer is compared.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.types import Pixels
from liveedit_cam.v4l2 import CAPABILITY, LOOPBACK_DRIVER, QUERYCAP, text

WATCH_S = 0.5
"""Pictures that stand still for so long have no writer: the slowest one sends two a second."""

FORMAT = struct.Struct(f"=I{struct.calcsize('P') - 4}x12I152x")
"""buffer type, then width, height, pixel format, field, bytes of a line and of a picture, colour
space, mark, flags, YCbCr encoding, quantization, transfer function."""
RATE = struct.Struct("=IIIIIII176x")
"""buffer type, capability, mode, seconds per frame (over, under), extended mode, buffers."""
STREAM = struct.Struct("=i")


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


SET_FORMAT = _request(3, 5, FORMAT.size)
SET_RATE = _request(3, 22, RATE.size)
STREAM_ON = _request(1, 18, STREAM.size)

CAN_CAPTURE, CAN_OUTPUT = 1, 2
_OUTPUT = 2
"""The buffer type of a writer."""
_NO_FIELDS = 1
_HAS_COLOURS = 0xFEEDCAFE
"""Mark that says the fields behind it are filled in."""
_SRGB, _BT601, _LIMITED_RANGE, _SRGB_CURVE = 8, 1, 2, 2
I420 = int.from_bytes(b"YU12", "little")

_CHROMA = np.array(
    [[-0.148223, -0.290993, 0.439216, 128.0], [0.439216, -0.367788, -0.071427, 128.0]], np.float32
)
"""RGB 0..255 to U and V of BT.601, limited range."""


class Device(Protocol):
    """An open video node. Every method raises OSError."""

    def ioctl(self, request: int, data: bytearray) -> None:
        """Ask; the answer is written into ``data``."""

    def lock(self) -> None:
        """Keep other runs of this program away; BlockingIOError where one is there already."""

    def read(self, num_bytes: int) -> bytes:
        """The next picture's first bytes; BlockingIOError where there is none yet."""

    def write(self, data: bytes) -> int:
        """Give one picture; the number of bytes taken."""

    def close(self) -> None:
        """Give the node back."""


OpenDevice = Callable[[str], Device]


class Node:
    """The real device, opened without waiting."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, request: int, data: bytearray) -> None:
        fcntl.ioctl(self._descriptor, request, data, True)

    def lock(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def read(self, num_bytes: int) -> bytes:
        return os.read(self._descriptor, num_bytes)

    def write(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def close(self) -> None:
        os.close(self._descriptor)


class WriterBusyError(Exception):
    """Another program writes to the device."""


class FormatLockedError(Exception):
    """A reader holds the device at another size or pixel format; the text says which."""


class NotLoopbackError(Exception):
    """The node belongs to another driver; the text is the driver's name."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a device announces at this moment."""

    driver: str
    label: str
    can_capture: bool
    """With ``exclusive_caps=1``: has a writer, or a reader still holds what one left."""
    can_output: bool
    """With ``exclusive_caps=1``: may be written to."""


def abilities(device: Device) -> Abilities:
    """Ask. Raises OSError where it is no video device."""
    data = bytearray(CAPABILITY.size)
    device.ioctl(QUERYCAP, data)
    driver, card, _, _, _, bits, *_ = CAPABILITY.unpack(data)
    return Abilities(text(driver), text(card), bool(bits & CAN_CAPTURE), bool(bits & CAN_OUTPUT))


class LoopbackWriter:
    """One device that this program writes to. All methods from one thread."""

    def __init__(
        self,
        path: str,
        width: int,
        height: int,
        fps: float,
        *,
        open_device: OpenDevice = Node,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make sure that nobody else writes, then set size and rate and start the stream.

        Raises OSError, WriterBusyError, FormatLockedError, NotLoopbackError.
        """
        self.path = path
        _take_over(path, open_device, pause)
        device = open_device(path)
        try:
            _lock(device)
            abilities(device)  # the old driver permits what it announced when last asked
            _set_format(device, width, height)
            _set_rate(device, fps)
            _start(device)
        except BaseException:
            device.close()
            raise
        self._device: Device | None = device

    def write(self, pixels: Pixels) -> None:
        """Send uint8 (H, W, 3) RGB of the size asked for. Raises OSError."""
        assert self._device is not None, f"{self.path} was closed"
        picture = to_i420(pixels).tobytes()
        num_taken = self._device.write(picture)
        if num_taken != len(picture):
            raise OSError(errno.EMSGSIZE, f"the driver took {num_taken} of {len(picture)} bytes")

    def close(self) -> None:
        """Give the device back; readers that stay keep the last picture. May be called twice."""
        device, self._device = self._device, None
        if device is not None:
            device.close()


def to_i420(pixels: Pixels) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), even sides, to planar YUV 4:2:0 of BT.601, limited range.

    Returns uint8 (H * 3 / 2, W): Y, then U and V averaged over 2 x 2 pixels.
    """
    height, width = pixels.shape[:2]
    half = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = cv2.transform(half, _CHROMA)  # (H/2, W/2, 2)
    picture = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2YUV_I420), np.uint8)
    planes = picture[height:].reshape(2, height // 2, width // 2)
    planes[0], planes[1] = chroma[..., 0], chroma[..., 1]  # its own skip 3 pixels of 4
    return picture


def _take_over(path: str, open_device: OpenDevice, pause: Callable[[float], None]) -> None:
    """Return once the device may be written to; repairs one whose last writer left it mute."""
    device = open_device(path)
    try:
        found = abilities(device)
        if found.driver != LOOPBACK_DRIVER:
            raise NotLoopbackError(found.driver)
        _lock(device)
        if found.can_output and not found.can_capture:
            return
        if _is_being_written(device, pause):
            raise WriterBusyError(path)
        if not found.can_output:
            _start(device)  # as its writer we close it, and closing makes it writable again
    finally:
        device.close()


def _lock(device: Device) -> None:
    try:
        device.lock()
    except BlockingIOError as error:
        raise WriterBusyError("this program, run a second time") from error


def _is_being_written(device: Device, pause: Callable[[float], None]) -> bool:
    """Watch whether new pictures come; those that wait already are skipped first."""
    for _ in range(3):
        if not _has_picture(device):
            break
    for _ in range(10):
        pause(WATCH_S / 10)
        if _has_picture(device):
            return True
    return False


def _has_picture(device: Device) -> bool:
    try:
        return bool(device.read(1))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EIO, errno.EINVAL, errno.EBUSY):
            return False  # none yet; or, with a newer driver, no stream to read from
        raise


def _set_format(device: Device, width: int, height: int) -> None:
    colours = (_SRGB, _HAS_COLOURS, 0, _BT601, _LIMITED_RANGE, _SRGB_CURVE)
    num_bytes = width * height * 3 // 2
    data = bytearray(
        FORMAT.pack(_OUTPUT, width, height, I420, _NO_FIELDS, width, num_bytes, *colours)
    )
    try:
        device.ioctl(SET_FORMAT, data)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise WriterBusyError("its format is taken") from error
        raise
    _, got_width, got_height, got_format, *_ = FORMAT.unpack(data)
    if (got_width, got_height, got_format) != (width, height, I420):
        code = got_format.to_bytes(4, "little").decode("ascii", "replace")
        raise FormatLockedError(f"{got_width}x{got_height} {code}")


def _set_rate(device: Device, fps: float) -> None:
    """Tell readers the rate; without it the driver says 30."""
    interval = 1 / Fraction(fps).limit_denominator(1001)
    data = bytearray(RATE.pack(_OUTPUT, 0, 0, interval.numerator, interval.denominator, 0, 0))
    device.ioctl(SET_RATE, data)


def _start(device: Device) -> None:
    try:
        device.ioctl(STREAM_ON, bytearray(STREAM.pack(_OUTPUT)))
    except OSError as error:
        # A driver from 0.13 on starts by itself at the first write. The old one refuses a device
        # that has no format yet, but has noted its writer by then, which is what a repair needs.
        if error.errno != errno.EINVAL:
            raise
