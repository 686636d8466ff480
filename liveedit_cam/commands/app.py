"""The Typer app: all commands by name, and the options before a command."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from liveedit_cam.commands import (
    devices,
    doctor,
    guide,
    lab,
    models,
    obs,
    remote,
    run,
    selftest,
    serve,
    service,
    start,
    tools,
)

app = typer.Typer(
    name="liveedit-cam",
    help="Edit your camera live by a written instruction and publish it as a virtual camera.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True}
"""Settings of a command that hands its arguments on as they are, ``--help`` included."""


def forward(context: typer.Context) -> None:
    """Hand a command for the running camera to its own parser."""
    assert context.info_name is not None, "Typer names every command it calls"
    typer.echo(remote.main([context.info_name, *context.args]))


def _print_version(is_wanted: bool) -> None:
    if not is_wanted:
        return
    try:
        typer.echo(f"liveedit-cam {version('liveedit-cam')}")
    except PackageNotFoundError:
        typer.echo("liveedit-cam, run from its source folder and not installed")
    raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log what happens, and errors in full.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Read the options that stand before the command."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if verbose:
        logging.getLogger("liveedit_cam").setLevel(logging.DEBUG)
    if context.invoked_subcommand is None:
        _begin(context)


def _begin(context: typer.Context) -> None:
    """Without a command: the guide where a person can answer, else the help."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        guide.guide(lambda words: app(words, prog_name="liveedit-cam", standalone_mode=False))
        return
    typer.echo(context.get_help(), err=True)
    raise typer.Exit(2)


app.command(cls=run.RunCommand)(run.run)
app.command(context_settings=FORWARD, options_metavar="[OPTIONS OF run]")(start.start)
for name, purpose in remote.COMMANDS.items():
    app.command(name, help=purpose, context_settings=FORWARD, add_help_option=False)(forward)
app.command()(devices.devices)
app.command()(doctor.doctor)
app.command()(selftest.selftest)
app.command()(serve.serve)
app.command()(tools.process)
app.add_typer(obs.obs, name="obs")
app.add_typer(models.app, name="models")
app.add_typer(service.app, name="service")
for name, purpose in lab.COMMANDS.items():
    app.command(name, help=purpose, context_settings=FORWARD, add_help_option=False)(lab.forward)
