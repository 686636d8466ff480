"""Does a picture suffer from what is done to the control port?

The whole daemon with the real model runs on a drawn scene before a sink that keeps nothing, and
other processes attack its port: right and wrong requests drawn from its OpenAPI description, byte
strings that are no request, half-open connections. Noted at the daemon: answers by status; at the
sink: the longest gap between two pictures, beside that of a calm time before. Needs schemathesis,
where it is named. The last line is one JSON object.

    python benchmarks/attacks.py [--requests 10000] [--bytes 1000] [--half-open 300]
        [--schemathesis PROGRAM --examples 1500]
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path

from bench import Figure, live_service, print_result
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from liveedit_cam.commands.adapter import Adapted
from liveedit_cam.config import Config
from liveedit_cam.control.app import create_app
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.presets import PresetBook
from liveedit_cam.types import Frame

QUESTION = "Does a picture suffer from what is done to the control port?"
TOKEN = "the-token"
CALM_S = 10.0
FUZZ = Path(__file__).parents[1] / "tests/control/fuzz.py"
WAITING = r"(/api/wait|\.jpg|\.mjpeg)$"
"""Routes that wait for what never comes, or have no end; FUZZ asks them with short times."""


class Watcher:
    """Keeps nothing but when a picture came."""

    name = "watcher"

    def __init__(self) -> None:
        """Nothing came yet."""
        self.times: list[float] = []

    def write(self, _: Frame) -> None:
        """Note it."""
        self.times.append(time.monotonic())

    def close(self) -> None:
        """Nothing to free."""


class Counted:
    """An app whose answers are counted by status."""

    def __init__(self, app: ASGIApp) -> None:
        """Hand on to ``app``."""
        self._app = app
        self.answers: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count and hand on."""

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.answers[message["status"]] += 1
            await send(message)

        await self._app(scope, receive, counting)


@contextmanager
def attacked(folder: Path) -> Iterator[tuple[Watcher, Counted, DaemonAddress]]:
    """A live daemon with its port open; nobody can stop it, what it records goes to ``folder``."""
    watcher = Watcher()
    config = Config(
        source="pattern",
        sinks=("watcher",),
        prompt="make the background blue",
        record_folder=folder,
    )
    with live_service(config, sink=watcher) as (service, _):
        adapted = Adapted(service.controller, "", PresetBook(folder / "presets.toml"))
        app = Counted(create_app(adapted, TOKEN, lambda: None, renew_token=lambda: TOKEN))
        server = ControlServer(app, bind(0))
        server.start()
        try:
            yield watcher, app, DaemonAddress(os.getpid(), server.port, TOKEN)
        finally:
            server.stop()


def run(program: list[str], folder: Path) -> None:
    """Run an attacker in ``folder``. Raises CalledProcessError where it found a defect."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(FUZZ.parents[1]), *sys.path])}
    subprocess.run(program, cwd=folder, env=environ, check=True, stdout=sys.stderr)


def half_open(address: DaemonAddress, number: int) -> float:
    """Seconds until the status answers while ``number`` connections send half a request each."""
    with ExitStack() as held:
        for _ in range(number):
            raw = held.enter_context(closing(socket.create_connection(("127.0.0.1", address.port))))
            raw.sendall(b"GET /api/status HTTP/1.1\r\nHost: 127")
        began = time.monotonic()
        ControlClient(address).status()
        return time.monotonic() - began


def main() -> None:
    """Attack, measure and print."""
    wanted = _parse()
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name, attacked(Path(name)) as (watcher, app, address):
        folder = Path(name)
        url = f"http://127.0.0.1:{address.port}"
        sizes = ["--requests", str(wanted.requests), "--bytes", str(wanted.bytes)]
        own = [sys.executable, str(FUZZ), *sizes, "--port", str(address.port)]
        drawn = [
            wanted.schemathesis,
            *("run", f"{url}/api/openapi.json", "--url", url),
            *("--header", f"Authorization: Bearer {TOKEN}", "--checks", "not_a_server_error"),
            *("--exclude-path-regex", WAITING, "--max-examples", str(wanted.examples)),
            *("--phases", "coverage,fuzzing", "--no-color"),
        ]
        attacks: dict[str, Callable[[], object]] = {
            "calm": lambda: time.sleep(CALM_S),
            "fuzz": lambda: run(own, folder),
            "half_open": lambda: half_open(address, wanted.half_open),
        }
        if wanted.schemathesis:
            attacks["schemathesis"] = lambda: run(drawn, folder)
        for attack, start in attacks.items():
            first, before = len(watcher.times), app.answers.copy()
            began = time.monotonic()
            found = start()
            figures[f"{attack}_s"] = time.monotonic() - began
            if isinstance(found, float):
                figures[f"{attack}_status_s"] = found
            times = watcher.times[max(0, first - 1) :]
            figures[f"{attack}_gap_ms"] = 1000 * max(b - a for a, b in pairwise(times))
            answers = app.answers - before
            figures[f"{attack}_requests"] = answers.total()
            figures[f"{attack}_5xx"] = sum(n for code, n in answers.items() if code >= 500)
    print_result(QUESTION, figures)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=1_000)
    parser.add_argument("--half-open", type=int, default=300)
    parser.add_argument("--schemathesis", metavar="PROGRAM", help="left out = not run")
    parser.add_argument("--examples", type=int, default=1_500, help="of schemathesis, a route")
    return parser.parse_args()


if __name__ == "__main__":
    main()
