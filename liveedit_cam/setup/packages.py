"""The commands that install packages on this distribution, written so that they ask nothing."""

from __future__ import annotations

from collections.abc import Mapping

from liveedit_cam.setup.computer import Computer
from liveedit_cam.setup.findings import Fix
from liveedit_cam.sinks._distribution import install_command
from liveedit_cam.sinks._pipewire_graph import INSTALL, START

_UNASKED = {
    "apt install": "apt-get install -y",
    "dnf install": "dnf install -y",
    "pacman -S": "pacman -S --noconfirm",
    "zypper install": "zypper --non-interactive install",
}
"""What people type, and what asks no second time: our own question comes before it."""


def install_fixes(computer: Computer, commands: Mapping[str, str]) -> tuple[Fix, ...]:
    """The entry of ``commands`` for this distribution (see ``install_command``).

    () where there is none. A remark in brackets behind a command makes it a suggestion.
    """
    found = install_command(commands, "", computer.read("etc/os-release"))
    if not found:
        return ()
    command, _, remark = found.partition("  (")
    for asked, unasked in _UNASKED.items():
        command = command.replace(asked, unasked)
    if computer.is_root:
        command = command.removeprefix("sudo ")
    fixes = [Fix(command, is_certain=not remark, after=remark.rstrip(")") or None)]
    if "apt-get" in command and not any((computer.root / "var/lib/apt/lists").glob("*_Packages*")):
        fixes.insert(0, Fix(computer.sudo("apt-get update")))
    return tuple(fixes)


def pipewire_fixes(computer: Computer) -> tuple[Fix, ...]:
    """What makes PipeWire's camera possible: its packages where one is missing, then its start."""
    programs = ("pw-dump", "gst-launch-1.0", "pipewire", "wireplumber")
    is_installed = all(computer.has(program) for program in programs)
    install = () if is_installed else install_fixes(computer, INSTALL)
    has_systemd = (computer.root / "run/systemd/system").is_dir()
    by_hand = Fix("pipewire & sleep 1; wireplumber &", is_certain=False)
    return (*install, Fix(START) if has_systemd else by_hand)
