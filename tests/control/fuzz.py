"""The control port against requests that nobody meant: no defect, no crash, every answer readable.

Requests are drawn from the API's own description, right and wrong ones, so that a new route is
fuzzed without a line here; beside them come bytes that are no request. The tests run a few; the
whole size is

    python tests/control/fuzz.py --requests 10000 --bytes 1000 [--port P]

With --port, that of a daemon whose token is TOKEN is attacked, as benchmarks/attacks.py does.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from no_recorder import no_choice, no_recorder

from liveedit_cam.commands.adapter import Adapted
from liveedit_cam.control.app import create_app
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.controller import Controller
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.run import Run
from liveedit_cam.presets import PresetBook
from liveedit_cam.types import Frame, Status

TOKEN = "the-token"
PATIENCE_S = 20.0
SOME_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=6,
)
WAITS = {"timeout_s": st.floats(0, 0.01), "seen": st.integers(100, 10**30)}
"""Parameters that, left out, would make us wait for what never comes."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    target: str
    body: bytes | None
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def served() -> Iterator[DaemonAddress]:
    """The real Controller behind the real server; no engine, so that nothing is ever visible."""
    shown: Latest[Frame] = Latest()
    shown.put(Frame(np.zeros((36, 64, 3), np.uint8), 0, 0.0))
    controller = Controller(
        EditLedger(time.monotonic),
        Run(Board(Status()), Metrics(), time.monotonic),
        FrameInbox(8),
        shown,
        recorder=no_recorder(Board(Status())),
        choose=no_choice,
    )
    adapted = Adapted(controller, "", PresetBook(Path("/nowhere/presets.toml")))
    server = ControlServer(
        create_app(adapted, TOKEN, lambda: None, renew_token=lambda: TOKEN), bind(0)
    )
    server.start()
    try:
        yield DaemonAddress(os.getpid(), server.port, TOKEN)
    finally:
        server.stop()


