"""The port cannot be used up: half-open connections, slow clients, wrong bytes, many of them."""

from __future__ import annotations

import logging
import os
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import numpy as np
import pytest
from control_fakes import STATUS, FakeController
from starlette.types import Receive, Scope, Send

from liveedit_cam.control.app import create_app
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.connections import SAY_AGAIN_S, Connection, Limits, Seldom
from liveedit_cam.control.guard import Guard
from liveedit_cam.control.pictures import MAX_VIEWERS
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.types import Frame

TOKEN = "the-token"
HEAD = f"Host: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
PICTURE = f"GET /edited.jpg HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode()
MAX_CONNECTIONS = Limits().max_connections


@pytest.fixture
def controller() -> FakeController:
    return FakeController()


@pytest.fixture
def address(controller: FakeController) -> Iterator[DaemonAddress]:
    server = ControlServer(create_app(controller, TOKEN, lambda: None), bind(0))
    server.start()
    yield DaemonAddress(os.getpid(), server.port, TOKEN)
    server.stop()


def connect(address: DaemonAddress) -> socket.socket:
    return socket.create_connection(("127.0.0.1", address.port), timeout=20)


def answer_to(address: DaemonAddress, request: bytes) -> bytes:
    with closing(connect(address)) as raw:
        raw.sendall(request)
        return b"".join(iter(lambda: raw.recv(65536), b""))


@pytest.mark.parametrize(
    "beginning", [b"", b"GET /api/status HTTP/1.1\r\nHost: 127", b"\x16\x03\x01\x02"]
)
def test_half_open_connections_leave_room_for_a_request(
    address: DaemonAddress, beginning: bytes
) -> None:
    """Issue 15: connections that never send a whole request must not keep anybody out."""
    with ExitStack() as held:
        for _ in range(2 * MAX_CONNECTIONS):
            raw = held.enter_context(closing(connect(address)))
            raw.sendall(beginning)
        assert ControlClient(address).status() == STATUS


