"""The commands that install packages on this distribution, written so that they ask nothing."""

from __future__ import annotations

from collections.abc import Mapping

from liveedit_cam.distribution import PIPEWIRE, install_command
from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Fix
from liveedit_cam.sinks._pipewire_graph import START

_UNASKED = {
    "apt install": "apt-get install -y",
    "dnf install": "dnf install -y",
    "pacman -S": "pacman -S --noconfirm",
    "zypper install": "zypper --non-interactive install",
}
"""What people type, and what asks no second time: our own question comes before it."""


def install_fixes(computer: Computer, commands: Mapping[str, str]) -> tuple[Fix, ...]:
    """The entry of ``commands`` for this distribution (see ``install_command``); () without one."""
    return unasked(computer, install_command(commands, "", computer.read("etc/os-release")))


def unasked(computer: Computer, command: str) -> tuple[Fix, ...]:
    """What people type with sudo, as this user runs it; () where it is no command but words.

    A remark in brackets behind a command makes it a suggestion.
    """
    if "sudo " not in command:
        return ()
    command, _, remark = command.partition("  (")
    for asked, quiet in _UNASKED.items():
        command = command.replace(asked, quiet)
    if computer.is_root:
        command = command.replace("sudo ", "")
    fixes = [Fix(command, is_certain=not remark, after=remark.rstrip(")") or None)]
    if "apt-get" in command and not any((computer.root / "var/lib/apt/lists").glob("*_Packages*")):
        fixes.insert(0, Fix(computer.sudo("apt-get update")))
    return tuple(fixes)


def pipewire_fixes(computer: Computer) -> tuple[Fix, ...]:
    """What makes PipeWire's camera possible: its packages where one is missing, then its start."""
    programs = ("pw-dump", "gst-launch-1.0", "pipewire", "wireplumber")
    is_installed = all(computer.has(program) for program in programs)
    install = () if is_installed else install_fixes(computer, PIPEWIRE)
    has_systemd = (computer.root / "run/systemd/system").is_dir()
    by_hand = Fix("pipewire & sleep 1; wireplumber &", is_certain=False)
    return (*install, Fix(START) if has_systemd else by_hand)
