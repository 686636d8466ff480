"""A small obs-websocket server on 127.0.0.1 with its own threads, for tests; protocol rpc 1.

    with FakeObs(password="secret") as obs:
        obs.answers["GetSceneItemList"] = {"sceneItems": []}
        obs.answers["GetSceneItemId"] = lambda data: {"sceneItemId": len(data["sourceName"])}
        obs.answers["SetInputMute"] = Refusal(600, "No source was found.")
        ... connect something to obs.address ...
        obs.emit("SceneTransitionStarted", transitionName="Fade")
        assert obs.wait_request("GetSceneItemId").data == {"sourceName": "Marker"}

A fault is switched on by ``obs.fault = Fault.SILENT`` and holds from the next message on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from fake_socket import CLOSE, PONG, TEXT, ServerSocket

from liveedit_cam.obs.link import ObsAddress

PATIENCE_S = 10.0
"""Longest wait for something that should happen at once; a loaded machine is slow."""

_SALT, _CHALLENGE = "c2FsdA==", "Y2hhbGxlbmdl"
_HELLO, _IDENTIFY, _IDENTIFIED, _EVENT, _REQUEST, _ANSWER = 0, 1, 2, 5, 6, 7


class Fault(Enum):
    """What the server does wrong with requests (and, while SILENT, with new clients)."""

    NONE = auto()
    LATE = auto()
    """Answers are kept back until ``release``."""
    SILENT = auto()
    """Half-open: everything is read, nothing is ever said, not even Hello or a close."""
    MALFORMED = auto()
    """An answer is broken JSON."""
    CUT = auto()
    """The connection ends in the middle of an answer."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no, with obs-websocket's code."""

    code: int
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)


Reply = Mapping[str, Any] | Refusal
Answer = Reply | Callable[[dict[str, Any]], Reply]


