"""``liveedit-cam`` alone: a short guide that looks, mends, asks what to show, and starts.

Each of its steps is a command of its own, which it names.
"""

from __future__ import annotations

import os
import shlex
import webbrowser
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from liveedit_cam.errors import LiveEditError

if TYPE_CHECKING:
    from liveedit_cam.setup.computer import Computer

FIRST_INSTRUCTION = "make it night"


class Way(StrEnum):
    """How it is to run."""

    BACKGROUND = "b"
    TERMINAL = "t"
    SERVICE = "e"
    NOT_NOW = "n"


def guide(call: Callable[[list[str]], object]) -> None:
    """Lead through the first start; ``call`` runs a command. Ends at any question with Ctrl-C."""
    from liveedit_cam.config import load_config
    from liveedit_cam.setup.computer import this_computer

    config = load_config(None, os.environ, {})
    computer = this_computer(config, os.environ, is_quick=True)
    typer.echo("liveedit-cam edits your camera live, by what you write.\n")
    if computer.daemon is not None:
        typer.echo(f"It runs already and shows: {computer.daemon.instruction or 'no edit yet'}")
        typer.echo('Change it: liveedit-cam edit "golden light"     end it: liveedit-cam stop')
        return
    _look_and_mend(computer)
    instruction = str(typer.prompt("What should the picture become?", default=FIRST_INSTRUCTION))
    start_as(_ask_way(), instruction, call)


def _look_and_mend(computer: Computer) -> None:
    """The lines of doctor that decide what is seen, and its commands, after asking."""
    from liveedit_cam.commands.doctor import mend_all
    from liveedit_cam.setup import cameras, desktop, virtual_camera
    from liveedit_cam.setup.checks import look
    from liveedit_cam.setup.findings import Finding, Fix, lines

    checks = (cameras.cameras, virtual_camera.virtual_camera, desktop.pipewire)

    def seen() -> list[Finding]:
        findings = []
        for found in look(computer, checks):
            findings.append(found)
            typer.echo("\n".join(lines(found)))
        typer.echo("")
        return findings

    def agrees(_fixes: tuple[Fix, ...]) -> bool:
        if typer.confirm("Run the commands after `run:` now?", default=False):
            return True
        typer.echo("Later: liveedit-cam doctor --fix. The control page shows the picture, too.\n")
        return False

    try:
        mend_all(seen(), computer, agrees, seen)
    except LiveEditError as error:
        typer.echo(f"{error}\nIt goes on without: the control page shows the picture, too.\n")


def _ask_way() -> Way:
    """How it is to run, asked until it is one of the four."""
    typer.echo("b  in the background, with its page in the browser")
    typer.echo("t  in this terminal, until Ctrl-C")
    typer.echo("e  now and with every session: liveedit-cam service install")
    typer.echo("n  not now")
    while True:
        answer = str(typer.prompt("Start it", default=Way.BACKGROUND.value)).strip().lower()
        if answer in list(Way):
            return Way(answer)
        typer.echo(f"got {answer!r}, expected one of: {', '.join(Way)}")


def start_as(way: Way, instruction: str, call: Callable[[list[str]], object]) -> None:
    """Do what the command does that the guide then names."""
    words = {
        Way.BACKGROUND: ["start"],
        Way.TERMINAL: ["run"],
        Way.SERVICE: ["service", "install"],
        Way.NOT_NOW: ["start"],
    }[way]
    command = [*words, instruction]
    told = f"liveedit-cam {shlex.join(command)}"
    if way is Way.NOT_NOW:
        typer.echo(f"When you want it: {told}")
        return
    typer.echo(f"$ {told}")
    call(command)
    if way is Way.BACKGROUND:
        _open_page()


def _open_page() -> None:
    from liveedit_cam.control.state import read_address, runtime_path

    address = read_address(runtime_path(os.environ))
    if address is not None and address.port:
        webbrowser.open(address.page_url)
