"""What the tests of the service share: a host with scripted editors, and a camera's first words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakSet

import numpy as np
import websocket
from scripted_editors import CHUNK_FRAMES, ScriptedEditor

from liveedit_cam.pixels import jpeg
from liveedit_cam.remote.address import ServerAddress
from liveedit_cam.remote.messages import Edit, FromServer, Hello, Instruction, from_server, pack
from liveedit_cam.service.host import SessionHost
from liveedit_cam.service.plain import Listen, PlainServer
from liveedit_cam.service.scheduler import Hosted, OneByOne
from liveedit_cam.service.tokens import Token

SECRET = "a-token-of-some-length"
WIDTH, HEIGHT = 64, 48
PATIENCE_S = 60.0
"""A bound for a loaded machine, never waited for when all is well."""


class Cameras:
    """Opens sockets to one server; ``close`` closes those a test still holds."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self._open: WeakSet[websocket.WebSocket] = WeakSet()

    def __call__(self, hello: Hello) -> tuple[websocket.WebSocket, FromServer]:
        """A socket on which hello was said, and the answer."""
        socket = websocket.create_connection(
            self.address.url, timeout=PATIENCE_S, suppress_origin=True
        )
        self._open.add(socket)
        socket.send_binary(pack(hello))
        return socket, from_server(socket.recv())[0]

    def close(self) -> None:
        for socket in self._open:
            socket.shutdown()


@contextmanager
def serving(
    folder: Path,
    *,
    max_sessions: int = 4,
    tokens: tuple[Token, ...] = (Token("own", SECRET),),
    port: int = 0,
    hosted: Hosted | None = None,
) -> Iterator[tuple[SessionHost, Cameras]]:
    """A server on this computer, in this process, without a cluster; and cameras for it."""
    hosted = hosted or OneByOne(lambda: ScriptedEditor(folder / "memory", "served"))
    host = SessionHost(hosted, tokens, max_sessions)
    server = PlainServer(host, Listen(port=port))
    server.start()
    cameras = Cameras(ServerAddress("127.0.0.1", server.port, False))
    try:
        yield host, cameras
    finally:
        cameras.close()
        server.stop()
        host.close()


def request(
    number: int,
    prompt: str = "mark",
    *,
    frames: int = CHUNK_FRAMES,
    width: int = WIDTH,
    height: int = HEIGHT,
    said_width: int | None = None,
    is_new_stream: bool = False,
) -> bytes:
    """A chunk of grey frames as bytes; ``said_width`` is told instead of the true one."""
    edit = Edit(
        number=number,
        instruction=Instruction(prompt=prompt),
        width=said_width or width,
        height=height,
        is_new_stream=is_new_stream,
    )
    grey = jpeg(np.full((height, width, 3), 99, np.uint8))
    return pack(edit, [grey] * frames)
