"""The page's socket: pictures with back-pressure, and the status as it changes.

A picture is sent when the one before is drawn: a slow tab gets fewer, never older ones, and one
that stands still gets none and is let go. Belongs to the thread of the event loop.

To the page: a text is JSON (status, health); bytes are a picture: four bytes little-endian for the
length of its JSON head, the head, then the JPEGs it names. From the page: JSON with ``want`` (sides
of the next picture, none = no picture), ``width`` in pixels, and ``seen``, the number of the
picture that is drawn.
"""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from liveedit_cam.control.guard import PROTOCOL
from liveedit_cam.control.health import health
from liveedit_cam.control.pictures import MAX_WIDTH, Picture, Pictures, Side, TooManyViewers
from liveedit_cam.presets import Commands

STATUS_EVERY_S = 0.25
STALL_S = 20.0
"""A page that has not drawn its picture for so long is let go."""
TRY_LATER = 1013
"""Close code: all places are taken."""
STALLED = 4008
BAD_MESSAGE = 4002


@dataclass(slots=True)
class _Wishes:
    """What the page asked for last."""

    sides: tuple[Side, ...] = ()
    width: int = MAX_WIDTH
    seen: int = 0
    """Number of the picture it has drawn."""


def add_room(app: FastAPI, controller: Commands, pictures: Pictures) -> None:
    """Add the sockets: ``/room`` with the status, ``/pictures`` without."""

    @app.websocket("/room")
    async def room(socket: WebSocket) -> None:
        await _serve(socket, pictures, lambda: _told(controller))

    @app.websocket("/pictures")
    async def only_pictures(socket: WebSocket) -> None:
        await _serve(socket, pictures, None)


class _Ended(Exception):
    """A page's socket has come to its end; ``code`` None = the page has closed it."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


async def _serve(socket: WebSocket, pictures: Pictures, told: Callable[[], str] | None) -> None:
    await socket.accept(subprotocol=PROTOCOL)
    talk = _Talk(socket, pictures, told)
    codes: list[int] = []
    try:
        with pictures.viewer():
            async with asyncio.TaskGroup() as group:  # the first that ends, ends both
                group.create_task(_to_its_end(talk.read()))
                group.create_task(_to_its_end(talk.write()))
    except* _Ended as ended:
        codes = [one.code for one in ended.exceptions if isinstance(one, _Ended) and one.code]
    except* TooManyViewers:
        codes = [TRY_LATER]
    if codes:
        await socket.close(codes[0])


async def _to_its_end(work: Coroutine[Any, Any, int | None]) -> None:
    try:
        code = await work
    except (WebSocketDisconnect, TimeoutError):  # it went while something was sent
        code = None
    raise _Ended(code)


class _Talk:
    """One page's socket."""

    def __init__(
        self, socket: WebSocket, pictures: Pictures, told: Callable[[], str] | None
    ) -> None:
        self._socket = socket
        self._pictures = pictures
        self._told = told
        self._wishes = _Wishes()
        self._changed = asyncio.Event()
        self._sent: Picture | None = None
        self._sent_at = 0.0
        self._delay_s: float | None = None

    async def read(self) -> int | None:
        """Take what the page asks for until it goes; a close code where it talks nonsense."""
        while True:
            try:
                text = await self._socket.receive_text()
            except WebSocketDisconnect:
                return None
            except KeyError:  # bytes
                return BAD_MESSAGE
            try:
                self._take(json.loads(text))
            except (ValueError, KeyError, TypeError, AttributeError):
                return BAD_MESSAGE

    def _take(self, found: dict[str, Any]) -> None:
        wishes = self._wishes
        if "want" in found:
            wishes.sides = tuple(dict.fromkeys(map(Side, found["want"])))
        wishes.width = int(found.get("width", wishes.width))
        wishes.seen = int(found.get("seen", wishes.seen))
        if self._sent is not None and wishes.seen == self._sent.number:
            self._delay_s = time.monotonic() - self._sent.captured_at
        self._changed.set()

    async def write(self) -> int | None:
        """Send status and pictures until the page goes or stalls."""
        told, due = "", 0.0
        while True:
            now = time.monotonic()
            if self._told is not None and now >= due:
                due = now + STATUS_EVERY_S
                found = await asyncio.to_thread(self._told)
                if found != told:
                    told = found
                    await self._send(self._socket.send_text(told))
            if self._may_send:
                await self._send_next()
            elif self._sent is not None and self._wishes.sides and now > self._sent_at + STALL_S:
                return STALLED
            else:
                self._changed.clear()
                await _wait(self._changed, STATUS_EVERY_S)

    @property
    def _may_send(self) -> bool:
        is_drawn = self._sent is None or self._wishes.seen == self._sent.number
        return bool(self._wishes.sides) and is_drawn

    async def _send_next(self) -> None:
        sides, seen = self._wishes.sides, self._wishes.seen
        found = await self._pictures.next_of(sides, seen, STATUS_EVERY_S, self._wishes.width)
        if found is None:
            return
        first = found[0]
        head = {
            "number": first.number,
            "delay_ms": None if self._delay_s is None else round(1000 * self._delay_s),
            "sides": [side.value for side in sides],
            "sizes": [len(one.jpeg) for one in found],
        }
        text = json.dumps(head).encode()
        self._sent, self._sent_at = first, time.monotonic()
        parts = [struct.pack("<I", len(text)), text, *(one.jpeg for one in found)]
        await self._send(self._socket.send_bytes(b"".join(parts)))

    async def _send(self, sending: Any) -> None:
        """Raises TimeoutError for a page that takes nothing."""
        async with asyncio.timeout(STALL_S):
            await sending


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def _told(controller: Commands) -> str:
    """Status and what it means, as the page shows it."""
    status = controller.status()
    shelf = controller.presets.shelf()
    found = {
        "status": asdict(status),
        "health": [asdict(part) for part in health(status)],
        "presets": hash(shelf) & 0xFFFFFFFF,
    }
    return json.dumps(found, ensure_ascii=False)
