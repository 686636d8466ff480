"""One connection to a model server, seen from the camera. Knows no model, and no second try.

Any thread sends and waits; a thread of the link's own reads. What nobody waits for any more is
dropped, so nothing grows.
"""

from __future__ import annotations

import ssl
import statistics
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import websocket

from liveedit_cam.errors import ModelError
from liveedit_cam.remote.address import ServerAddress
from liveedit_cam.remote.messages import (
    PROTOCOL,
    Cause,
    Edit,
    Edited,
    Encode,
    Encoded,
    Failed,
    FromServer,
    Hello,
    Refused,
    Rejected,
    Welcome,
    WireError,
    from_server,
    pack,
)

CONNECT_TIMEOUT_S = 3.0
HELLO_TIMEOUT_S = 30.0
"""A server may have to make room for the stream on its device before it says Welcome."""
STALL_S = 2.0
"""A request that cannot be handed to the system for so long ends the link."""
PING_EVERY_S = 1.0
MAX_ANSWERS = 8
"""Answers kept for who waits: those of the chunks on their way, and one of an instruction."""

Answer = tuple[FromServer, list[bytes]]


class LinkLost(ModelError):
    """There is no connection, or no longer; the message says why."""


class LinkRefused(LinkLost):
    """The server does not want this camera."""

    def __init__(self, message: str, cause: Cause, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.cause = cause


class Link:
    """An open session. Lock: ``_changed``."""

    def __init__(
        self, socket: websocket.WebSocket, address: ServerAddress, welcome: Welcome
    ) -> None:
        """Take over a socket on which the server said Welcome."""
        self.welcome = welcome
        self.address = address
        self._socket = socket
        self._changed = threading.Condition()
        self._answers: dict[tuple[bool, int], tuple[float, Answer]] = {}
        self._next = 1
        self._pinged_at = 0.0
        self._rtts: deque[float] = deque(maxlen=8)
        self._lost: LinkLost | None = None
        self._reader = threading.Thread(target=self._read, name="remote-read", daemon=True)
        self._reader.start()

    @property
    def lost(self) -> LinkLost | None:
        """Why it is over; None while it is not."""
        with self._changed:
            return self._lost

    @property
    def round_trip_s(self) -> float:
        """Median of the last pings; how far the server is, without what it takes for an edit."""
        with self._changed:
            return statistics.median(self._rtts) if self._rtts else 0.0

    def next_number(self) -> int:
        """A number for a request."""
        with self._changed:
            self._next += 1
            return self._next

    def send(self, message: Encode | Edit, blobs: Sequence[bytes] = ()) -> None:
        """Send a request, and now and then a ping before it. Raises LinkLost."""
        try:
            if time.monotonic() - self._pinged_at > PING_EVERY_S:
                self._pinged_at = time.monotonic()
                self._socket.ping(str(self._pinged_at))
            self._socket.send_binary(pack(message, blobs))
        except (OSError, websocket.WebSocketException) as error:
            self.end(LinkLost(f"the connection broke ({_told(error)})"))
        self._raise_lost()

    def wait(
        self, requests: Sequence[Encode | Edit], timeout_s: float
    ) -> tuple[Answer, float] | None:
        """The newest answer to one of ``requests`` and when it came, monotonic.

        They are in the order in which they were sent. None when no answer came in time. Raises
        LinkLost.
        """
        keys = [(isinstance(one, Edit), one.number) for one in reversed(requests)]
        with self._changed:
            self._changed.wait_for(
                lambda: self._lost or any(key in self._answers for key in keys), timeout_s
            )
            there = [self._answers.pop(key) for key in keys if key in self._answers]
        if not there:
            self._raise_lost()
            return None
        at, answer = there[0]
        return answer, at

    def end(self, why: LinkLost) -> None:
        """Close it, for this reason unless there was one before. Any thread, any number of times.

        Returns at once, also where the other computer is gone without a word.
        """
        with self._changed:
            self._lost = self._lost or why
            self._changed.notify_all()
        with suppress(OSError, websocket.WebSocketException):
            self._socket.abort()  # wakes the reader, which closes it

    def _raise_lost(self) -> None:
        if (lost := self.lost) is not None:
            raise lost

    def _read(self) -> None:
        try:
            while self.lost is None:
                self._read_one()
        except WireError as error:
            self.end(LinkLost(f"the server's message cannot be used: {error}"))
        except (OSError, websocket.WebSocketException) as error:
            self.end(LinkLost(f"the connection broke ({_told(error)})"))
        finally:
            self._socket.shutdown()

    def _read_one(self) -> None:
        """One frame, whole or the rest of it after a time-out."""
        try:
            opcode, data = self._socket.recv_data(control_frame=True)
        except websocket.WebSocketTimeoutException:
            return
        if opcode == websocket.ABNF.OPCODE_PONG and data == str(self._pinged_at).encode():
            with self._changed:
                self._rtts.append(time.monotonic() - self._pinged_at)
        elif opcode not in (websocket.ABNF.OPCODE_PONG, websocket.ABNF.OPCODE_PING):
            self._note(from_server(_binary(opcode, data)))

    def _note(self, answer: Answer) -> None:
        message = answer[0]
        match message:
            case Edited() | Failed() | Encoded() | Rejected():
                is_edit = isinstance(message, Edited | Failed)
                with self._changed:
                    self._answers[is_edit, message.number] = time.monotonic(), answer
                    while len(self._answers) > MAX_ANSWERS:
                        del self._answers[next(iter(self._answers))]
                    self._changed.notify_all()
            case Refused():
                self.end(LinkRefused(message.reason, message.cause))
            case Welcome():
                raise WireError("got a second welcome, expected an answer")


def connect(
    address: ServerAddress,
    token: str,
    certificate: Path | None = None,
    *,
    timeout_s: float = CONNECT_TIMEOUT_S,
) -> Link:
    """Open a session. Raises LinkLost, and LinkRefused where the server says no.

    ``certificate`` is a PEM file that the server's own is checked by, None = the system's
    authorities.
    """
    socket = websocket.WebSocket(enable_multithread=True, sslopt=_sslopt(address, certificate))
    try:
        socket.connect(address.url, timeout=timeout_s, suppress_origin=True)
        socket.settimeout(HELLO_TIMEOUT_S)
        socket.send_binary(pack(Hello(token=token, model=address.model)))
        answer, _ = from_server(_binary(*socket.recv_data()))
        if isinstance(answer, Refused):
            raise LinkRefused(answer.reason, answer.cause)
        if not isinstance(answer, Welcome) or answer.protocol != PROTOCOL:
            raise LinkLost(f"its first words are {answer.type!r}, expected a welcome")
        socket.settimeout(STALL_S)
        return Link(socket, address, answer)
    except (LinkLost, OSError, WireError, websocket.WebSocketException) as error:
        with suppress(OSError, websocket.WebSocketException):
            socket.shutdown()
        raise _as_lost(error) from error


def _sslopt(address: ServerAddress, certificate: Path | None) -> dict[str, object]:
    if not address.is_secure or certificate is None:
        return {}
    return {"ca_certs": str(certificate), "cert_reqs": ssl.CERT_REQUIRED}


def _binary(opcode: int, data: bytes) -> bytes:
    """A binary message. Raises WireError, WebSocketException."""
    if opcode == websocket.ABNF.OPCODE_CLOSE:
        raise websocket.WebSocketConnectionClosedException("the server closed it")
    if opcode != websocket.ABNF.OPCODE_BINARY:
        raise WireError("got a text message, expected binary ones")
    return bytes(data)


def _as_lost(error: Exception) -> LinkLost:
    if isinstance(error, LinkLost):
        return error
    if isinstance(error, websocket.WebSocketBadStatusException):
        if error.status_code == 503:
            return LinkRefused("the server is full", "full")
        return LinkLost(f"it answered HTTP {error.status_code}, expected a model server")
    if isinstance(error, WireError):
        return LinkLost(f"it does not speak our protocol: {error}")
    return LinkLost(_told(error))


def _told(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nobody listens there"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError | websocket.WebSocketTimeoutException):
        return "no answer in time"
    if isinstance(error, websocket.WebSocketAddressException):
        return "there is no computer of that name"
    return str(error) or type(error).__name__
