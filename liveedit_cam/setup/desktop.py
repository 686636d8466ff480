"""Checks of the desktop: PipeWire, and whether the screen can be captured."""

from __future__ import annotations

import re
from collections.abc import Iterator

from liveedit_cam.registry import parse_spec
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Finding, Fix, fail, ok, warn
from liveedit_cam.setup.packages import install_fixes, pipewire_fixes
from liveedit_cam.sources.screen import is_wayland

PIPEWIRE, SCREEN = "PipeWire", "screen"
_PORTAL = {
    "debian": "sudo apt install xdg-desktop-portal xdg-desktop-portal-gtk",
    "fedora": "sudo dnf install xdg-desktop-portal xdg-desktop-portal-gtk",
    "arch": "sudo pacman -S xdg-desktop-portal xdg-desktop-portal-gtk",
    "suse": "sudo zypper install xdg-desktop-portal xdg-desktop-portal-gtk",
}


def pipewire(computer: Computer) -> Iterator[Finding]:
    """The camera without a kernel module; of Linux only."""
    if computer.system != "linux":
        return
    problem = computer.pipewire_problem()
    if problem is None:
        yield ok(PIPEWIRE, "runs, and can carry a camera")
        return
    is_asked = any(parse_spec(sink)[0] == "pipewire" for sink in computer.config.sinks)
    tell = fail if is_asked else warn
    reason = re.split(r" (?:To install|Run): ", problem)[0]  # the commands stand below
    yield tell(PIPEWIRE, reason.rstrip("."), *pipewire_fixes(computer))


def screen(computer: Computer) -> Iterator[Finding]:
    """X11 or Wayland, and what that means for ``--source screen``."""
    if computer.system != "linux":
        yield ok(SCREEN, f"can be captured on {computer.system}, where that is allowed")
        return
    display = computer.environ.get("DISPLAY")
    if not is_wayland(computer.system, computer.environ):
        if display:
            yield ok(SCREEN, f"X11, display {display}")
        else:
            command = 'liveedit-cam run --source screen "make it night"'
            seen = "no desktop session: the screen cannot be captured from here"
            yield warn(SCREEN, seen, Fix(f"DISPLAY=:0 {command}", is_certain=False))
        return
    answer = computer.run(_ASK_PORTAL)
    if answer is not None and answer.code == 0:
        yield ok(SCREEN, "Wayland, through the desktop's portal")
        return
    yield warn(
        SCREEN,
        "Wayland, and no portal answers that could share the screen",
        *install_fixes(computer, _PORTAL),
    )


_ASK_PORTAL = (
    "busctl",
    "--user",
    "get-property",
    "org.freedesktop.portal.Desktop",
    "/org/freedesktop/portal/desktop",
    "org.freedesktop.portal.ScreenCast",
    "AvailableSourceTypes",
)
