"""Which Linux distribution this is, so that a message can hold the command that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

OS_RELEASE = Path("/etc/os-release")
_FAMILY = {"ubuntu": "debian", "rhel": "fedora", "opensuse": "suse", "opensuse-leap": "suse"}


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
