"""The computer as the checks see it: files below a root, programs, cameras, OBS, our own daemon.

A test gives other values; no check asks the system around it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from liveedit_cam.config import Config
from liveedit_cam.control.client import find_daemon
from liveedit_cam.control.state import runtime_path
from liveedit_cam.errors import ControlError
from liveedit_cam.sinks import pipewire
from liveedit_cam.types import Status

if TYPE_CHECKING:
    from liveedit_cam.sources.camera import DeviceInfo

NAMED = 3
"""Formats of one size and rate that a line names."""
ASK_S = 20.0
"""Longest wait for one program that is asked something."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program said."""

    code: int
    output: str
    """Its standard output and error, stripped."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a camera delivered while it was watched for a moment."""

    width: int
    height: int
    fps: float


Run = Callable[[Sequence[str]], Answer | None]
"""Run a program without asking anything; None where it is not installed or did not end."""


def run_program(command: Sequence[str]) -> Answer | None:
    """Run a program of this computer; see ``Run``."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return Answer(ended.returncode, ended.stdout.decode(errors="replace").strip())


def may_open(device: str) -> bool:
    """Whether this user may read and write that device."""
    return os.access(device, os.R_OK | os.W_OK)


def list_cameras() -> Sequence[DeviceInfo]:
    """All cameras but our own."""
    from liveedit_cam.sources import camera

    return camera.list_devices()


def _rates(device: DeviceInfo, width: int, height: int) -> Sequence[str]:
    if sys.platform != "linux":
        return ()
    from liveedit_cam.sources import _v4l2

    try:
        rates = _v4l2.query_rates(device.device, width, height)
    except OSError:
        return ()
    formats: dict[str, list[str]] = {}
    for rate in rates:
        what = f"{rate.width}x{rate.height} at {rate.fps:g} fps"
        formats.setdefault(what, []).append(rate.fourcc)
    return [f"{_some(names)} {what}" for what, names in formats.items()]


def _some(names: Sequence[str]) -> str:
    """The first of ``names``; a driver for tests has sixty formats."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return "/".join(names[:NAMED]) + more


def _try_camera(device: DeviceInfo, config: Config) -> Seen:
    from liveedit_cam.sources.camera import Camera, Wish

    camera = Camera(device, Wish(config.width, config.height, config.fps))
    try:
        return Seen(camera.width, camera.height, camera.fps)
    finally:
        camera.close()


def _no_rates(device: DeviceInfo) -> Sequence[str]:
    return ()


def _not_tried(device: DeviceInfo) -> Seen:
    raise AssertionError(f"{device} was opened, though nobody said how")


@dataclass(frozen=True, slots=True)
class Computer:
    """All that the checks ask. Made once for a report."""

    config: Config
    environ: Mapping[str, str]
    system: str = sys.platform
    """As in ``sys.platform``."""
    release: str = field(default_factory=platform.release)
    """The kernel's, as ``uname -r`` says it."""
    root: Path = Path("/")
    is_root: bool = False
    is_new_run: bool = True
    """Whether slow checks (camera, engine) run; else they are left out."""
    daemon: Status | None = None
    """Of the liveedit-cam that runs now; None = there is none."""
    run: Run = run_program
    pipewire_problem: Callable[[], str | None] = pipewire.probe
    """Why PipeWire can carry no camera; None where it can."""
    cameras: Callable[[], Sequence[DeviceInfo]] = list_cameras
    rates: Callable[[DeviceInfo], Sequence[str]] = _no_rates
    """What the driver says a camera gives, such as "MJPG 1280x720 at 30 fps"."""
    try_camera: Callable[[DeviceInfo], Seen] = _not_tried
    """Opens it for a moment. Raises SourceError."""

    may_open: Callable[[str], bool] = may_open
    """Whether this user may read and write that device."""

    def has(self, program: str) -> bool:
        """Whether ``program`` can be run."""
        return shutil.which(program, path=self.environ.get("PATH")) is not None

    def read(self, path: str) -> str:
        """The text of a file below the root, stripped; "" where there is none."""
        try:
            text = (self.root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return text.strip()

    def sudo(self, command: str) -> str:
        """``command``, which needs root, as this user types it."""
        return command if self.is_root else f"sudo {command}"


def this_computer(config: Config, environ: Mapping[str, str], *, is_quick: bool) -> Computer:
    """The real one. ``is_quick`` leaves out what takes seconds or switches a light on."""
    try:
        daemon = find_daemon(runtime_path(environ)).status()
    except ControlError:
        daemon = None
    return Computer(
        config,
        environ,
        is_root=sys.platform != "win32" and os.geteuid() == 0,
        is_new_run=not is_quick,
        daemon=daemon,
        rates=partial(_rates, width=config.width, height=config.height),
        try_camera=partial(_try_camera, config=config),
    )
