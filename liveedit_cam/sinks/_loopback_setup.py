"""Which v4l2loopback devices Linux has, which one was meant, and what to do where one is refused.

Reads /sys, /proc and /lib/modules below a root that the caller may give; opens no device.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.distribution import install_command
from liveedit_cam.errors import SinkError
from liveedit_cam.v4l2 import nodes

LABEL = "LiveEdit"
"""How our device is called in call programs, where the module was loaded as our hints say."""

OPTIONS = f'exclusive_caps=1 card_label="{LABEL}"'
"""Of the module; without exclusive_caps Chrome does not list the device."""
LOAD_MODULE = f"sudo modprobe v4l2loopback {OPTIONS}"
UNLOAD_MODULE = "sudo modprobe -r v4l2loopback"
_ADD_DEVICE = f"sudo v4l2loopback-ctl add -n {LABEL}  (from 0.13; else load it with devices=2)"
_SIGN_MODULE = (
    "Secure Boot is on: if that says 'Key was rejected by service', the module is not signed with "
    "a key this computer knows; run: sudo mokutil --import /var/lib/dkms/mok.pub, restart, choose "
    "Enroll MOK, and load it again"
)
INSTALL_MODULE = {
    "debian": "sudo apt install v4l2loopback-dkms linux-headers-$(uname -r)",
    "fedora": "sudo dnf install akmod-v4l2loopback  (from RPM Fusion)",
    "arch": "sudo pacman -S v4l2loopback-dkms linux-headers",
    "suse": "sudo zypper install v4l2loopback-kmp-default",
}
_BUILD_MODULE = "dkms status v4l2loopback; sudo dkms autoinstall"
_NOT_BUILDABLE = (
    "If it does not build: the kernel's headers may be missing, or the module is older than the "
    "kernel; take a newer one (0.15 or later) from https://github.com/v4l2loopback/v4l2loopback, "
    "or do without it: --sink pipewire"
)
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


@dataclass(frozen=True, slots=True)
class Loopback:
    """One device of the driver."""

    path: str
    """Such as "/dev/video9"."""
    label: str
    """What call programs list."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How far the kernel module has come on this computer."""

    is_installed: bool
    """Built for the kernel that runs."""
    is_built_elsewhere: bool
    """Installed, but only as sources or for other kernels: it could not be built for this one."""
    is_loaded: bool
    is_secure_boot: bool
    """The kernel takes signed modules only."""
    install_command: str
    release: str = ""
    """Of the kernel that runs; "" = unknown."""

    @property
    def needs_key(self) -> bool:
        """Whether it can only be loaded once it is signed with a key that this computer knows."""
        return self.is_secure_boot and not self.is_loaded


@dataclass(frozen=True, slots=True)
class Lack:
    """Why there is no device of the driver, and what makes one."""

    what: str
    """What the module is, as "installed, but not loaded"."""
    commands: tuple[str, ...]
    """In this order, as people type them; the first may be words where the system is unknown."""
    otherwise: str = ""
    """What else to do where they fail; "" = nothing is known."""
    in_short: str = ""
    """What the module is where a line must be short; "" = ``what`` is short."""


def loopbacks(root: Path = Path("/")) -> tuple[Loopback, ...]:
    """All devices of the driver, by number."""
    return tuple(
        Loopback(f"/dev/{node.name}", _read(node / "name").strip())
        for node in nodes(root / "sys/class/video4linux")
        if (node / "max_openers").exists()  # only this driver has it
    )


def choose(target: str, devices: Sequence[Loopback]) -> tuple[Loopback, ...]:
    """The devices to try, in order, for a label, a path, a number, or "" (any, ours first).

    Raises SinkError where a label fits none or several. A path is not looked up.
    """
    if not target:
        return tuple(sorted(devices, key=lambda device: LABEL not in device.label))
    path = f"/dev/video{int(target)}" if target.isdecimal() else target
    if path.startswith("/"):
        real = os.path.realpath(path)
        labels = [device.label for device in devices if device.path == real]
        return (Loopback(path, labels[0] if labels else path),)
    wanted = target.lower()
    found = [device for device in devices if device.label.lower() == wanted]
    found = found or [device for device in devices if wanted in device.label.lower()]
    if len(found) == 1:
        return (found[0],)
    problem = "Several virtual cameras are" if found else "No virtual camera is"
    raise SinkError(
        f"{problem} called {target!r}; there are: {listed(found or devices)}.",
        hint="Name one of these, or its path, behind virtual-camera:",
    )


def listed(devices: Sequence[Loopback]) -> str:
    """The devices in one line, for messages."""
    return ", ".join(f"{device.label} ({device.path})" for device in devices)


