"""The real server and the real client over a real socket, and the order of a whole run."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from control_fakes import STATUS, FakeController

from liveedit_cam.commands.serving import page_port, serve
from liveedit_cam.commands.signals import stop_on_signals
from liveedit_cam.control.app import create_app
from liveedit_cam.control.client import ControlClient, find_daemon
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress, DaemonLock, read_address
from liveedit_cam.control.wire import Accepted
from liveedit_cam.errors import (
    ControlError,
    EngineError,
    InstructionError,
    LiveEditError,
    SourceError,
    UsageError,
)
from liveedit_cam.presets import PresetBook
from liveedit_cam.types import Mode, Region, Status

TOKEN = "the-token"


@dataclass
class Daemon:
    """A served fake controller."""

    controller: FakeController
    server: ControlServer
    stop: threading.Event

    @property
    def address(self) -> DaemonAddress:
        return DaemonAddress(pid=os.getpid(), port=self.server.port, token=TOKEN)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    controller, stop = FakeController(), threading.Event()
    server = ControlServer(create_app(controller, TOKEN, stop.set), bind(0))
    server.start()
    yield Daemon(controller, server, stop)
    server.stop()


def test_each_command_makes_the_round_trip(daemon: Daemon) -> None:
    """Catches client and app that disagree about a path, a field or a type."""
    client = ControlClient(daemon.address)
    assert client.status() == STATUS
    region = Region(0.0, 0.0, 0.5, 1.0)
    accepted = client.instruct("mach es blau 🌙", strength=0.5, region=region, seed=3)
    assert accepted == Accepted(revision=7, prompt="mach es blau 🌙")
    given = daemon.controller.instructions[0]
    assert (given.strength, given.region, given.seed, given.origin) == (0.5, region, 3, "cli")
    found = replace(daemon.controller.found, strength=0.5, region=region, seed=3)
    daemon.controller.found = found
    assert client.status() == found
    assert client.wait_visible(7, timeout_s=1.0).visible_s == 0.42
    assert client.wait_encoded(10, timeout_s=1.0).notice == "no galaxies"
    assert client.set_mode(Mode.BYPASS) is Mode.BYPASS
    assert client.status().mode is Mode.BYPASS
    client.stop()
    assert daemon.stop.is_set()


def test_a_refusal_comes_back_as_the_same_kind_of_error(daemon: Daemon) -> None:
    """Catches a usage error that looks like a failed daemon: they have different exit codes."""
    client = ControlClient(daemon.address)
    with pytest.raises(InstructionError, match=r"prompt: Got a prompt to refuse\. Write another"):
        client.instruct("refuse me", strength=1.0, region=None, seed=0)
    with pytest.raises(InstructionError, match="strength"):
        client.instruct("x", strength=2.0, region=None, seed=0)
    with pytest.raises(ControlError, match="Got revision 99") as caught:
        client.wait_visible(99, timeout_s=0.0)
    assert caught.value.hint == "Use one that was answered."


def test_a_wrong_token_is_refused(daemon: Daemon) -> None:
    """Catches a server that lost its guard on the way to the socket."""
    stranger = DaemonAddress(pid=1, port=daemon.server.port, token="guess")
    with pytest.raises(ControlError, match="token is missing or wrong"):
        ControlClient(stranger).status()


def test_the_token_is_in_no_log(daemon: Daemon, caplog: pytest.LogCaptureFixture) -> None:
    """Catches an access log of addresses: a user may paste the token into a query.

    caplog gives every logger a handler, so uvicorn logs here although it is told not to.
    """
    with caplog.at_level(logging.DEBUG):
        with closing(socket.create_connection(("127.0.0.1", daemon.server.port))) as raw:
            request = (
                f"GET /?token={TOKEN} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            )
            raw.sendall(request.encode())
            answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        ControlClient(daemon.address).status()
    assert TOKEN not in caplog.text


def test_only_this_computer_is_served(daemon: Daemon) -> None:
    """Catches a server on all interfaces: the camera would be open to the network."""
    with closing(bind(0)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_named_before_anything_starts(daemon: Daemon) -> None:
    """Catches "address in use" deep in a log, with no word of the flag that helps."""
    port = daemon.server.port
    with pytest.raises(ControlError, match=rf"port {port} of 127\.0\.0\.1 cannot.*--port"):
        bind(port)


def test_stop_frees_the_port(daemon: Daemon) -> None:
    """Catches a thread or socket that outlives the server, and a second stop that fails."""
    daemon.server.stop()
    daemon.server.stop()
    assert "control-server" not in [thread.name for thread in threading.enumerate()]
    bind(daemon.server.port).close()
    with pytest.raises(ControlError, match="no liveedit-cam is running"):
        ControlClient(daemon.address).status()


def test_without_a_daemon_the_user_learns_how_to_start_one(tmp_path: Path) -> None:
    """Catches a FileNotFoundError where nothing runs."""
    with pytest.raises(ControlError, match=r"no liveedit-cam is running.*liveedit-cam run"):
        find_daemon(tmp_path)


def test_a_daemon_that_is_starting_is_not_called(tmp_path: Path) -> None:
    """Catches a connection to port 0 while the devices still open."""
    with DaemonLock(tmp_path), pytest.raises(ControlError, match="still starting"):
        find_daemon(tmp_path)


class _Stranger(BaseHTTPRequestHandler):
    """Another program that took our port."""

    def do_GET(self) -> None:
        code, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the test output clean."""


