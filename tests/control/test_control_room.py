"""The page's socket: who may open it, what it sends, and what a slow page costs."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from socket import create_connection
from typing import Any

import numpy as np
import pytest
import websocket
from control_fakes import FakeController
from fastapi.testclient import TestClient

from liveedit_cam.control.app import create_app
from liveedit_cam.control.room import BAD_MESSAGE
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import picture_key
from liveedit_cam.types import Frame

TOKEN = "the-token"
OURS = "http://127.0.0.1:8642"


def a_frame(level: int = 90) -> Frame:
    pixels = np.full((72, 128, 3), level, np.uint8)
    return Frame(pixels, 0, 0.0, revision=1, source=pixels)


@contextmanager
def open_socket(
    address: str, path: str = "/room", secret: str = TOKEN, **more: Any
) -> Iterator[websocket.WebSocket]:
    host, _, port = address.partition(":")
    with closing(create_connection((host, int(port)), timeout=30)) as raw:  # else it stays open
        yield websocket.create_connection(
            f"ws://{address}{path}",
            subprotocols=["liveedit-cam", f"secret.{secret}"],
            socket=raw,
            **{"suppress_origin": True, **more},
        )


@pytest.fixture
def controller() -> FakeController:
    return FakeController(frame=a_frame())


@pytest.fixture
def address(controller: FakeController) -> Iterator[str]:
    server = ControlServer(create_app(controller, TOKEN, lambda: None), bind(0))
    server.start()
    yield f"127.0.0.1:{server.port}"
    server.stop()


def next_picture(socket: Any) -> tuple[dict[str, Any], list[bytes]]:
    """The head and the JPEGs of the next picture; texts before it are passed over."""
    kind, data = socket.recv_data()
    while kind == websocket.ABNF.OPCODE_TEXT:
        kind, data = socket.recv_data()
    assert kind == websocket.ABNF.OPCODE_BINARY, data
    (length,) = struct.unpack("<I", data[:4])
    head = json.loads(data[4 : 4 + length])
    jpegs, at = [], 4 + length
    for size in head["sizes"]:
        jpegs.append(data[at : at + size])
        at += size
    assert at == len(data)
    return head, jpegs


@pytest.mark.parametrize(
    ("path", "secret", "more"),
    [
        ("/room", "guess", {}),
        ("/room", picture_key(TOKEN), {}),
        ("/room", TOKEN, {"suppress_origin": False, "origin": "http://evil.example"}),
        ("/room", TOKEN, {"host": "evil.example"}),
        ("/pictures", "", {}),
    ],
)
def test_a_stranger_gets_no_socket(
    address: str, path: str, secret: str, more: dict[str, Any]
) -> None:
    """Catches a camera that any page of the browser can look at: sockets know no same origin."""
    with (
        pytest.raises(websocket.WebSocketBadStatusException, match="403"),
        open_socket(address, path, secret, **more),
    ):
        pass


def test_the_status_comes_by_itself_and_says_what_to_do(address: str) -> None:
    """Catches a page that has to ask, and figures without words."""
    with open_socket(address) as socket:
        found = json.loads(socket.recv())
    assert found["status"]["instruction"] == "make it night"
    assert [part["name"] for part in found["health"]] == ["camera", "engine", "output", "OBS"]


def test_a_picture_comes_only_once_the_one_before_is_drawn(
    address: str, controller: FakeController
) -> None:
    """Issue 20: a stalled tab must cost nothing; catches pictures that pile up on their way."""
    with open_socket(address, "/pictures", picture_key(TOKEN)) as socket:
        socket.send(json.dumps({"want": ["edited", "source"], "width": 100}))
        first, jpegs = next_picture(socket)
        assert first["sides"] == ["edited", "source"]
        assert all(jpeg.startswith(b"\xff\xd8") for jpeg in jpegs)
        assert first["delay_ms"] is None
        for level in (100, 110, 120):  # nobody says that the first one is drawn
            controller.frame = a_frame(level)
            socket.send(json.dumps({"width": 100}))
        socket.send(json.dumps({"seen": first["number"], "want": ["edited"]}))
        second, _ = next_picture(socket)
        assert second["number"] == first["number"] + 1
        assert second["delay_ms"] > 0


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "3", '{"want": ["all"]}', '{"seen": "x"}', '{"width": null}']
)
def test_nonsense_ends_the_socket_alone(address: str, text: str) -> None:
    """Catches a traceback, or a socket that lives on and sends what nobody asked for."""
    with open_socket(address) as socket:
        socket.send(text)
        kind, data = socket.recv_data()
        while kind == websocket.ABNF.OPCODE_TEXT:
            kind, data = socket.recv_data()
    assert (kind, struct.unpack("!H", data[:2])) == (websocket.ABNF.OPCODE_CLOSE, (BAD_MESSAGE,))


def test_the_parts_of_the_page_are_open_and_hold_no_secret(controller: FakeController) -> None:
    """Catches a page that cannot load its own script, and other files that are given out."""
    client = TestClient(create_app(controller, TOKEN, lambda: None), base_url=OURS)
    for name in ("main.js", "page.css", "uplot.js", "look-night.jpg"):
        answer = client.get(f"/page/{name}")
        assert answer.status_code == 200
        assert TOKEN.encode() not in answer.content
    for name in ("nothing.js", "..%2fapp.py", "uplot.LICENSE.txt", "%00"):
        assert client.get(f"/page/{name}").status_code in (401, 404)
