"""The page's socket: who may open it, what it sends, and what a slow page costs."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
from control_fakes import FakeController
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from liveedit_cam.control.app import create_app
from liveedit_cam.control.room import BAD_MESSAGE
from liveedit_cam.control.state import picture_key
from liveedit_cam.types import Frame

TOKEN = "the-token"
OURS = "http://127.0.0.1:8642"


def a_frame(level: int = 90) -> Frame:
    pixels = np.full((72, 128, 3), level, np.uint8)
    return Frame(pixels, 0, 0.0, revision=1, source=pixels)


def open_socket(
    client: TestClient, path: str = "/room", secret: str = TOKEN, **headers: str
) -> Any:
    offered = ["liveedit-cam", f"secret.{secret}"]
    return client.websocket_connect(
        f"ws://127.0.0.1:8642{path}", subprotocols=offered, headers=headers
    )


@pytest.fixture
def controller() -> FakeController:
    return FakeController(frame=a_frame())


@pytest.fixture
def client(controller: FakeController) -> TestClient:
    return TestClient(create_app(controller, TOKEN, lambda: None), base_url=OURS)


def next_picture(socket: Any) -> tuple[dict[str, Any], list[bytes]]:
    """The head and the JPEGs of the next picture; texts before it are passed over."""
    while "bytes" not in (message := socket.receive()) or message["bytes"] is None:
        assert message["type"] == "websocket.send", message
    data = message["bytes"]
    (length,) = struct.unpack("<I", data[:4])
    head = json.loads(data[4 : 4 + length])
    jpegs, at = [], 4 + length
    for size in head["sizes"]:
        jpegs.append(data[at : at + size])
        at += size
    assert at == len(data)
    return head, jpegs


@pytest.mark.parametrize(
    ("path", "secret", "headers"),
    [
        ("/room", "guess", {}),
        ("/room", picture_key(TOKEN), {}),
        ("/room", TOKEN, {"Origin": "http://evil.example"}),
        ("/room", TOKEN, {"Host": "evil.example"}),
        ("/pictures", "", {}),
    ],
)
def test_a_stranger_gets_no_socket(
    client: TestClient, path: str, secret: str, headers: dict[str, str]
) -> None:
    """Catches a camera that any page of the browser can look at: sockets know no same origin."""
    with pytest.raises(WebSocketDisconnect), open_socket(client, path, secret, **headers):
        pass


def test_the_status_comes_by_itself_and_says_what_to_do(client: TestClient) -> None:
    """Catches a page that has to ask, and figures without words."""
    with open_socket(client) as socket:
        found = json.loads(socket.receive_text())
    assert found["status"]["instruction"] == "make it night"
    assert [part["name"] for part in found["health"]] == ["camera", "engine", "output", "OBS"]


def test_a_picture_comes_only_once_the_one_before_is_drawn(
    client: TestClient, controller: FakeController
) -> None:
    """Issue 20: a stalled tab must cost nothing; catches pictures that pile up on their way."""
    with open_socket(client, "/pictures", picture_key(TOKEN)) as socket:
        socket.send_text(json.dumps({"want": ["edited", "source"], "width": 100}))
        first, jpegs = next_picture(socket)
        assert first["sides"] == ["edited", "source"]
        assert all(jpeg.startswith(b"\xff\xd8") for jpeg in jpegs)
        assert first["delay_ms"] is None
        for level in (100, 110, 120):  # nobody says that the first one is drawn
            controller.frame = a_frame(level)
            socket.send_text(json.dumps({"width": 100}))
        socket.send_text(json.dumps({"seen": first["number"], "want": ["edited"]}))
        second, _ = next_picture(socket)
        assert second["number"] == first["number"] + 1
        assert second["delay_ms"] > 0


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", "3", '{"want": ["all"]}', '{"seen": "x"}', '{"width": null}']
)
def test_nonsense_ends_the_socket_alone(client: TestClient, text: str) -> None:
    """Catches a traceback, or a socket that lives on and sends what nobody asked for."""
    with open_socket(client) as socket:
        socket.send_text(text)
        while (message := socket.receive())["type"] == "websocket.send":
            pass
    assert (message["type"], message["code"]) == ("websocket.close", BAD_MESSAGE)


def test_the_parts_of_the_page_are_open_and_hold_no_secret(client: TestClient) -> None:
    """Catches a page that cannot load its own script, and other files that are given out."""
    for name in ("main.js", "page.css", "uplot.js", "look-night.jpg"):
        answer = client.get(f"/page/{name}")
        assert answer.status_code == 200
        assert TOKEN.encode() not in answer.content
    for name in ("nothing.js", "..%2fapp.py", "uplot.LICENSE.txt", "%00"):
        assert client.get(f"/page/{name}").status_code in (401, 404)
