"""``obs``: OBS and its rules from the command line. The work is in ``obs.setup``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from liveedit_cam.commands.asking import new_group
from liveedit_cam.commands.lines import table
from liveedit_cam.errors import ControlError
from liveedit_cam.types import Status

if TYPE_CHECKING:
    from liveedit_cam.config import Config
    from liveedit_cam.obs.link import ObsLink
    from liveedit_cam.obs.rules import RuleBook

obs = new_group("OBS changes the instruction, and shows the picture.")

TIMEOUT_S = 5.0
"""Longest wait for one answer of OBS."""


@obs.callback()
def options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file with the settings.")] = None,
) -> None:
    """Read the settings: where OBS runs, its password, the rule file."""
    from liveedit_cam.config import load_config

    context.obj = load_config(config, os.environ, {})


@obs.command()
def setup(
    context: typer.Context,
    prompt: Annotated[
        bool, typer.Option("--prompt", help="Create the text source the instruction is typed into.")
    ] = False,
    marker: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Create a source to show and hide; may be repeated."),
    ] = None,
    status_text: Annotated[
        bool, typer.Option("--status-text", help="Create a text source with what is shown now.")
    ] = False,
) -> None:
    """Write first rules, and create sources in the current scene where you ask for them."""
    from liveedit_cam.obs import setup as steps
    from liveedit_cam.obs.rules import load_rules
    from liveedit_cam.obs.session import rules_path

    config = cast("Config", context.obj)
    wanted = steps.Sources(prompt, status_text, tuple(marker or ()))
    path = rules_path(config, os.environ)
    with _connected(config) as link:
        for name, is_new in steps.create_sources(link, wanted):
            typer.echo(f'created the source "{name}"' if is_new else f'"{name}" is there already')
        text = steps.first_rules(link, wanted)
    script = steps.script_path()
    if script is not None:
        typer.echo(f"for hotkeys choose this script in OBS, Tools > Scripts > +: {script}")
    if steps.write_rules(path, text):
        typer.echo(f"wrote first rules: {path}")
        return
    typer.echo(f"left your rules as they are: {path}")
    missing = steps.missing_rules(load_rules(path), wanted)
    if missing:
        typer.echo(f"to use the new sources add to them:\n\n{missing}")


@obs.command()
def status(context: typer.Context) -> None:
    """Look at OBS and at the rules: versions, scene, names that OBS does not have."""
    from liveedit_cam.obs.rules import load_rules
    from liveedit_cam.obs.session import rules_path
    from liveedit_cam.obs.setup import overview

    config = cast("Config", context.obj)
    path = rules_path(config, os.environ)
    book = load_rules(path)
    with _connected(config) as link:
        found = overview(link, book)
    rows = [
        ("OBS", f"{found.obs}, obs-websocket {found.websocket}, protocol {found.rpc}"),
        ("scene", found.scene or "not known now"),
        ("rules", f"{len(book.rules)} in {path}" if path.exists() else f"none, no file {path}"),
        *(("not in OBS", name) for name in found.unknown),
    ]
    if not found.tells_settings:
        rows.append(("text boxes", "looked at 10 times a second: obs-websocket before 5.4"))
    typer.echo(table(rows))


@obs.command()
def test(context: typer.Context) -> None:
    """Say what each rule would do. Changes nothing, and needs no OBS."""
    from liveedit_cam.obs.rules import explain, load_rules, try_rule
    from liveedit_cam.obs.session import rules_path

    path = rules_path(cast("Config", context.obj), os.environ)
    book = _some_rules(load_rules(path), path)
    rows = []
    for rule in book.rules:
        action = try_rule(rule)
        told = explain(rule if action is None else replace(rule, action=action))
        doubt = " (never happens: the trigger is broken)" if action is None else ""
        place = "rule" if rule.line is None else f"line {rule.line}"
        rows.append((place, f"{told}{doubt}"))
    typer.echo(table(rows))


@obs.command("add-source")
def add_source(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="Name of the source in OBS.")] = None,
) -> None:
    """Show the edited picture in OBS without a virtual camera."""
    from liveedit_cam.obs.setup import PICTURE, add_picture
    from liveedit_cam.remote.address import is_loopback

    config = cast("Config", context.obj)
    if not is_loopback(config.obs_host):
        raise ControlError(
            f"OBS runs on {config.obs_host}, and the picture is served on this computer only.",
            hint="Run liveedit-cam where OBS runs.",
        )
    url = _daemon_status().preview_url
    if url is None:
        raise ControlError(
            "liveedit-cam runs without a preview, which is where OBS would get the picture.",
            hint="Stop it and start it with one more `--sink preview`; `--sink auto` has one.",
        )
    wanted = name or PICTURE
    with _connected(config) as link:
        is_new = add_picture(link, wanted, url)
    typer.echo(f'{"created" if is_new else "renewed the address of"} the media source "{wanted}"')


@obs.command("sync-audio")
def sync_audio(
    context: typer.Context,
    input_name: Annotated[str, typer.Argument(metavar="INPUT", help="The microphone in OBS.")],
    undo: Annotated[bool, typer.Option("--undo", help="Bring back the former offset.")] = False,
    delay: Annotated[
        float | None,
        typer.Option(min=0, max=10_000, help="Delay in milliseconds; left out = as measured."),
    ] = None,
) -> None:
    """Delay a microphone as the picture is delayed, so that lips and voice fit."""
    from liveedit_cam.obs import setup as steps

    config = cast("Config", context.obj)
    if undo:
        with _connected(config) as link:
            former_ms = steps.undo_sync(link, input_name)
        typer.echo(f'sync offset of "{input_name}": {former_ms} ms again')
        return
    delay_ms = _measured_delay_ms() if delay is None else delay
    with _connected(config) as link:
        synced = steps.sync_audio(link, input_name, delay_ms)
    typer.echo(
        f'sync offset of "{input_name}": {synced.offset_ms} ms, before {synced.former_ms} ms'
        " (the same command with --undo brings it back)"
    )


@contextmanager
def _connected(config: Config) -> Iterator[ObsLink]:
    """A link for a few requests; says where the password came from."""
    from liveedit_cam.obs.link import connect
    from liveedit_cam.obs.session import find_address

    address, password = find_address(config, os.environ)
    typer.echo(f"OBS at {address}, password: {password.origin}", err=True)
    link = connect(address, timeout_s=TIMEOUT_S)
    try:
        yield link
    finally:
        link.close()


def _some_rules(book: RuleBook, path: Path) -> RuleBook:
    if not book.rules:
        raise ControlError(
            f"There is no rule in {path}.",
            hint="`liveedit-cam obs setup` writes examples; take the # away from one.",
        )
    return book


def _daemon_status() -> Status:
    from liveedit_cam.control.client import find_daemon
    from liveedit_cam.control.state import runtime_path

    return find_daemon(runtime_path(os.environ)).status()


def _measured_delay_ms() -> int:
    from liveedit_cam.obs.status_text import delay_ms

    found = _daemon_status()
    measured_ms = delay_ms(found)
    if measured_ms <= 0:
        raise ControlError(
            f"The delay of the picture is not known yet (state {found.state}).",
            hint="Wait until the edited picture is there, or give it: --delay 350",
        )
    return measured_ms
