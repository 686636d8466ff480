"""``run``: the camera in the foreground, until Ctrl-C. Reads the options and picks a display."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from typer.core import TyperCommand

from liveedit_cam.config import SECRETS, Config, load_config

if TYPE_CHECKING:
    from liveedit_cam.commands.adapter import Adapted
    from liveedit_cam.commands.serving import Companion
    from liveedit_cam.osc import OscSession


_OTHER_WORD = {"loop": "--loop/--once"}
"""Switches whose "no" has a word of its own."""


class RunCommand(TyperCommand):
    """Adds the sources and sinks of this computer to ``run --help``, found only when asked."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write one line for each seam."""
        from liveedit_cam import registry

        with formatter.section("Kinds"):
            formatter.write_dl(
                [
                    ("--source", ", ".join(registry.kinds("sources"))),
                    ("--sink", ", ".join(registry.kinds("sinks"))),
                    ("--editor", ", ".join(registry.kinds("editors"))),
                ]
            )


def run(**flags: Any) -> None:
    """Edit the camera live in this terminal; Ctrl-C ends it."""
    _begin(flags)


def _parameters() -> Iterator[Parameter]:
    """What ``run`` takes: an option for each setting but the secrets, which others would see."""
    words = typer.Argument(help="First instruction; none = the picture as it is.")
    yield _parameter("prompt", list[str], words)
    for name, field in Config.model_fields.items():
        if name in SECRETS or name == "prompt":
            continue
        flag, kind = f"--{name.replace('_', '-')}", _kind(name, field.annotation)
        if kind is bool:
            flag = _OTHER_WORD.get(name, f"{flag}/--no-{name.replace('_', '-')}")
        if name == "sinks":
            flag, kind = "--sink", list[str]
        yield _parameter(name, kind, typer.Option(flag, help=field.description))
    file = typer.Option("--config", help="TOML file with these settings.")
    yield _parameter("config", Path, file)
    yield _parameter("quiet", bool, typer.Option("--quiet", help="Print errors only."))


def _kind(name: str, annotation: Any) -> Any:
    """As what the command line reads a setting; what it means the Config checks."""
    if name == "strength":  # also given as per cent
        return str
    wanted = (annotation, *get_args(annotation))
    return next((kind for kind in (bool, int, float) if kind in wanted), str)


def _parameter(name: str, kind: Any, how: Any) -> Parameter:
    annotation = cast("Any", Annotated)[kind | None, how]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


cast("Any", run).__signature__ = Signature(list(_parameters()))


def _begin(flags: dict[str, Any]) -> None:
    """``flags`` are the options of ``run``, whose names are those of the settings."""
    config, quiet = flags.pop("config"), flags.pop("quiet")
    prompt, sinks, strength = (flags[name] for name in ("prompt", "sinks", "strength"))
    from liveedit_cam.commands.choices import check_model
    from liveedit_cam.commands.words import joined, share_of

    flags["prompt"] = joined(prompt) if prompt else None
    flags["sinks"] = tuple(sinks) if sinks else None
    flags["strength"] = None if strength is None else share_of(strength)
    found = load_config(config, os.environ, flags)
    check_model(found.model)
    _serve(with_own_token(found), quiet=quiet)


def with_own_token(config: Config) -> Config:
    """For a model server on this computer: its token, where the user gave none.

    Raises UsageError for an address that cannot be one, and ControlError.
    """
    from liveedit_cam.registry import parse_spec

    kind, target = parse_spec(config.editor)
    if kind != "remote":
        return config
    from pydantic import SecretStr

    from liveedit_cam.control.token import SERVE_TOKEN_NAME, kept_token, state_path
    from liveedit_cam.remote.address import parse_address

    if not parse_address(target).is_local or config.remote_token is not None:
        return config
    token = kept_token(state_path(os.environ), SERVE_TOKEN_NAME)
    return config.model_copy(update={"remote_token": SecretStr(token)})


def make_osc(port: int | None) -> list[Callable[[Adapted], OscSession]]:
    """What takes OSC messages, where a port is given. Raises MissingDependencyError."""
    if port is None:
        return []
    from liveedit_cam.osc import OscSession

    return [lambda commands: OscSession(port, commands)]


def make_keys(config: Config) -> list[Callable[[Adapted], Companion]]:
    """What hears MIDI devices and global keys, where they are asked for."""
    made: list[Callable[[Adapted], Companion]] = []
    if config.midi is not None:
        from liveedit_cam.midi import MidiSession

        device = config.midi
        made.append(lambda commands: MidiSession(device, commands))
    if config.hotkeys:
        from liveedit_cam.hotkeys import HotkeySession

        made.append(HotkeySession)
    return made


def lock_of(on_lock: str) -> Callable[[], bool] | None:
    """Tells whether the screen is locked, where that matters. Raises DeviceError."""
    if on_lock == "keep":
        return None
    from liveedit_cam.screen_lock import ScreenLock

    return ScreenLock().is_locked


def _serve(config: Config, *, quiet: bool | None) -> None:
    from liveedit_cam.commands.display import choose_display
    from liveedit_cam.commands.log_file import LogFile, speak_into
    from liveedit_cam.commands.serving import page_port, serve
    from liveedit_cam.commands.signals import stop_on_signals
    from liveedit_cam.control.state import LOG_NAME, runtime_path
    from liveedit_cam.control.token import state_path
    from liveedit_cam.daemon.service import Service
    from liveedit_cam.microphone import open_microphone
    from liveedit_cam.obs.session import ObsSession
    from liveedit_cam.presets import PresetBook, presets_path
    from liveedit_cam.presets.ahead import Ahead

    with suppress(OSError):  # then without a log; the lock tells what is wrong with the folder
        speak_into(runtime_path(os.environ) / LOG_NAME)
    folder, is_locked = runtime_path(os.environ), lock_of(config.on_lock)
    with stop_on_signals() as stop, choose_display(quiet=bool(quiet)) as display:
        serve(
            lambda: Service(
                config, cancel=stop, open_microphone=open_microphone, is_locked=is_locked
            ),
            make_companions=[
                *make_osc(config.osc_port),
                *make_keys(config),
                lambda commands: ObsSession(config, os.environ, commands),
                lambda commands: LogFile(folder / LOG_NAME),
                Ahead,
            ],
            port=page_port(config.sinks, config.port, type(config).model_fields["port"].default),
            folder=folder,
            state_folder=state_path(os.environ),
            presets=PresetBook(presets_path(os.environ)),
            display=display,
            stop=stop,
        )
