"""Computers made of a folder of files, for the checks of ``doctor``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from liveedit_cam.config import Config
from liveedit_cam.setup.computer import Answer, Computer
from liveedit_cam.setup.findings import (
    Finding,
)
from liveedit_cam.sources.camera import DeviceInfo

DEBIAN = "ID=debian\n"
LOAD = 'modprobe v4l2loopback exclusive_caps=1 card_label="LiveEdit"'
APT_LIST = "var/lib/apt/lists/deb.example_dists_Packages"


def computer(root: Path, files: dict[str, str] | None = None, **values: object) -> Computer:
    """A Linux whose files are those of ``files``; it has no program, camera or daemon."""
    for name, text in (files or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found: dict[str, object] = {
        "config": Config(),
        "environ": {"PATH": str(root / "bin"), "USER": "ann"},
        "system": "linux",
        "release": "6.1.0-56-amd64",
        "root": root,
        "run": lambda command: None,
        "cameras": lambda: (),
        "may_open": lambda path: True,
        "pipewire_problem": lambda: None,
    }
    return Computer(**(found | values))  # type: ignore[arg-type] # the tests name the fields


def apt_offers(version: str) -> Callable[[Sequence[str]], Answer | None]:
    def run(command: Sequence[str]) -> Answer | None:
        if command[0] != "apt-cache":
            return None
        return Answer(0, f"v4l2loopback-dkms:\n  Installed: (none)\n  Candidate: {version}\n")

    return run


def one(findings: Sequence[Finding], check: str) -> Finding:
    (found,) = [finding for finding in findings if finding.check == check]
    return found


def commands(finding: Finding) -> list[str]:
    return [fix.command for fix in finding.fixes]


def loopback(label: str = "LiveEdit", caps: str = "Y,N,N") -> dict[str, str]:
    return {
        "sys/class/video4linux/video9/name": f"{label}\n",
        "sys/class/video4linux/video9/max_openers": "10\n",
        "sys/module/v4l2loopback/version": "0.12.7\n",
        "sys/module/v4l2loopback/parameters/exclusive_caps": f"{caps}\n",
    }


def lens(name: str = "HD Webcam", device: str = "camera0", **values: object) -> DeviceInfo:
    return DeviceInfo(device, name, **values)  # type: ignore[arg-type] # named by the tests
