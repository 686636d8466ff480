"""Checks of the real cameras: is there one, may we open it, who has it, what does it give."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from liveedit_cam.errors import LiveEditError
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding, Fix, fail, ok, warn
from liveedit_cam.sinks._loopback_setup import holders

if TYPE_CHECKING:
    from liveedit_cam.sources.camera import DeviceInfo

CHECK = "camera"
_VIDEO_CLASS = "0e"
"""What a USB interface says that carries a camera."""
_SLOW_SHARE = 0.8
"""Below this share of the wanted rate a camera is called slow."""


def cameras(computer: Computer) -> Iterator[Finding]:
    """One line for each camera, the one that ``auto`` takes first."""
    if computer.daemon is not None:
        yield ok(CHECK, f"in use by the liveedit-cam that runs: {computer.daemon.source}")
        return
    try:
        found = computer.cameras()
    except LiveEditError as error:
        yield fail(CHECK, str(error), Fix("pip install cv2-enumerate-cameras"))
        return
    lenses = [device for device in found if not device.is_virtual]
    if not any(not device.is_infrared for device in lenses):
        yield _no_camera(computer, lenses)
    names = Counter(device.name for device in lenses)
    for number, device in enumerate(lenses):
        twin = ", one of several of that name: name it by its path" * (names[device.name] > 1)
        yield _one(computer, device, twin, is_taken=number == 0 and not device.is_infrared)


def _no_camera(computer: Computer, lenses: Sequence[DeviceInfo]) -> Finding:
    usb = (computer.root / "sys/bus/usb/devices").glob("*/bInterfaceClass")
    if computer.system == "linux" and not lenses:
        plugged = [path for path in usb if path.read_text().strip() == _VIDEO_CLASS]
        if plugged:
            return fail(
                CHECK,
                "a USB camera is plugged in, but the kernel's driver for it is not loaded",
                Fix(computer.sudo("modprobe uvcvideo")),
            )
    what = "there is only an infrared camera, which sees no colours" if lenses else "there is none"
    return warn(
        CHECK,
        f"{what}; until one is plugged in, the drawn scene is shown",
        Fix('liveedit-cam run --source pattern "make it night"', is_certain=False),
    )


def _one(computer: Computer, device: DeviceInfo, twin: str, *, is_taken: bool) -> Finding:
    title = f"{device.name} ({device.device}){twin}"
    path = device.device
    if path.startswith("/") and not computer.may_open(path):
        return _no_permission(computer, title, path)
    if device.is_infrared:
        return ok(CHECK, f"{title}: infrared, the last choice of auto")
    said = ", ".join(computer.rates(device))
    if not is_taken or not computer.is_new_run:
        return ok(CHECK, f"{title}{f': {said}' if said else ''}")
    try:
        seen = computer.try_camera(device)
    except LiveEditError as error:
        return _not_opened(computer, title, path, error)
    wanted = computer.config.fps
    gives = f"gave {seen.width}x{seen.height} at {seen.fps:g} fps"
    if seen.fps < _SLOW_SHARE * wanted:
        return warn(
            CHECK,
            f"{title}: {gives}, {wanted:g} were asked for; more light, or a smaller picture helps"
            + (f" (it says: {said})" if said else ""),
            Fix("liveedit-cam run --width 640 --height 480", is_certain=False),
        )
    return ok(CHECK, f"{title}: {gives}")


def _no_permission(computer: Computer, title: str, path: str) -> Finding:
    from liveedit_cam.sinks._loopback_output import group_of  # exists on Linux only

    group = group_of(path)
    if _is_member(group, computer.environ.get("USER", "")):
        return fail(
            CHECK,
            f"{title}: this user is in the group {group!r}, but not yet in this session",
            Fix(f"newgrp {group}", is_certain=False, after="or log in again"),
        )
    command = f'usermod -aG {group} "$USER"'
    return fail(
        CHECK,
        f"{title}: this user may not open it, it belongs to the group {group!r}",
        Fix(computer.sudo(command), after="log in again"),
    )


def _is_member(group: str, user: str) -> bool:
    """Whether the system lists the user there, whatever this session was given."""
    import grp  # Linux and macOS only

    try:
        return user in grp.getgrnam(group).gr_mem
    except KeyError:
        return False


def _not_opened(computer: Computer, title: str, path: str, error: LiveEditError) -> Finding:
    programs = holders(path, computer.root) if path.startswith("/") else ()
    if programs:
        pid = programs[0].rpartition("(")[2].rstrip(")")
        return fail(
            CHECK,
            f"{title}: in use by {', '.join(programs)}; close its picture",
            Fix(f"kill {shlex.quote(pid)}", is_certain=False),
        )
    look = computer.system == "linux" and path.startswith("/")
    fixes = (Fix(f"fuser -v {path}", is_certain=False),) if look else ()
    return fail(CHECK, f"{title}: {error}".rstrip("."), *fixes)
