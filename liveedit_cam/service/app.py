"""The host behind a WebSocket: one connection, one session. Knows no cluster.

A session has one chunk at work and one that waits; a newer one replaces that. What a camera does
not read is not kept: its connection is closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect

from liveedit_cam.errors import LiveEditError
from liveedit_cam.remote.messages import (
    Edit,
    Encode,
    FromCamera,
    FromServer,
    Hello,
    Refused,
    WireError,
    from_camera,
    pack,
)
from liveedit_cam.service.host import Session, SessionHost
from liveedit_cam.service.tokens import Refusal

HELLO_S = 10.0
"""Longest wait for a camera's first message."""
SILENT_S = 60.0
"""A camera that sends nothing for so long is gone; its place is another's."""
SEND_S = 10.0
"""A camera that does not read for so long loses its session."""
_POLICY, _FULL = 1008, 1013

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Request:
    """A chunk as it came."""

    edit: Edit
    blobs: list[bytes]
    at: float


class _Newest:
    """One value on its way from one coroutine to another; a newer one replaces it."""

    def __init__(self) -> None:
        self._value: _Request | None = None
        self._is_there = asyncio.Event()

    def put(self, value: _Request) -> None:
        before = self._value
        if before is not None and before.edit.is_new_stream:  # it is what is dropped that said so
            edit = value.edit.model_copy(update={"is_new_stream": True})
            value = replace(value, edit=edit)
        self._value = value
        self._is_there.set()

    async def take(self) -> _Request:
        await self._is_there.wait()
        self._is_there.clear()
        value, self._value = self._value, None
        assert value is not None, "set with a value only"
        return value


def add_routes(app: FastAPI, host: Callable[[], SessionHost]) -> None:
    """Give ``app`` the camera's WebSocket and a health check; ``host`` is asked at each call."""

    @app.get("/healthz")
    def healthz() -> dict[str, object]:
        return asdict(host().health())

    @app.websocket("/")
    async def camera(socket: WebSocket) -> None:
        await serve_camera(socket, host())


async def serve_camera(socket: WebSocket, host: SessionHost) -> None:
    """One connection from its first message to its end."""
    if "origin" in socket.headers:  # a web page; cameras send none
        _log.info("refused a web page of %s", socket.headers["origin"])
        await socket.close(_POLICY)
        return
    await socket.accept()
    send = Sender(socket)
    try:
        session = await _open(socket, host)
    except Refusal as refusal:
        _log.info("refused a camera: %s", refusal.reason)
        await _refuse(socket, send, refusal)
        return
    except (WebSocketDisconnect, TimeoutError, OSError):
        return
    _log.info("session %d of token %r is open", session.number, session.token.name)
    try:
        await send(session.welcome(host.model))
        await _serve(socket, session, send)
    except Refusal as refusal:
        _log.info("session %d is ended: %s", session.number, refusal.reason)
        await _refuse(socket, send, refusal)
    except (WebSocketDisconnect, TimeoutError, OSError):
        pass
    finally:
        host.close_session(session)
        _log.info("session %d is closed", session.number)


class Sender:
    """Sends whole messages, one at a time. Raises TimeoutError where the camera does not read."""

    def __init__(self, socket: WebSocket, timeout_s: float = SEND_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()

    async def __call__(self, message: FromServer, blobs: list[bytes] | None = None) -> None:
        async with self._lock, asyncio.timeout(self._timeout_s):
            await self._socket.send_bytes(pack(message, blobs or []))


async def _refuse(socket: WebSocket, send: Sender, refusal: Refusal) -> None:
    with suppress(WebSocketDisconnect, TimeoutError, OSError, RuntimeError):
        await send(Refused(cause=refusal.cause, reason=refusal.reason[:4000]))
        await socket.close(_FULL if refusal.cause in ("full", "limit") else _POLICY)


async def _open(socket: WebSocket, host: SessionHost) -> Session:
    """Raises Refusal, and what a connection that ends raises."""
    async with asyncio.timeout(HELLO_S):
        message, _ = await _receive(socket)
    if not isinstance(message, Hello):
        raise Refusal("malformed", f"got {message.type!r} first, expected hello")
    try:
        return await asyncio.to_thread(host.open, message)
    except LiveEditError as error:
        raise Refusal("full", f"no stream could be opened: {error}") from error


async def _receive(socket: WebSocket) -> tuple[FromCamera, list[bytes]]:
    """The next message. Raises Refusal, WebSocketDisconnect."""
    raw = await socket.receive()
    if raw["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(raw.get("code", 1006))
    data = raw.get("bytes")
    if data is None:
        raise Refusal("malformed", "got a text message, expected binary ones")
    try:
        return from_camera(data)
    except WireError as error:
        raise Refusal("malformed", str(error)) from error


async def _serve(socket: WebSocket, session: Session, send: Sender) -> None:
    """Read and answer until one of both ends; raises what ended it."""
    newest = _Newest()
    encodes: asyncio.Queue[Encode] = asyncio.Queue(maxsize=8)
    tasks = [
        asyncio.create_task(work)
        for work in (
            _read(socket, newest, encodes),
            _edit(session, newest, send),
            _encode(session, encodes, send),
        )
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def _read(socket: WebSocket, newest: _Newest, encodes: asyncio.Queue[Encode]) -> None:
    while True:
        try:
            async with asyncio.timeout(SILENT_S):
                message, blobs = await _receive(socket)
        except TimeoutError:
            raise Refusal("silent", f"the camera said nothing for {SILENT_S:g} s") from None
        match message:
            case Edit():
                newest.put(_Request(message, blobs, time.monotonic()))
            case Encode():
                await encodes.put(message)
            case Hello():
                raise Refusal("malformed", "got a second hello, expected a request")


async def _encode(session: Session, encodes: asyncio.Queue[Encode], send: Sender) -> None:
    while True:
        request = await encodes.get()
        await send(await asyncio.to_thread(session.encode, request))


async def _edit(session: Session, newest: _Newest, send: Sender) -> None:
    while True:
        request = await newest.take()
        try:
            job = await asyncio.to_thread(session.prepare, request.edit, request.blobs)
            fields = await asyncio.wrap_future(session.submit(job))
        except WireError as error:
            raise Refusal("malformed", str(error)) from error
        except Exception as error:  # noqa: BLE001 - told to the camera
            await send(session.failed(request.edit, error))
            continue
        waited_s = time.monotonic() - request.at
        await send(*await asyncio.to_thread(session.answer, request.edit, fields, waited_s))
