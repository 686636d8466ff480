"""The driver v4l2loopback 0.12 as the tests need it: its gaps, and its traces in /sys and /proc."""

from __future__ import annotations

import errno
from pathlib import Path

from liveedit_cam.sinks import _v4l2loopback as v4l2
from liveedit_cam.sinks._loopback_setup import Loopback

DEVICES = (
    Loopback("/dev/video8", "Dummy video device (0x0000)"),
    Loopback("/dev/video9", "LiveEdit"),
    Loopback("/dev/video10", "LiveEdit 2"),
)


class FakeDriver:
    """One device node with ``exclusive_caps=1``; hands out openers."""

    def __init__(self, *, driver: str = v4l2.LOOPBACK_DRIVER) -> None:
        self.driver = driver
        self.is_readable = False
        self.is_writable = True
        self.openers: list[FakeOpener] = []
        self.num_opened = 0
        self.lock_holder: FakeOpener | None = None
        self.format: tuple[int, ...] = ()
        self.rate: tuple[int, int] = (0, 0)
        self.pictures: list[bytes] = []
        self.refusal: OSError | None = None
        """Raised by every open and write."""
        self.num_bytes_taken: int | None = None
        """What write() answers; None = all."""
        self.permitted = 0
        """Abilities told last, by which the kernel decides about SET_FORMAT."""

    def open(self, path: str) -> FakeOpener:
        if self.refusal is not None:
            raise self.refusal
        self.num_opened += 1
        opener = FakeOpener(self)
        self.openers.append(opener)
        return opener

    def announced(self) -> int:
        return v4l2.CAN_CAPTURE * self.is_readable + v4l2.CAN_OUTPUT * self.is_writable


class FakeOpener:
    """One open file of the device."""

    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver
        self._is_writer = False
        self._num_read = 0

    def ioctl(self, request: int, data: bytearray) -> None:
        driver = self._driver
        if request == v4l2.QUERYCAP:
            driver.permitted = driver.announced()
            name = driver.driver.encode()
            data[:] = v4l2.CAPABILITY.pack(name, b"LiveEdit", b"", 0, 0, driver.permitted, 0, 0, 0)
        elif request == v4l2.SET_FORMAT:
            self._set_format(data)
        elif request == v4l2.SET_RATE:
            driver.rate = v4l2.RATE.unpack(data)[3:5]
        else:
            assert request == v4l2.STREAM_ON, hex(request)
            self._is_writer = True
            driver.is_writable = False
            if not driver.format:
                raise OSError(errno.EINVAL, "no format yet")
            driver.is_readable = True

    def lock(self) -> None:
        if self._driver.lock_holder is not None:
            raise BlockingIOError
        self._driver.lock_holder = self

    def read(self, num_bytes: int) -> bytes:
        if self._num_read >= len(self._driver.pictures):
            raise BlockingIOError(errno.EAGAIN, "no picture")
        self._num_read = len(self._driver.pictures)
        return self._driver.pictures[-1][:num_bytes]

    def write(self, data: bytes) -> int:
        driver = self._driver
        if driver.refusal is not None:
            raise driver.refusal
        driver.is_readable, driver.is_writable = True, False
        driver.pictures.append(data)
        return len(data) if driver.num_bytes_taken is None else driver.num_bytes_taken

    def close(self) -> None:
        driver = self._driver
        driver.openers.remove(self)
        if driver.lock_holder is self:
            driver.lock_holder = None
        if not driver.openers:
            driver.is_readable, driver.format, driver.pictures = False, (), []
        if self._is_writer:
            driver.is_writable = True

    def _set_format(self, data: bytearray) -> None:
        driver = self._driver
        if not driver.permitted:
            raise OSError(errno.EINVAL, "neither a reader nor a writer")
        if driver.is_readable:
            data[:] = v4l2.FORMAT.pack(*driver.format)
        driver.format = v4l2.FORMAT.unpack(data)


def tree(root: Path, devices: tuple[Loopback, ...] = DEVICES) -> Path:
    """A /sys below ``root`` with these devices and one webcam."""
    for device in devices:
        folder = root / "sys/class/video4linux" / Path(device.path).name
        folder.mkdir(parents=True)
        (folder / "name").write_text(device.label + "\n")
        (folder / "max_openers").touch()
    webcam = root / "sys/class/video4linux/video0"
    webcam.mkdir(parents=True)
    (webcam / "name").write_text("HD Webcam\n")
    return root


def hold(root: Path, number: int, name: str, path: str) -> None:
    """A process below ``root`` that has ``path`` open."""
    (root / f"proc/{number}/fd").mkdir(parents=True)
    (root / f"proc/{number}/comm").write_text(name + "\n")
    (root / f"proc/{number}/fd/3").symlink_to(path)
