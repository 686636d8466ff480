"""``devices``: which cameras, screens and virtual cameras this computer has."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from liveedit_cam.commands.lines import table
from liveedit_cam.errors import LiveEditError

if TYPE_CHECKING:
    from liveedit_cam.sources.camera import DeviceInfo


@dataclass(frozen=True, slots=True)
class Device:
    """One place frames come from or go to, as the user would name it."""

    option: str
    """What to write: "--source camera:0"."""
    description: str


@dataclass(frozen=True, slots=True)
class Devices:
    """All that was found."""

    cameras: tuple[Device, ...]
    screens: tuple[Device, ...]
    no_screen: str | None
    """Why the screen cannot be captured; None = it can."""
    no_virtual_camera: str | None
    """Why there is no virtual camera and what to do; None = there is one."""
    no_pipewire: str | None
    """Why PipeWire can carry no camera; None = it can."""


def devices(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List cameras, screens and virtual cameras."""
    found = find_devices()
    typer.echo(json.dumps(asdict(found), ensure_ascii=False) if as_json else in_words(found))


def in_words(found: Devices) -> str:
    """The devices as a text of a few lines."""
    sources = [*found.cameras, *found.screens, Device("--source pattern", "a moving test scene")]
    lines = ["Sources", table([(device.option, device.description) for device in sources])]
    if not found.cameras:
        lines.append("No camera was found. Until one is plugged in, auto takes the test scene.")
    if found.no_screen is not None:
        lines.append(f"No screen: {found.no_screen}")
    lines.append("\nSinks")
    sinks = [Device("--sink preview", "a page in the browser")]
    if found.no_virtual_camera is None:
        sinks.insert(0, Device("--sink virtual-camera", "a camera other programs can select"))
    if found.no_pipewire is None:
        sinks.append(Device("--sink pipewire", "a camera of PipeWire; needs no kernel module"))
    lines.append(table([(device.option, device.description) for device in sinks]))
    if found.no_virtual_camera is not None:
        lines.append(f"No virtual camera: {found.no_virtual_camera}")
        if found.no_pipewire is not None:
            lines.append(f"No PipeWire camera: {found.no_pipewire}")
    return "\n".join(lines)


def find_devices() -> Devices:
    """Ask the computer; no camera is opened for pictures, a screen for one to learn its size."""
    from liveedit_cam.sinks import pipewire, virtual_camera
    from liveedit_cam.sources.camera import list_devices

    cameras = list_devices()
    screens, no_screen = find_screens()
    return Devices(
        cameras=tuple(described(camera) for camera in cameras),
        screens=screens,
        no_screen=no_screen,
        no_virtual_camera=virtual_camera.probe([camera.name for camera in cameras]),
        no_pipewire=pipewire.probe(),
    )


def described(camera: DeviceInfo) -> Device:
    """The camera with its name, sizes, and what keeps ``auto`` from taking it first."""
    details = [", ".join(f"{width}x{height}" for width, height in camera.sizes[:4]) or "any size"]
    if camera.is_infrared:
        details.append("infrared, the last choice of auto")
    if camera.is_virtual:
        details.append("fed by another program; auto does not take it")
    return Device(f"--source camera:{camera.device}", f"{camera.name} ({'; '.join(details)})")


def find_screens() -> tuple[tuple[Device, ...], str | None]:
    """The monitors, first to last, and why there is none (None = there is one)."""
    from liveedit_cam.sources import screen

    found: list[Device] = []
    if screen.is_wayland(sys.platform, os.environ):  # to look at it would open a dialog
        asks = "the desktop asks which one to share"
        window = Device("--source screen:window", "a window; the desktop asks which one")
        return (Device("--source screen", asks), window), None
    while True:
        target = f"monitor:{len(found) + 1}"
        try:
            monitor = screen.create(target, loop=True, realtime=True)
        except LiveEditError as error:  # the number after the last one is refused
            return tuple(found), None if found else str(error)
        monitor.close()
        found.append(Device(f"--source screen:{target}", f"{monitor.width}x{monitor.height}"))
