"""``run``: the camera in the foreground, until Ctrl-C. Reads the options and picks a display."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from collections.abc import Callable

    from liveedit_cam.commands.adapter import Adapted
    from liveedit_cam.commands.serving import Companion
    from liveedit_cam.config import Config
    from liveedit_cam.osc import OscSession


MIRROR = "Exchange left and right."
Codec = Annotated[str | None, typer.Option(help="Of liveedit-1.3b: wan or tiny.")]
Window = Annotated[int | None, typer.Option(help="Latents liveedit-1.3b sees: 6, 9, 12 or 21.")]
PaperMode = Annotated[
    bool | None, typer.Option("--paper-mode", help="liveedit-1.3b as the paper runs it.")
]
Fp8 = Annotated[bool | None, typer.Option("--fp8", help="8-bit products of liveedit-1.3b.")]
Lora = Annotated[str | None, typer.Option(help="LoRA of liveedit-1.3b: FILE[:STRENGTH].")]
OnFailure = Annotated[
    str | None, typer.Option(help="Without an edited picture show: slate or raw.")
]
Loop = Annotated[
    bool | None, typer.Option("--loop/--once", help="Play a video file again, or once.")
]
OnDemand = Annotated[
    str | None, typer.Option(help="What rests while nobody watches: off, camera or all.")
]
Obs = Annotated[str | None, typer.Option(help="Let OBS change the instruction: auto, on or off.")]
OscPort = Annotated[
    int | None, typer.Option(help="Take OSC messages on this UDP port of 127.0.0.1.")
]


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


def run(
    prompt: Annotated[
        list[str] | None, typer.Argument(help="First instruction; none = the picture as it is.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Where frames come from: KIND or KIND:TARGET.")
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(help="Where frames go: KIND or KIND:TARGET; may be repeated."),
    ] = None,
    editor: Annotated[
        str | None, typer.Option(help="What edits: diffusion, remote:wss://HOST:PORT, a plugin's.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Model, see `models list`.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    width: Annotated[int | None, typer.Option(help="Width of the sinks in pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Height of the sinks in pixels.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames per second of the sinks.")] = None,
    fit: Annotated[str | None, typer.Option(help="bars, crop or stretch.")] = None,
    mirror: Annotated[bool | None, typer.Option("--mirror/--no-mirror", help=MIRROR)] = None,
    port: Annotated[int | None, typer.Option(help="Port of the control page, 0 = any.")] = None,
    latency: Annotated[
        str | None, typer.Option(help="live (at once) or exact (each frame waits for its edit).")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps: 1, 2 or 4; left out = as many as fit.")
    ] = None,
    codec: Codec = None,
    window: Window = None,
    paper_mode: PaperMode = None,
    fp8: Fp8 = None,
    lora: Lora = None,
    strength: Annotated[str | None, typer.Option(help="How much of the edit, 0..1.")] = None,
    seed: Annotated[int | None, typer.Option(help="Start of the random numbers.")] = None,
    mode: Annotated[str | None, typer.Option(help="edit, bypass or slate.")] = None,
    on_failure: OnFailure = None,
    loop: Loop = None,
    on_demand: OnDemand = None,
    obs: Obs = None,
    osc_port: OscPort = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with these settings.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print errors only.")] = False,
) -> None:
    """Edit the camera live in this terminal; Ctrl-C ends it."""
    _begin(dict(locals()))


def _begin(flags: dict[str, Any]) -> None:
    """``flags`` are the options of ``run``, whose names are those of the settings."""
    sinks, config, quiet = (flags.pop(name) for name in ("sink", "config", "quiet"))
    prompt, strength = flags["prompt"], flags["strength"]
    from liveedit_cam.commands.choices import check_model
    from liveedit_cam.commands.words import joined, share_of
    from liveedit_cam.config import load_config

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


def _serve(config: Config, *, quiet: bool) -> None:
    from liveedit_cam.commands.display import choose_display
    from liveedit_cam.commands.log_file import LogFile, speak_into
    from liveedit_cam.commands.serving import page_port, serve
    from liveedit_cam.commands.signals import stop_on_signals
    from liveedit_cam.control.state import LOG_NAME, runtime_path
    from liveedit_cam.control.token import state_path
    from liveedit_cam.daemon.service import Service
    from liveedit_cam.obs.session import ObsSession
    from liveedit_cam.presets import PresetBook, presets_path
    from liveedit_cam.presets.ahead import Ahead

    with suppress(OSError):  # then without a log; the lock tells what is wrong with the folder
        speak_into(runtime_path(os.environ) / LOG_NAME)
    folder, is_locked = runtime_path(os.environ), lock_of(config.on_lock)
    with stop_on_signals() as stop, choose_display(quiet=quiet) as display:
        serve(
            lambda: Service(config, cancel=stop, is_locked=is_locked),
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
