"""A camera other programs can select, through pyvirtualcam. The only file that imports it.

Its own pacing is never used: it bursts after a stall, and the present loop paces already. Knows
the ways in which each operating system lacks a virtual camera, and says what to install.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyvirtualcam

from liveedit_cam.errors import SinkError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_even, check_size

if TYPE_CHECKING:
    from liveedit_cam.types import Frame

_MODULE = Path("/sys/module/v4l2loopback")
_OS_RELEASE = Path("/etc/os-release")
_LOAD_MODULE = 'sudo modprobe v4l2loopback exclusive_caps=1 card_label="LiveEdit"'
_INSTALL_MODULE = {
    "debian": "sudo apt install v4l2loopback-dkms",
    "fedora": "sudo dnf install akmod-v4l2loopback  (from RPM Fusion)",
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
_FAMILY = {"ubuntu": "debian", "rhel": "fedora", "opensuse": "suse", "opensuse-leap": "suse"}


def describe() -> str:
    """One line of help."""
    return "virtual-camera[:DEVICE]  a camera for Zoom, Meet, OBS; nothing = the first usable one"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Open the device. Raises SinkError with what to install or to change."""
    return VirtualCamera(target, width, height, fps)


def probe() -> str | None:
    """Why no virtual camera can be used here; None where one can. Opens and closes it once."""
    try:
        VirtualCamera("", 1280, 720, 30.0).close()
    except SinkError as error:
        return str(error)
    return None


class VirtualCamera:
    """One virtual camera. All methods from one thread."""

    def __init__(
        self, target: str, width: int, height: int, fps: float, *, backend: str | None = None
    ) -> None:
        """``target`` "" takes the first usable device; ``backend`` None tries all there are."""
        check_even(width, height, "A virtual camera")
        try:
            self._camera: pyvirtualcam.Camera | None = pyvirtualcam.Camera(
                width, height, fps, device=target or None, backend=backend
            )
        except RuntimeError as error:
            raise open_error(target, str(error), sys.platform, _MODULE.exists()) from error
        self._device = str(self._camera.device)
        self.name = f"virtual-camera:{self._device} ({width}x{height} at {fps:g} fps)"
        self.url: str | None = None
        self._size = (width, height)
        self._writes_per_check = max(1, round(fps))
        self._num_writes = 0

    def write(self, frame: Frame) -> None:
        """Send one frame; about once a second also look whether the device is still there."""
        if self._camera is None:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        if self._num_writes % self._writes_per_check == 0:
            self._check_device()
        self._num_writes += 1
        try:
            self._camera.send(np.ascontiguousarray(frame.pixels))
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkError(f"{self.name} does not take frames any more: {error}.") from error

    def close(self) -> None:
        """Give the device back."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def _check_device(self) -> None:
        # On Linux a failing write is only printed by the library, so the node itself is watched.
        if os.path.isabs(self._device) and not os.path.exists(self._device):
            raise SinkError(f"{self._device} has disappeared.", hint=f"Load it: {_LOAD_MODULE}")


def open_error(target: str, reason: str, system: str, is_module_loaded: bool) -> SinkError:
    """Turn pyvirtualcam's ``reason`` into what happened and what to do on ``system``.

    ``system`` as in ``sys.platform``; ``is_module_loaded`` only matters on Linux.
    """
    device = target or "a virtual camera"
    message = f"Cannot open {device}: {' '.join(reason.split())}"
    if system == "win32":
        return SinkError(message, hint=_windows_hint(reason))
    if system == "darwin":
        return SinkError(
            message,
            hint="Install OBS Studio 30 or newer, click Start Virtual Camera in it once, approve "
            "its camera extension in System Settings, click Stop Virtual Camera; sometimes the Mac "
            "must be restarted.",
        )
    return _linux_error(target, reason, message, is_module_loaded)


def _linux_error(target: str, reason: str, message: str, is_module_loaded: bool) -> SinkError:
    if "missing permissions" in reason:
        return SinkError(
            f"This user may not write to {target or 'the virtual camera'}: "
            "it is not in the group 'video'.",
            hint='Run: sudo usermod -aG video "$USER"  and log in again.',
        )
    if not is_module_loaded:
        return SinkError(
            "There is no virtual camera: the kernel module v4l2loopback is not loaded.",
            hint=f"Run: {install_command(_read(_OS_RELEASE))}  and then: {_LOAD_MODULE}",
        )
    if "not a video output device" in reason or "No v4l2 loopback device" in reason:
        return SinkError(
            f"No virtual camera is free: {target or 'every loopback device'} has a writer already.",
            hint="Stop that program, or add a device: sudo v4l2loopback-ctl add -n LiveEdit",
        )
    if "does not exist" in reason:
        return SinkError(f"There is no device {target}.", hint="See: ls /dev/video*")
    return SinkError(message, hint="Close the programs that use it; its format may be locked.")


def _windows_hint(reason: str) -> str:
    if "could not be started" in reason:
        return "Stop the virtual camera inside OBS; only one program at a time can feed it."
    return "Install OBS Studio 26 or newer, or Unity Capture, and start this program again."


def install_command(os_release: str) -> str:
    """How to install v4l2loopback on the distribution that ``os_release`` (the file) describes."""
    pairs = (line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    fields = {key: value.strip().strip("\"'") for key, value in pairs}
    for name in [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]:
        family = _FAMILY.get(name, name)
        if family in _INSTALL_MODULE:
            return _INSTALL_MODULE[family]
    return "install the package v4l2loopback of your distribution"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
