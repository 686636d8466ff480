"""The socket under a link to OBS: text messages in and out. Knows no word of OBS's protocol."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from websocket import ABNF, WebSocket, WebSocketException


class Goodbye(Exception):
    """The other side closed the connection in good order."""

    def __init__(self, payload: bytes) -> None:
        """``payload`` of the close frame: two bytes of code, then words; both may be missing."""
        self.code = struct.unpack("!H", payload[:2])[0] if len(payload) >= 2 else 1000
        words = payload[2:].decode("utf-8", "replace")
        super().__init__(f"OBS closed it, code {self.code}{f', {words}' if words else ''}")


class Wire:
    """The library's socket; unlike it, it tells a goodbye from an empty message.

    One thread receives; any thread may send or hang up.
    """

    def __init__(self, ws: WebSocket) -> None:
        """``ws`` is connected; it belongs to the wire from now on."""
        self._ws = ws
        self._is_hung_up = False

    def send(self, text: str) -> None:
        """Send one message. Raises WebSocketException, OSError."""
        self._ws.send(text)

    def recv(self) -> str:
        """Block until the next message; what came of one before a time-out is kept.

        Each is answered with an empty pong: OBS sends its next one only when the last has been
        acknowledged, which a system by itself puts off (40 ms on Linux) and any word of ours
        carries at once.
        Raises Goodbye, WebSocketTimeoutException, WebSocketException, OSError.
        """
        opcode, data = self._ws.recv_data()
        if opcode == ABNF.OPCODE_CLOSE:
            raise Goodbye(data)
        with suppress(OSError, WebSocketException):  # the next recv tells of a dead connection
            self._ws.pong()
        return str(data, "utf-8")

    def hang_up(self) -> None:
        """Say goodbye and end both directions, which wakes a waiting ``recv``."""
        if self._is_hung_up:
            return
        self._is_hung_up = True
        with suppress(OSError, WebSocketException):
            self._ws.send_close()
        sock = self._ws.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the socket; no ``recv`` may be waiting."""
        self._ws.shutdown()
