"""Which Linux distribution this is, so that a message can hold the command that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")
_FAMILY = {"ubuntu": "debian", "rhel": "fedora", "opensuse": "suse", "opensuse-leap": "suse"}

PIPEWIRE = {
    "debian": "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base "
    "gstreamer1.0-pipewire pipewire-bin wireplumber",
    "fedora": "sudo dnf install gstreamer1 gstreamer1-plugins-base pipewire-gstreamer "
    "pipewire-utils wireplumber",
    "arch": "sudo pacman -S gstreamer gst-plugins-base gst-plugin-pipewire pipewire wireplumber",
    "suse": "sudo zypper install gstreamer gstreamer-plugins-base gstreamer-plugin-pipewire "
    "pipewire-tools wireplumber",
}
_PIPEWIRE_OTHERWISE = (
    "the packages with gst-launch-1.0, GStreamer's base and PipeWire plugins, pw-dump, WirePlumber"
)


def install_command(commands: Mapping[str, str], otherwise: str, os_release: str) -> str:
    """The entry of ``commands`` for the distribution that ``os_release`` (the file) describes.

    ``commands`` goes by family: "debian", "fedora", "arch", "suse"; ``otherwise`` serves the rest.
    """
    pairs = (line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    fields = {key: value.strip().strip("\"'") for key, value in pairs}
    for name in [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]:
        family = _FAMILY.get(name, name)
        if family in commands:
            return commands[family]
    return otherwise


def read_os_release(path: Path = OS_RELEASE) -> str:
    """The text of the file; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def pipewire_command(os_release: str | None = None) -> str:
    """What installs PipeWire with GStreamer's tools; None reads the file of this machine."""
    release = read_os_release() if os_release is None else os_release
    return install_command(PIPEWIRE, _PIPEWIRE_OTHERWISE, release)
