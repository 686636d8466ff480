"""``service``: start with the session and again after a crash. The work is in ``setup.service``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from liveedit_cam.commands.asking import new_group
from liveedit_cam.errors import ControlError

app = new_group("Start with your session, and again after a crash.")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def install(
    context: typer.Context,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over a file that differs; it is kept.")
    ] = False,
) -> None:
    """Install and start the service; takes what `run` takes (see run --help)."""
    from liveedit_cam.control.client import find_daemon
    from liveedit_cam.control.state import runtime_path
    from liveedit_cam.setup import service

    check_options(context.args)
    manager = service.this_manager(os.environ)
    if not service.state(manager).is_up:
        try:
            pid = find_daemon(runtime_path(os.environ)).address.pid
        except ControlError:
            pid = None
        if pid is not None:
            raise ControlError(
                f"liveedit-cam runs already, started by hand (process {pid}).",
                hint="Stop it first: liveedit-cam stop",
            )
    if sys.platform == "darwin":
        service.make_log_folder(os.environ)
    words = service.command(context.args)
    is_new = service.install(manager, words, replace=replace)
    typer.echo(f"{'wrote' if is_new else 'left as it was:'} {manager.path}")
    typer.echo(f"{manager.name} starts liveedit-cam now, and with each of your sessions")
    typer.echo(f"what it says: {manager.log}")


@app.command()
def remove() -> None:
    """End the service and take it away."""
    from liveedit_cam.setup import service

    manager = service.this_manager(os.environ)
    if service.remove(manager):
        typer.echo(f"removed {manager.path}")
    else:
        typer.echo("there is no service to remove")


@app.command()
def status() -> None:
    """Say whether it is installed and runs; exit code 0 where it runs, 1 where it does not."""
    from liveedit_cam.setup import service

    manager = service.this_manager(os.environ)
    found = service.state(manager)
    typer.echo(f"{'runs' if found.is_up else 'does not run'}: {found.detail}")
    if found.is_installed:
        typer.echo(f"file: {manager.path}\nlog:  {manager.log}")
    else:
        typer.echo('to install: liveedit-cam service install "make it night"')
    if not found.is_up:
        raise typer.Exit(1)


def check_options(arguments: list[str]) -> None:
    """Let the parser of ``run`` see them now, not at the next log-in. Ends with its own message."""
    from typer.main import get_command

    from liveedit_cam.commands import run

    parser = typer.Typer(rich_markup_mode=None)
    parser.command(cls=run.RunCommand)(run.run)
    with get_command(parser).make_context("liveedit-cam service install", list(arguments)):
        pass
