"""The server's side of a websocket, just enough for ``fake_obs``: whole frames over a socket."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from contextlib import suppress
from typing import BinaryIO

TEXT, CLOSE, PONG = 1, 8, 10
"""The kinds of frames used."""

_WEBSOCKET_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ServerSocket:
    """One connection. One thread receives, any thread may send."""

    def __init__(self, connection: socket.socket) -> None:
        self.is_identified = False
        self.late: list[str] = []
        self._socket = connection
        self._reader: BinaryIO = connection.makefile("rb")
        self._sending = threading.Lock()

    def shake_hands(self) -> None:
        headers = {}
        while (line := self._reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        key = headers.get("sec-websocket-key", "") + _WEBSOCKET_GUID
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        lines = (
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {accept}",
        )
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())

    def receive(self) -> tuple[int, bytes]:
        """One frame of a client: (opcode, payload); our library never splits one, always masks it.

        Raises EOFError when the connection is cut.
        """
        first, second = self._read(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", self._read(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", self._read(8))[0]
        mask = self._read(4)
        payload = self._read(length)
        key = (mask * (length // 4 + 1))[:length]
        unmasked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        return first & 0x0F, unmasked.to_bytes(length, "big")

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame; a peer that is gone is no error here."""
        self._send_bytes(_frame(opcode, payload))

    def send_half(self, payload: bytes) -> None:
        """Send the first half of a text frame and cut."""
        frame = _frame(TEXT, payload)
        self._send_bytes(frame[: len(frame) // 2])
        self.cut()

    def take_late(self) -> list[str]:
        taken, self.late = self.late, []
        return taken

    def cut(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._reader.close()
        self._socket.close()

    def _send_bytes(self, data: bytes) -> None:
        with self._sending, suppress(OSError):
            self._socket.sendall(data)

    def _read(self, count: int) -> bytes:
        data = self._reader.read(count)
        if len(data) < count:
            raise EOFError
        return data


def _frame(opcode: int, payload: bytes) -> bytes:
    """A frame of a server: final and not masked."""
    length = len(payload)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, length)
    return head + payload
