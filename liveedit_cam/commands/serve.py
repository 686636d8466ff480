"""``serve``: this computer's model for the cameras of others. Reads options, runs a server."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from liveedit_cam.commands.signals import stop_on_signals
from liveedit_cam.errors import ConfigError, MissingDependencyError, UsageError, shown

if TYPE_CHECKING:
    from liveedit_cam.service.plain import Listen
    from liveedit_cam.service.settings import ServeSettings

TICK_S = 0.5


class Server(Protocol):
    """One process, or a Ray with several."""

    port: int

    def start(self) -> None:
        """Serve from now on."""

    def stop(self) -> None:
        """End it; may be called twice."""


def serve(
    local: Annotated[
        bool, typer.Option("--local", help="Ray Serve on this computer alone, until Ctrl-C.")
    ] = False,
    no_ray: Annotated[
        bool, typer.Option("--no-ray", help="One process instead, without the extra `serve`.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="Model, see `models list`.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = None,
    sessions: Annotated[int | None, typer.Option(help="Cameras a replica takes.")] = None,
    replicas: Annotated[int, typer.Option(min=1, help="Replicas at most, with --local.")] = 1,
    gpus: Annotated[float | None, typer.Option(help="GPUs of a replica, with --local.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8650,
    tokens: Annotated[Path | None, typer.Option(help="TOML file of tokens.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, for wss://.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of the certificate's key.")] = None,
    tls_in_front: Annotated[
        bool, typer.Option("--tls-in-front", help="A proxy in front of it does TLS.")
    ] = False,
) -> None:
    """Edit for cameras elsewhere: they send small pictures and get edit fields back."""
    if local == no_ray:
        raise UsageError(
            "expected one of --local and --no-ray",
            hint="For a cluster of several computers see docs/serve.md.",
        )
    if local and find_spec("ray") is None:
        raise MissingDependencyError(
            "`liveedit-cam serve --local` needs ray, which is not installed.",
            hint='Install it: pip install "liveedit-cam[serve]", or take --no-ray.',
        )
    from liveedit_cam.service.plain import Listen

    asked = {"model": model, "device": device, "max_sessions": sessions, "num_gpus": gpus}
    listen = Listen(host, port, certificate, key, tls_in_front)
    settings = _settings(tokens, asked | {"max_replicas": replicas})
    share_with_cameras(listen)
    _serve(settings, listen, has_ray=local)


def share_with_cameras(listen: Listen) -> None:
    """Leave the cameras of this computer what they need; call it before torch is loaded."""
    from liveedit_cam.cores import give_way, share_cores, usable_cores
    from liveedit_cam.remote.address import is_loopback

    if is_loopback(listen.host) and not listen.has_tls_in_front:  # all cameras are beside it
        give_way()
        share_cores(os.environ, usable_cores() - 1)
    else:
        share_cores(os.environ, usable_cores())


def _settings(token_file: Path | None, asked: dict[str, Any]) -> ServeSettings:
    """Raises ConfigError, ControlError."""
    from pydantic import ValidationError

    from liveedit_cam.control.token import SERVE_TOKEN_NAME, kept_token, state_path
    from liveedit_cam.service.settings import ServeSettings

    given = {name: value for name, value in asked.items() if value is not None}
    if token_file is None:
        given["token"] = kept_token(state_path(os.environ), SERVE_TOKEN_NAME)
    else:
        given["token_file"] = token_file.absolute()
    try:
        return ServeSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        expected = ServeSettings.model_fields[name].description
        raise ConfigError(f"got {name} = {shown(first['input'])}, expected {expected}.") from error


def _serve(settings: ServeSettings, listen: Listen, *, has_ray: bool) -> None:
    server: Server
    if has_ray:
        from liveedit_cam.service.deployment import LocalCluster

        server = LocalCluster(settings, listen)
    else:
        from liveedit_cam.service.plain import PlainServer
        from liveedit_cam.service.settings import make_host

        listen.check()
        server = PlainServer(make_host(settings), listen)
    try:
        server.start()
        with stop_on_signals() as stop:  # after the start: Ray sets handlers of its own
            typer.echo(told(settings, listen, server.port))
            while not stop.wait(TICK_S):
                pass
    finally:
        server.stop()


def told(settings: ServeSettings, listen: Listen, port: int) -> str:
    """What to do now, for whoever started the server."""
    from liveedit_cam.control.token import SERVE_TOKEN_NAME, state_path
    from liveedit_cam.remote.address import is_loopback

    scheme = "ws" if listen.certificate is None and not listen.has_tls_in_front else "wss"
    name = "localhost" if is_loopback(listen.host) else "THIS-COMPUTER"
    kept = state_path(os.environ) / SERVE_TOKEN_NAME
    token = settings.token_file or kept
    lines = [
        f"serving {settings.model} at {scheme}://{listen.host}:{port}, "
        f"{settings.max_sessions} cameras a replica; Ctrl-C ends it",
        f"camera:  liveedit-cam run --editor remote:{scheme}://{name}:{port}",
        f"token:   in {token}; elsewhere give it as LIVEEDIT_CAM_REMOTE_TOKEN",
    ]
    return "\n".join(lines)
