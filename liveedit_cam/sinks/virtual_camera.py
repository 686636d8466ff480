"""A camera other programs can select: v4l2loopback on Linux, pyvirtualcam on the other systems.

The only file that imports pyvirtualcam. Linux has a writer of its own, because that library only
prints writes that fail, leaves a device of the driver 0.12 unusable behind, and does not look
whether it got the size it asked for. Its pacing is not used either: it bursts after a stall.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Protocol

import numpy as np

from liveedit_cam.errors import SinkError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_even, check_size
from liveedit_cam.sinks._other_systems import Choice, LibraryOutput, choose
from liveedit_cam.sinks._other_systems import check as check_installed
from liveedit_cam.types import Frame, Pixels


class Output(Protocol):
    """An open device. All methods from one thread."""

    title: str
    """For people: "LiveEdit on /dev/video9"."""

    def write(self, pixels: Pixels) -> None:
        """Send uint8 (H, W, 3) RGB. Raises SinkError."""

    def has_reader(self) -> bool:
        """Whether a program has it open; True where that cannot be told. Any thread."""

    def close(self) -> None:
        """Give the device back. Called once."""


def describe() -> str:
    """One line of help."""
    return (
        "virtual-camera[:NAME|DEVICE]  a camera for Zoom, Meet, OBS; nothing = the first one free"
    )


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Open the device. Raises SinkError with what to install or to change."""
    return VirtualCamera(target, width, height, fps)


def probe(names: Collection[str]) -> str | None:
    """Why no virtual camera can be used here; None where one can. Starts no stream.

    ``names`` are those of all cameras, by which the other systems than Linux tell.
    """
    try:
        if sys.platform == "linux":
            from liveedit_cam.sinks import _loopback_output  # exists on Linux only

            _loopback_output.check()
        else:
            check_installed(names, sys.platform)
    except SinkError as error:
        return str(error)
    return None


class VirtualCamera:
    """One virtual camera. All methods from one thread."""

    def __init__(
        self, target: str, width: int, height: int, fps: float, *, backend: str | None = None
    ) -> None:
        """Open ``target``, or with "" the first usable device.

        ``backend`` is one of pyvirtualcam's; None takes what this system has. Raises SinkError.
        """
        check_even(width, height, "A virtual camera")
        self._output: Output | None = _open_output(target, width, height, fps, backend)
        self.name = f"virtual-camera:{self._output.title} ({width}x{height} at {fps:g} fps)"
        self._size = (width, height)

    def write(self, frame: Frame) -> None:
        """Send one frame."""
        if self._output is None:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        self._output.write(np.ascontiguousarray(frame.pixels))

    def has_reader(self) -> bool:
        """Whether a program has it open."""
        output = self._output
        return output is not None and output.has_reader()

    def close(self) -> None:
        """Give the device back."""
        output, self._output = self._output, None
        if output is not None:
            output.close()


def _open_output(target: str, width: int, height: int, fps: float, backend: str | None) -> Output:
    if sys.platform == "linux" and backend is None:
        from liveedit_cam.sinks._loopback_output import LoopbackOutput  # exists on Linux only

        return LoopbackOutput(target, width, height, fps)
    import pyvirtualcam  # here, because Linux does without it
    from pyvirtualcam.camera import BACKENDS

    choice = Choice(target or None, backend) if backend else choose(target, BACKENDS)
    return LibraryOutput(pyvirtualcam.Camera, choice, width, height, fps, system=sys.platform)
