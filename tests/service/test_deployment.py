"""The host on Ray Serve, for real: one local cluster, whose replica is killed under a camera."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from threading import Event

import pytest
import websocket
from serving import Cameras, request

from liveedit_cam.control.token import SERVE_TOKEN_NAME
from liveedit_cam.model.config import NANO
from liveedit_cam.remote.address import ServerAddress
from liveedit_cam.remote.messages import Edited, Hello, Refused, Welcome, from_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra serve"),
]

START_S = 300.0
"""A bound for a loaded machine: Ray starts a dozen processes, and a replica loads torch."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cameras, str]]:
    """``serve --local`` of nano for two cameras, as a user starts it; and its token."""
    folder = tmp_path_factory.mktemp("state")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "liveedit_cam", "serve", "--local", f"--port={port}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command,
            env=os.environ | {"LIVEEDIT_CAM_RUNTIME_DIR": str(folder / "run")},
            stdout=log,
            stderr=log,
        )
    cameras = Cameras(ServerAddress("127.0.0.1", port, False))
    try:
        until = time.monotonic() + START_S
        while "camera:" not in (folder / "log").read_text():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            Event().wait(0.5)
        yield cameras, (folder / "run" / SERVE_TOKEN_NAME).read_text()
    finally:
        cameras.close()
        process.send_signal(signal.SIGINT)
        process.wait(START_S)


# Ray 2.60 itself imports with this, where pydantic is 2.14
@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`:DeprecationWarning")
def test_sessions_call_for_replicas_and_a_full_one_still_answers() -> None:
    """Catches a cluster that scales by requests, refuses in silence, or drains for hours."""
    from liveedit_cam.service.deployment import DRAIN_S, build

    given = {"token": "0123456789abcdef", "max_sessions": 10, "min_replicas": 0, "max_replicas": 5}
    deployment = build(given)._bound_deployment
    config = deployment._deployment_config
    scaling = config.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas) == (0, 5)
    assert scaling.target_ongoing_requests == 8.0, "a session is one request; 80 % full"
    assert config.max_ongoing_requests > 10, "who finds no place is told so"
    assert config.graceful_shutdown_timeout_s == DRAIN_S


def pid_of(cameras: Cameras) -> int:
    """Of the replica; 0 while there is none."""
    try:
        return _pid_of(cameras)
    except OSError:
        return 0


def _pid_of(cameras: Cameras) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{cameras.address.port}/healthz") as answer:
        return int(json.load(answer)["pid"])


def edits(cameras: Cameras, token: str) -> int:
    """Edit a chunk in a session of its own; the number of pixels a frame has."""
    camera, welcome = cameras(Hello(token=token))
    assert isinstance(welcome, Welcome), welcome
    width, height = welcome.size.model_size.of(1280, 720)
    frames = welcome.size.chunk_frames
    camera.send_binary(request(1, "make it night", frames=frames, width=width, height=height))
    answer, _ = from_server(camera.recv())
    assert isinstance(answer, Edited), answer
    camera.close()
    return width * height


def has_ended(camera: websocket.WebSocket) -> bool:
    """Whether the next thing the camera is told is the end, by a close or a lost connection."""
    try:
        opcode, _ = camera.recv_data()
    except websocket.WebSocketConnectionClosedException:
        return True
    return bool(opcode == websocket.ABNF.OPCODE_CLOSE)


def test_a_camera_is_edited_for(cluster: tuple[Cameras, str]) -> None:
    """Catches a route that Ray's proxy cannot reach, and messages it changes."""
    cameras, token = cluster
    assert edits(cameras, token) == NANO.width * NANO.height
    _, refused = cameras(Hello(token="wrong"))
    assert isinstance(refused, Refused)
    assert refused.cause == "token"


def test_a_replica_that_is_killed_is_replaced(cluster: tuple[Cameras, str]) -> None:
    """Catches a camera that is not told, and a server that needs a hand to come back."""
    cameras, token = cluster
    camera, _ = cameras(Hello(token=token))
    before = pid_of(cameras)
    os.kill(before, signal.SIGKILL)
    assert has_ended(camera)
    until = time.monotonic() + START_S
    while pid_of(cameras) in (0, before):
        assert time.monotonic() < until
        Event().wait(1)
    assert edits(cameras, token)