class FakeObs:
    """One fake OBS. Any thread may call; its fields may be changed while it runs."""

    def __init__(
        self,
        *,
        password: str = "",
        answers: Mapping[str, Answer] | None = None,
        rpc_version: int = 1,
        obs_version: str = "29.0.2",
        websocket_version: str = "5.1.0",
        port: int = 0,
    ) -> None:
        """Nothing listens yet; ``port`` 0 takes a free one, ``password`` "" asks for none."""
        self.password = password
        self.answers: dict[str, Answer] = {"GetVersion": self._version, **(answers or {})}
        self.rpc_version = rpc_version
        self.obs_version = obs_version
        self.websocket_version = websocket_version
        self.port = port
        self.fault = Fault.NONE
        self.requests: list[Request] = []
        """All requests so far, GetVersion too."""
        self.identifies: list[dict[str, Any]] = []
        """What each client said to identify itself, in order."""
        self.num_pongs = 0
        """Acknowledgements of messages, all clients together."""
        self._changed = threading.Condition()
        self._clients: list[ServerSocket] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None

    @property
    def address(self) -> ObsAddress:
        """Where it listens, with its true password."""
        return ObsAddress("127.0.0.1", self.port, self.password)

    def start(self) -> Self:
        """Listen, on the same port as before if it was started before."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)
        return self

    def stop(self) -> None:
        """End as if killed: nothing listens and all connections are gone. May be called twice."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self._listener.close()
            self._listener = None
        self.drop()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._threads.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def emit(self, name: str, **data: Any) -> None:
        """Send an event to all clients that have identified themselves."""
        message = {"eventType": name, "eventIntent": 1, "eventData": data}
        self.send_text(json.dumps({"op": _EVENT, "d": message}))

    def send_text(self, text: str) -> None:
        """Send any text, also no JSON at all, to all clients that have identified themselves."""
        for client in self._identified():
            client.send(TEXT, text.encode())

    def close_clients(self, code: int = 1001, reason: str = "Server stopping.") -> None:
        """Say goodbye with a code to all clients, as OBS does when it quits."""
        for client in self._identified():
            client.send(CLOSE, struct.pack("!H", code) + reason.encode())

    def drop(self) -> None:
        """Cut all connections without a word."""
        with self._changed:
            clients = list(self._clients)
        for client in clients:
            client.cut()

    def release(self) -> None:
        """Send the answers that Fault.LATE kept back, and be well again."""
        self.fault = Fault.NONE
        for client in self._identified():
            for text in client.take_late():
                client.send(TEXT, text.encode())

    def wait_clients(self, count: int = 1) -> None:
        """Block until exactly ``count`` clients are connected and identified."""
        self._wait(lambda: len(self._identified()) == count, f"{count} clients")

    def wait_request(self, name: str, count: int = 1) -> Request:
        """Block until a request came ``count`` times; returns the last of them."""
        self._wait(lambda: len(self._named(name)) >= count, f"request {name} number {count}")
        return self._named(name)[count - 1]

    def wait_pongs(self, count: int) -> None:
        """Block until ``count`` messages have been acknowledged."""
        self._wait(lambda: self.num_pongs >= count, f"{count} pongs")

    def hello(self) -> str:
        """The first words to a new client; a test of another server says others."""
        hello: dict[str, Any] = {
            "obsWebSocketVersion": self.websocket_version,
            "rpcVersion": self.rpc_version,
        }
        if self.password:
            hello["authentication"] = {"challenge": _CHALLENGE, "salt": _SALT}
        return json.dumps({"op": _HELLO, "d": hello})

    def _wait(self, is_true: Callable[[], bool], what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(is_true, PATIENCE_S), f"no {what}; got {self.requests}"

    def _named(self, name: str) -> list[Request]:
        return [request for request in self.requests if request.name == name]

    def _identified(self) -> list[ServerSocket]:
        with self._changed:
            return [client for client in self._clients if client.is_identified]

    def _spawn(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="fake-obs", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed by stop()
            while True:
                self._spawn(self._serve, listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        client = ServerSocket(connection)
        with self._changed:
            self._clients.append(client)
        try:
            client.shake_hands()
            if self.fault is not Fault.SILENT:
                client.send(TEXT, self.hello().encode())
            self._talk(client)
        except (OSError, EOFError):
            pass  # the peer or stop() ended it
        finally:
            with self._changed:
                self._clients.remove(client)
                self._changed.notify_all()
            client.close()

    def _talk(self, client: ServerSocket) -> None:
        while True:
            opcode, payload = client.receive()
            if opcode == CLOSE and self.fault is not Fault.SILENT:
                client.send(CLOSE, payload)
                return
            if opcode == PONG:
                with self._changed:
                    self.num_pongs += 1
                    self._changed.notify_all()
            if opcode == TEXT:
                message = json.loads(payload)
                handle = {_IDENTIFY: self._identify, _REQUEST: self._answer}[message["op"]]
                handle(client, message["d"])

    def _identify(self, client: ServerSocket, said: dict[str, Any]) -> None:
        if self.fault is Fault.SILENT:
            return
        if self.password and said.get("authentication") != _expected(self.password):
            client.send(CLOSE, struct.pack("!H", 4009) + b"Authentication failed.")
            return
        if said["rpcVersion"] != self.rpc_version:
            client.send(CLOSE, struct.pack("!H", 4010) + b"Unsupported RPC version.")
            return
        negotiated = {"negotiatedRpcVersion": said["rpcVersion"]}
        client.send(TEXT, json.dumps({"op": _IDENTIFIED, "d": negotiated}).encode())
        with self._changed:
            client.is_identified = True
            self.identifies.append(said)
            self._changed.notify_all()

    def _answer(self, client: ServerSocket, asked: dict[str, Any]) -> None:
        request = Request(asked["requestType"], asked.get("requestData", {}))
        text = json.dumps({"op": _ANSWER, "d": self._answer_to(request, asked["requestId"])})
        fault = self.fault
        if fault is Fault.LATE:
            client.late.append(text)
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        if fault is Fault.NONE:
            client.send(TEXT, text.encode())
        elif fault is Fault.MALFORMED:
            client.send(TEXT, text[:-2].encode())
        elif fault is Fault.CUT:
            client.send_half(text.encode())

    def _answer_to(self, request: Request, request_id: object) -> dict[str, Any]:
        found = self.answers.get(request.name, Refusal(204, "Your request type is not valid."))
        reply = found(request.data) if callable(found) else found
        status: dict[str, Any] = {"result": True, "code": 100}
        answer: dict[str, Any] = {"requestType": request.name, "requestId": request_id}
        if isinstance(reply, Refusal):
            status = {"result": False, "code": reply.code}
            if reply.comment:
                status["comment"] = reply.comment
        elif reply:
            answer["responseData"] = dict(reply)
        return {**answer, "requestStatus": status}

    def _version(self, data: dict[str, Any]) -> dict[str, Any]:
        return {
            "obsVersion": self.obs_version,
            "obsWebSocketVersion": self.websocket_version,
            "rpcVersion": self.rpc_version,
            "availableRequests": sorted(self.answers),
        }


def _expected(password: str) -> str:
    """The proof of the password that the protocol asks for."""
    secret = base64.b64encode(hashlib.sha256((password + _SALT).encode()).digest())
    return base64.b64encode(hashlib.sha256(secret + _CHALLENGE.encode()).digest()).decode()