def look(release: str, root: Path = Path("/")) -> Setup:
    """Read how far the module has come; ``release`` as ``uname -r`` says it."""
    built_for = {
        folder.name
        for folder in (root / "lib/modules").glob("*")
        if "/v4l2loopback.ko" in _read(folder / "modules.dep")
    }
    has_sources = any((root / "usr/src").glob("v4l2loopback-*"))
    is_installed = release in built_for
    return Setup(
        is_installed=is_installed,
        is_built_elsewhere=not is_installed and (bool(built_for) or has_sources),
        is_loaded=(root / "sys/module/v4l2loopback").exists(),
        is_secure_boot=_read(root / SECURE_BOOT).endswith("\x01"),
        install_command=install_command(
            INSTALL_MODULE,
            "install the package v4l2loopback of your distribution",
            _read(root / "etc/os-release"),
        ),
        release=release,
    )


def lack(setup: Setup) -> Lack:
    """Why this computer has no virtual camera at all, where it has none."""
    if setup.is_loaded:
        return Lack("loaded, but has no device", (UNLOAD_MODULE, LOAD_MODULE))
    if setup.is_installed:
        return Lack("installed, but not loaded", (LOAD_MODULE,))
    if setup.is_built_elsewhere:
        what = "installed, but not built for the kernel"
        short = f"{what} {setup.release}"
        return Lack(f"{what} that runs", (_BUILD_MODULE, LOAD_MODULE), _NOT_BUILDABLE, short)
    what = "not loaded, and not installed for the kernel that runs"
    return Lack(what, (setup.install_command, LOAD_MODULE), in_short="not installed")


def no_device_error(setup: Setup) -> SinkError:
    """The lack as an error, with all its commands in one hint."""
    found = lack(setup)
    sign = _SIGN_MODULE if setup.needs_key else ""
    first = "Run: " + "  and then: ".join(found.commands)
    return SinkError(
        f"The kernel module v4l2loopback, which makes virtual cameras, is {found.what}.",
        hint=". ".join(part for part in (first, sign, found.otherwise) if part),
    )


def os_error(path: str, error: OSError, group: str, devices: Sequence[Loopback]) -> SinkError:
    """Why opening or writing ``path`` failed; ``group`` is the one the node belongs to."""
    if isinstance(error, PermissionError):
        return SinkError(
            f"This user may not write to {path}: it belongs to the group {group!r}.",
            hint=f'Run: sudo usermod -aG {group} "$USER"  and log in again.',
        )
    if error.errno == errno.ENOENT:
        return SinkError(f"There is no device {path}; there are: {listed(devices)}.")
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return SinkError(
            f"The virtual camera {path} has disappeared.", hint=f"Load it again: {LOAD_MODULE}"
        )
    reason = error.strerror or str(error)
    return SinkError(
        f"The virtual camera {path} failed: {reason}.",
        hint="Close the programs that read it, and see: sudo dmesg | tail",
    )


def busy_error(path: str, programs: Sequence[str]) -> SinkError:
    """Another program writes to ``path``."""
    return SinkError(
        f"Another program writes to {path} already; it is held by {_named(programs)}.",
        hint=f"Stop that program, name another device, or add one: {_ADD_DEVICE}",
    )


def locked_error(path: str, wanted: str, got: str, programs: Sequence[str]) -> SinkError:
    """A reader keeps ``path`` at another size; ``wanted`` and ``got`` such as "640x360 YU12"."""
    return SinkError(
        f"{path} stays at {got} as long as a program reads it, expected {wanted}; it is held by "
        f"{_named(programs)}.",
        hint="Close that program's picture and try again, or run at that size: --width, --height.",
    )


def not_loopback_error(path: str, driver: str, devices: Sequence[Loopback]) -> SinkError:
    """``path`` is a real camera or something else."""
    return SinkError(
        f"{path} is no virtual camera but a device of the driver {driver!r}; there are: "
        f"{listed(devices)}.",
        hint="Name one of these behind virtual-camera:",
    )


def holders(path: str, root: Path = Path("/")) -> tuple[str, ...]:
    """The programs that have ``path`` open, as "ffmpeg (1234)"; other users' stay unseen."""
    real = os.path.realpath(path)
    processes = [entry for entry in (root / "proc").glob("[0-9]*") if _holds(entry, real)]
    processes.sort(key=lambda entry: int(entry.name))
    return tuple(f"{_read(entry / 'comm').strip()} ({entry.name})" for entry in processes)


def _holds(process: Path, path: str) -> bool:
    try:
        return any(os.readlink(link) == path for link in (process / "fd").iterdir())
    except OSError:  # ended meanwhile, or another user's
        return False


def _named(programs: Sequence[str]) -> str:
    return ", ".join(programs) or "a program of another user"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