def values(schema: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    """What a schema allows; ``whole`` is the description its references point into."""
    if "$ref" in schema:
        found = whole
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return values(found, whole)
    if "anyOf" in schema:
        return st.one_of([values(one, whole) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    low, high = schema.get("minimum"), schema.get("maximum", schema.get("exclusiveMaximum"))
    match schema.get("type"):
        case "object":
            needed = set(schema.get("required", ()))
            fields = {
                name: values(one, whole) for name, one in schema.get("properties", {}).items()
            }
            return st.fixed_dictionaries(
                {name: one for name, one in fields.items() if name in needed},
                optional={name: one for name, one in fields.items() if name not in needed},
            )
        case "integer":
            return st.integers(low, high)
        case "number":
            return st.floats(low, high)
        case "null":
            return st.none()
        case _:
            return st.text()


def bodies(operation: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[bytes | None]:
    """Right ones, wrong ones, and what is no JSON."""
    content = operation.get("requestBody", {}).get("content", {})
    wrong = SOME_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60)
    if "application/json" not in content:
        return st.none() | wrong
    right = values(content["application/json"]["schema"], whole)
    mixed = st.tuples(right, st.dictionaries(st.text(max_size=9), SOME_JSON, max_size=2)).map(
        lambda both: {**both[0], **both[1]}
    )
    return st.one_of(right.map(json.dumps), mixed.map(json.dumps)).map(str.encode) | wrong


@st.composite
def calls(draw: st.DrawFn, whole: dict[str, Any]) -> Call:
    """One request to a route that is described."""
    path = draw(st.sampled_from(sorted(whole["paths"])))
    method = draw(st.sampled_from(sorted(whole["paths"][path])))
    operation = whole["paths"][path][method]
    query: list[tuple[str, str]] = []
    for one in operation.get("parameters", ()):
        right = WAITS.get(one["name"], values(one["schema"], whole))
        value = str(draw(st.one_of(right, right, SOME_JSON)))
        if one["in"] == "path":
            path = path.replace(f"{{{one['name']}}}", quote(value, safe="", errors="replace"))
        elif one["name"] in WAITS or draw(st.integers(0, 9)):
            query.append((one["name"], value))
    if not draw(st.integers(0, 9)):
        method = draw(st.sampled_from(["put", "delete", "head", "options", "patch", "trace"]))
    target = f"{path}?{urlencode(query, errors='replace')}" if query else path
    body = (
        draw(bodies(operation, whole)) if method != "get" or not draw(st.integers(0, 4)) else None
    )
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    return Call(method.upper(), target, body, headers)


@st.composite
def byte_strings(draw: st.DrawFn) -> bytes:
    """Anything, or a request with some of its bytes gone, doubled or changed."""
    if draw(st.booleans()):
        return draw(st.binary(min_size=1, max_size=3000))
    request = (
        f"POST /api/instruction HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
        'Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"prompt": "sepia!"}'
    ).encode()
    for _ in range(draw(st.integers(1, 5))):
        at, length = draw(st.integers(0, len(request))), draw(st.integers(0, 30))
        new = draw(st.sampled_from([b"", request[at : at + length] * 2]) | st.binary(max_size=9))
        request = request[:at] + new + request[at + length :]
    return request


def ask(address: DaemonAddress, call: Call) -> int:
    """The status of the answer; asserts that it can be read and is no defect."""
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=PATIENCE_S)
    with closing(connection):
        connection.request(call.method, call.target, call.body, call.headers)
        answer = connection.getresponse()
        kind = answer.headers.get("Content-Type", "")
        if not kind.startswith("multipart/"):  # a stream has no end
            text = answer.read()
            if kind == "application/json" and call.method != "HEAD":
                json.loads(text)
    assert answer.status < 500, f"{answer.status} to {call}"
    return answer.status


def throw(address: DaemonAddress, data: bytes) -> bytes:
    """What comes back for bytes, up to the end of the connection; asserts that it is no defect."""
    with closing(socket.create_connection(("127.0.0.1", address.port), timeout=PATIENCE_S)) as raw:
        answer = b""
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            while part := raw.recv(65536):
                answer += part
        except ConnectionError:
            pass
    assert not answer or answer.startswith(b"HTTP/1.1 "), f"{answer[:80]!r} to {data!r}"
    assert answer[9:10] != b"5", f"{answer[:80]!r} to {data!r}"
    return answer


def fuzz(num_requests: int, num_byte_strings: int, port: int | None = None) -> Counter[str]:
    """Run all; what was answered how often. Raises AssertionError with the request.

    ``port`` None = that of a server of its own.
    """
    answers: Counter[str] = Counter()
    running = served() if port is None else nullcontext(DaemonAddress(0, port, TOKEN))
    with running as address:
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=PATIENCE_S)
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        with closing(connection):
            connection.request("GET", "/api/openapi.json", headers=bearer)
            whole = json.load(connection.getresponse())

        def each(call: Call) -> None:
            answers[str(ask(address, call))] += 1

        def each_bytes(data: bytes) -> None:
            answers[f"bytes {throw(address, data)[9:12].decode() or 'none'}"] += 1

        options: dict[str, Any] = {
            "database": None,
            "deadline": None,
            "derandomize": True,
            "phases": (Phase.generate, Phase.shrink),
            "suppress_health_check": list(HealthCheck),
        }
        settings(max_examples=num_requests, **options)(given(calls(whole))(each))()
        settings(max_examples=num_byte_strings, **options)(given(byte_strings())(each_bytes))()
        ControlClient(address).status()
    return answers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Fuzz the control port.")
    parser.add_argument("--requests", type=int, default=10_000, metavar="N")
    parser.add_argument("--bytes", type=int, default=1_000, metavar="N")
    parser.add_argument("--port", type=int)
    wanted = parser.parse_args()
    began_at = time.monotonic()
    found = fuzz(wanted.requests, wanted.bytes, wanted.port)
    print(json.dumps({**found, "seconds": round(time.monotonic() - began_at, 1)}))  # noqa: T201 - a script
