"""Runs the service and its control plane side by side until something ends it.

Order matters: the lock first, then the port, then devices and model; undone in reverse, also when a
step fails half-way. Knows neither options nor terminals.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from liveedit_cam.commands.adapter import Adapted
from liveedit_cam.control.app import create_app
from liveedit_cam.control.history import History
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress, DaemonLock
from liveedit_cam.control.token import kept_token, new_token
from liveedit_cam.errors import UsageError
from liveedit_cam.presets import PresetBook
from liveedit_cam.registry import parse_spec
from liveedit_cam.sinks import preview
from liveedit_cam.types import Status

if TYPE_CHECKING:
    from liveedit_cam.daemon.service import Service

TICK_S = 0.25
"""Time between two looks at the status, and longest reaction to a stop."""


class Display(Protocol):
    """Who tells the user what happens; called by the thread that serves."""

    def started(self, address: DaemonAddress, status: Status) -> None:
        """The control plane answers now."""

    def show(self, status: Status) -> None:
        """A new status, about four times a second."""


class Companion(Protocol):
    """What runs beside the service, such as the connection to OBS."""

    def poll(self) -> None:
        """Look whether there is something to do; about four times a second."""

    def stop(self) -> None:
        """End it; may be called twice."""


def serve(
    make_service: Callable[[], Service],
    *,
    make_companions: Sequence[Callable[[Adapted], Companion]] = (),
    port: int,
    folder: Path,
    state_folder: Path,
    presets: PresetBook,
    display: Display,
    stop: threading.Event,
) -> None:
    """Run until ``stop`` is set or the service has ended; leaves no thread behind, and no file but
    the page's token in ``state_folder``.

    Service and companions are made only after lock and port are ours. Raises LiveEditError.
    """
    with DaemonLock(folder, kept_token(state_folder)) as lock, bind(port) as listener:
        service = make_service()
        found_port = listener.getsockname()[1]
        controller = Adapted(service.controller, lock.address(found_port).pictures_url, presets)

        history = History()

        def renew_token() -> str:
            lock.change_token(new_token(state_folder))
            controller.pictures_url = lock.address(found_port).pictures_url
            return lock.token

        app = create_app(controller, lock.token, stop.set, renew_token=renew_token, history=history)
        server = ControlServer(app, listener)
        companions = [make(controller) for make in make_companions]
        with ExitStack() as undo:
            undo.callback(server.stop)
            undo.callback(service.stop)  # first, because it wakes the requests that wait
            for companion in companions:
                undo.callback(companion.stop)
            service.start()
            server.start()
            told = lock.publish(server.port)
            display.started(told, controller.status())
            while not stop.is_set() and not service.wait(TICK_S):
                for companion in companions:
                    companion.poll()
                if told != lock.address(server.port):
                    told = lock.address(server.port)
                    display.started(told, controller.status())
                status = controller.status()
                history.note(status, time.monotonic())
                display.show(status)
            display.show(controller.status())
        if service.failure is not None:
            raise service.failure


def page_port(sinks: Sequence[str], port: int, usual_port: int) -> int:
    """The port of the page: the one named in ``preview:PORT``, else ``port``.

    Raises UsageError where two different ones were asked for.
    """
    named = [
        preview.port_of(target) for kind, target in map(parse_spec, sinks) if kind == "preview"
    ]
    wanted = {number for number in named if number is not None}
    if port != usual_port:
        wanted.add(port)
    if len(wanted) > 1:
        raise UsageError(
            f"Got the ports {', '.join(map(str, sorted(wanted)))} for the page, expected one.",
            hint="The preview is part of the control page: name its port once, with --port.",
        )
    return wanted.pop() if wanted else port