@pytest.mark.parametrize(
    "answer", [(200, b"<html>hello"), (404, b"{}"), (200, b"{}"), (200, b"[1]"), (500, b"")]
)
def test_another_program_on_our_port_is_recognised(answer: tuple[int, bytes]) -> None:
    """Catches a KeyError or a JSON traceback when something else answers."""
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        server.answer = answer  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ControlError, match="not an answer of liveedit-cam"):
            ControlClient(DaemonAddress(1, server.server_port, TOKEN)).status()
        thread.join()


@dataclass
class FakeService:
    """A Service that ends after a number of looks, or never (-1); it may fail at each point."""

    ends_after: int = 2
    start_error: LiveEditError | None = None
    failure: LiveEditError | None = None
    controller: FakeController = field(default_factory=FakeController)
    calls: list[str] = field(default_factory=list)

    def start(self) -> None:
        self.calls.append("start")
        if self.start_error is not None:
            raise self.start_error

    def stop(self) -> None:
        self.calls.append("stop")

    def wait(self, timeout_s: float) -> bool:
        self.calls.append("wait")
        return self.calls.count("wait") == self.ends_after


@dataclass
class FakeDisplay:
    """Remembers what it was shown; ``on_started`` is what the user does then."""

    on_started: str = "nothing"
    addresses: list[DaemonAddress] = field(default_factory=list)
    shown: list[Status] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """What a client with the token of before was told."""

    def started(self, address: DaemonAddress, status: Status) -> None:
        self.addresses.append(address)
        client = ControlClient(address)
        assert client.status() == status
        assert status.preview_url == address.pictures_url
        if self.on_started == "stop":
            client.stop()
        if self.on_started == "renew" and not self.refused:
            assert client.renew_token() != address
            with pytest.raises(ControlError) as refused:
                client.status()
            self.refused.append(str(refused.value))

    def show(self, status: Status) -> None:
        self.shown.append(status)


def run(folder: Path, service: FakeService, display: FakeDisplay, port: int = 0) -> None:
    serve(
        lambda: service,
        port=port,
        folder=folder,
        presets=PresetBook(folder / "presets.toml"),
        state_folder=folder.with_name(f"{folder.name}-state"),
        display=display,
        stop=threading.Event(),
    )


def test_a_run_ends_with_its_source_and_leaves_nothing(tmp_path: Path) -> None:
    """Catches a daemon that lives on after the file was played, and files or ports left behind."""
    service, display = FakeService(), FakeDisplay()
    run(tmp_path, service, display)
    assert service.calls == ["start", "wait", "wait", "stop"]
    shown = replace(STATUS, preview_url=display.addresses[0].pictures_url)
    assert display.shown == [shown, shown]
    assert list(tmp_path.iterdir()) == []
    bind(display.addresses[0].port).close()


