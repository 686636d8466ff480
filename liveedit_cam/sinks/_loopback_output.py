"""The virtual camera of Linux: finds the device that was meant, and turns refusals into advice.

Joins ``_v4l2loopback`` (how to write) and ``_loopback_setup`` (what there is, what to do).
"""

from __future__ import annotations

import errno
import grp
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from liveedit_cam.errors import SinkError
from liveedit_cam.sinks import _loopback_setup as setup
from liveedit_cam.sinks._openings import Openings
from liveedit_cam.sinks._v4l2loopback import (
    FormatLockedError,
    LoopbackWriter,
    Node,
    NotLoopbackError,
    OpenDevice,
    WriterBusyError,
)
from liveedit_cam.types import Pixels

_log = logging.getLogger(__name__)


def check(root: Path = Path("/"), open_device: OpenDevice = Node) -> None:
    """Raise SinkError where no device of the driver can be opened here. Starts no stream."""
    devices = setup.loopbacks(root)
    if not devices:
        raise setup.no_device_error(setup.look(os.uname().release, root))
    refusals: list[SinkError] = []
    for device in setup.choose("", devices):
        try:
            open_device(device.path).close()
        except OSError as error:
            refusals.append(setup.os_error(device.path, error, group_of(device.path), devices))
        else:
            return
    raise refusals[0]


class LoopbackOutput:
    """One v4l2loopback device. All methods from one thread."""

    def __init__(
        self,
        target: str,
        width: int,
        height: int,
        fps: float,
        *,
        root: Path = Path("/"),
        open_device: OpenDevice = Node,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open the first device that fits ``target`` (label, path, number, "") and is free.

        ``root`` is where /sys, /proc and /lib are read. Raises SinkError.
        """
        self._root = root
        self._devices = setup.loopbacks(root)
        if not self._devices:
            raise setup.no_device_error(setup.look(os.uname().release, root))
        refusals: list[SinkError] = []
        for device in setup.choose(target, self._devices):
            self._path = device.path
            try:
                self._writer = LoopbackWriter(
                    device.path, width, height, fps, open_device=open_device, pause=pause
                )
            except (OSError, WriterBusyError, FormatLockedError, NotLoopbackError) as error:
                refusal = self._advice(error, f"{width}x{height} YU12")
                refusal.__cause__ = error
                refusals.append(refusal)
            else:
                self.title = f"{device.label} on {device.path}"
                self._openings = _watch(device.path, root)
                return
        raise refusals[0]

    def write(self, pixels: Pixels) -> None:
        """Send uint8 (H, W, 3) RGB. Raises SinkError."""
        try:
            self._writer.write(pixels)
        except OSError as error:
            raise self._advice(error, "") from error

    def has_reader(self) -> bool:
        """Whether another program has the device open; True where that cannot be told."""
        return self._openings is None or self._openings.is_open()

    def close(self) -> None:
        """Give the device back."""
        if self._openings is not None:
            self._openings.close()
        self._writer.close()

    def _advice(self, error: Exception, wanted: str) -> SinkError:
        path = self._path
        if isinstance(error, NotLoopbackError):
            return setup.not_loopback_error(path, str(error), self._devices)
        if isinstance(error, FormatLockedError):
            return setup.locked_error(path, wanted, str(error), self._holders())
        if not isinstance(error, OSError) or error.errno == errno.EBUSY:
            return setup.busy_error(path, self._holders())
        if error.errno == errno.ENOTTY:
            return setup.not_loopback_error(path, "none", self._devices)
        return setup.os_error(path, error, group_of(path), self._devices)

    def _holders(self) -> tuple[str, ...]:
        return setup.holders(self._path, self._root)


def _watch(path: str, root: Path) -> Openings | None:
    """Watch who opens the device; None where the system gives no more watches."""
    ours = f"({os.getpid()})"

    def look() -> bool:
        return any(not program.endswith(ours) for program in setup.holders(path, root))

    try:
        return Openings(path, look)
    except OSError as error:
        _log.info("who reads %s cannot be told: %s", path, error)
        return None


def group_of(path: str) -> str:
    """The group a node belongs to; its number where that has no name."""
    try:
        number = os.stat(path).st_gid
    except OSError:
        return "video"
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