def test_a_request_under_way_keeps_its_place(
    address: DaemonAddress, controller: FakeController
) -> None:
    """Catches a limit that drops whoever was there first, waiting clients among them."""
    path = "/api/wait?revision=8&timeout_s=1"
    with ExitStack() as held:
        waiting = held.enter_context(closing(connect(address)))
        waiting.sendall(f"GET {path} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
        patience_ends = time.monotonic() + 20
        while controller.num_looks == 0:  # before, it is no request yet
            assert time.monotonic() < patience_ends
            time.sleep(0.001)
        for _ in range(2 * MAX_CONNECTIONS):
            held.enter_context(closing(connect(address)))
        answer = b"".join(iter(lambda: waiting.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")


def test_many_waits_leave_room_for_a_request(address: DaemonAddress) -> None:
    """Catches a wait that holds a thread: forty of them and nobody is answered."""
    path = "/api/wait?revision=8&timeout_s=20"
    with ExitStack() as held:
        for _ in range(MAX_CONNECTIONS):
            raw = held.enter_context(closing(connect(address)))
            raw.sendall(f"GET {path} HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert ControlClient(address).status() == STATUS


class Brief(Connection):
    """A connection with less patience than usual, so that the tests need none."""

    limits = Limits(header_timeout_s=0.1, send_timeout_s=0.1)


@pytest.fixture
def brief(controller: FakeController) -> Iterator[DaemonAddress]:
    app = create_app(controller, TOKEN, lambda: None)
    server = ControlServer(app, bind(0), connection=Brief)
    server.start()
    yield DaemonAddress(os.getpid(), server.port, TOKEN)
    server.stop()


def is_ended(raw: socket.socket) -> bool:
    """Whether the other side has closed; waits for it, and reads what came before."""
    try:
        while raw.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "beginning",
    [
        "",
        "GET /api/status HTTP/1.1\r\nHost: 127",
        f"GET /api/status HTTP/1.1\r\n{HEAD}\r\nGET /api/sta",
    ],
)
def test_a_request_that_never_ends_is_given_up(brief: DaemonAddress, beginning: str) -> None:
    """Catches half a request that keeps its place for ever, the first or a later one."""
    with closing(connect(brief)) as raw:
        raw.sendall(beginning.encode())
        assert is_ended(raw)


def test_a_body_that_never_ends_is_given_up() -> None:
    """Catches a body announced and not sent, which holds its request for ever."""

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the body was not complete")

    guard = Guard(never, lambda path, secret: True, "", body_timeout_s=0.1)
    server = ControlServer(guard, bind(0))
    server.start()
    request = f"POST /api/mode HTTP/1.1\r\n{HEAD}Content-Length: 10\r\n\r\n123"
    address = DaemonAddress(os.getpid(), server.port, TOKEN)
    assert answer_to(address, request.encode()).startswith(b"HTTP/1.1 408")
    server.stop()


def test_a_viewer_who_takes_nothing_is_let_go(
    brief: DaemonAddress, controller: FakeController
) -> None:
    """Issue 15: a stalled tab holds its place, and 16 of them shut everybody else out."""
    noise = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    controller.frame = Frame(noise, 0, 0.0)
    request = f"GET /edited.mjpeg HTTP/1.1\r\n{HEAD}\r\n"
    with ExitStack() as held:
        for _ in range(MAX_VIEWERS):
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            raw.connect(("127.0.0.1", brief.port))
            held.enter_context(closing(raw))
            raw.sendall(request.encode())
        give_up_at = time.monotonic() + 20
        while b"200 OK" not in answer_to(brief, PICTURE):
            assert time.monotonic() < give_up_at
            controller.frame = Frame(noise.copy(), 0, 0.0)


def test_a_stop_does_not_wait_for_viewers(
    controller: FakeController, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a program that hangs at its end, and an error in its log for it."""
    controller.frame = Frame(np.zeros((36, 64, 3), np.uint8), 0, 0.0)
    server = ControlServer(create_app(controller, TOKEN, lambda: None), bind(0))
    server.start()
    with closing(connect(DaemonAddress(1, server.port, TOKEN))) as raw:
        raw.sendall(f"GET /edited.mjpeg HTTP/1.1\r\n{HEAD}\r\n".encode())
        assert b"200 OK" in raw.recv(4096)
        server.stop()
        assert is_ended(raw)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    "request_bytes",
    [b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"A" * 20_000],
)
def test_wrong_bytes_leave_one_line(
    address: DaemonAddress, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue 15: no traceback, and no client that can fill the log."""
    for _ in range(20):
        with closing(connect(address)) as raw:
            raw.sendall(request_bytes)
            assert is_ended(raw)
    assert ControlClient(address).status() == STATUS
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("path", ["/api/status", "/edited.mjpeg", "/api/wait?revision=8"])
def test_a_client_that_resets_leaves_no_traceback(
    address: DaemonAddress,
    controller: FakeController,
    path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Issue 15: a tab that is closed in the middle is no defect of ours."""
    controller.frame = Frame(np.zeros((36, 64, 3), np.uint8), 0, 0.0)
    for _ in range(20):
        with closing(connect(address)) as raw:
            raw.sendall(f"GET {path} HTTP/1.1\r\n{HEAD}\r\n".encode())
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    body = f"POST /api/mode HTTP/1.1\r\n{HEAD}Content-Length: 10\r\n\r\n123"
    with closing(connect(address)) as raw:
        raw.sendall(body.encode())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ControlClient(address).status() == STATUS
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_the_same_line_is_logged_seldom() -> None:
    """Catches a log that a client fills, and one that says a thing once and never again."""
    now_s = 0.0
    seldom = Seldom(lambda: now_s)

    def passes(line: str) -> bool:
        return seldom.filter(logging.makeLogRecord({"msg": line}))

    assert [passes("a"), passes("a"), passes("b")] == [True, False, True]
    now_s = SAY_AGAIN_S
    assert passes("a")
    assert all(passes(str(number)) for number in range(1000))
    assert passes("b")


STARVE = """
import resource, socket, os
from control_fakes import FakeController
from liveedit_cam.control.app import create_app
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
import logging
logging.basicConfig(format="%(message)s")
server = ControlServer(create_app(FakeController(), "t", lambda: None), bind(0))
server.start()
client = ControlClient(DaemonAddress(os.getpid(), server.port, "t"))
client.status()
calls = [socket.socket() for _ in range(20)]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
taken = []
try:
    while True:
        taken.append(os.open(os.devnull, os.O_RDONLY))
except OSError:
    pass
for call in calls:  # they are connected by the system, and cannot be accepted
    call.connect(("127.0.0.1", server.port))
import threading
threading.Event().wait(1.5)
for one in taken:
    os.close(one)
for call in calls:
    call.close()
client.status()
print("alive")
server.stop()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of the process")
def test_without_file_descriptors_it_says_so_once_and_goes_on() -> None:
    """Issue 15: an endless log, and a daemon that never answers again."""
    done = subprocess.run(
        [sys.executable, "-c", STARVE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "alive\n", done.stderr
    assert done.stderr.splitlines() == [
        "socket.accept() out of system resource: [Errno 24] Too many open files"
    ]