def test_a_client_can_end_the_run(tmp_path: Path) -> None:
    """Catches a stop that is answered and then forgotten: this test would not end."""
    service = FakeService(ends_after=-1)
    run(tmp_path, service, FakeDisplay(on_started="stop"))
    assert service.calls == ["start", "stop"]


def test_the_address_stays_until_a_new_one_is_asked_for(tmp_path: Path) -> None:
    """Issue 20: a bookmark and a dock in OBS broke with every start."""
    found = [FakeDisplay(), FakeDisplay(), FakeDisplay(on_started="renew")]
    port = 0
    for display in found:
        run(tmp_path, FakeService(ends_after=2), display, port)
        port = display.addresses[0].port
    first, again, before, renewed = (one for display in found for one in display.addresses)
    assert first.page_url == again.page_url == before.page_url != renewed.page_url
    (refused,) = found[2].refused
    assert "liveedit-cam page" in refused


def test_a_failed_start_leaves_nothing(tmp_path: Path) -> None:
    """Catches a lock or port kept by a run that never was: the next start would be refused."""
    service = FakeService(start_error=SourceError("no camera."))
    with pytest.raises(SourceError, match="no camera"):
        run(tmp_path, service, FakeDisplay())
    assert service.calls == ["start", "stop"]
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_failed_for_good_is_an_error(tmp_path: Path) -> None:
    """Catches exit code 0 after the engine gave up."""
    service = FakeService(failure=EngineError("the engine failed five times."))
    with pytest.raises(EngineError, match="five times"):
        run(tmp_path, service, FakeDisplay())
    assert service.calls[-1] == "stop"


def test_lock_and_port_come_before_the_camera(tmp_path: Path, daemon: Daemon) -> None:
    """Catches a second run that grabs the camera of the first before it is refused."""
    service = FakeService()
    with pytest.raises(ControlError, match="--port"):
        run(tmp_path, service, FakeDisplay(), port=daemon.server.port)
    with DaemonLock(tmp_path), pytest.raises(ControlError, match="runs already"):
        run(tmp_path, service, FakeDisplay())
    assert service.calls == []
    assert read_address(tmp_path) is None


STOPS = [
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if name in signal.Signals.__members__
]


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_is_a_clean_stop(number: signal.Signals) -> None:
    """Catches a Ctrl-C or a closed terminal that leaves devices open, and handlers that stay."""
    outside = signal.signal(number, signal.SIG_DFL)  # under nohup SIGHUP would be ignored
    try:
        before = signal.getsignal(number)
        with stop_on_signals() as stop:
            assert not stop.is_set()
            signal.raise_signal(number)
            assert stop.is_set()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(number) is before
    finally:
        signal.signal(number, outside)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGHUP there")
def test_nohup_is_respected() -> None:
    """Catches a camera that ends with the terminal although it was told not to."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("sinks", "port", "expected"),
    [
        (("auto",), 8642, 8642),
        (("auto",), 9000, 9000),
        (("preview",), 8642, 8642),
        (("preview:8650",), 8642, 8650),
        (("virtual-camera", "preview:8650"), 8650, 8650),
        (("preview:0",), 8642, 0),
    ],
)
def test_the_page_listens_where_the_preview_was_asked_for(
    sinks: tuple[str, ...], port: int, expected: int
) -> None:
    """Catches preview:PORT, once a server of its own, that is silently ignored."""
    assert page_port(sinks, port, usual_port=8642) == expected


def test_the_page_has_one_port() -> None:
    """Catches one of two ports that is silently ignored."""
    for sinks, port in ((("preview:8650",), 9000), (("preview:1", "preview:2"), 8642)):
        with pytest.raises(UsageError, match="expected one"):
            page_port(sinks, port, usual_port=8642)
