"""One connection, one session: who gets one, and what bad input does to it and to the others."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import socket as socket_
import threading
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import websocket
from scripted_editors import ScriptedEditor
from serving import PATIENCE_S, SECRET, request, serving

from liveedit_cam.remote.messages import (
    PROTOCOL,
    Edited,
    Encode,
    Failed,
    Hello,
    Instruction,
    Refused,
    Rejected,
    Size,
    Welcome,
    from_server,
    pack,
)
from liveedit_cam.service.app import SEND_S, Sender
from liveedit_cam.service.host import SessionHost
from liveedit_cam.service.scheduler import Job, OneByOne
from liveedit_cam.service.tokens import Token
from liveedit_cam.types import EditField

HELLO = Hello(token=SECRET)
SIZE = Size(chunk_frames=2, token_px=16, num_tokens=12)


def wait_for_sessions(host: SessionHost, count: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while host.health().sessions != count:
        assert time.monotonic() < until, host.health()
        threading.Event().wait(0.01)


@pytest.mark.parametrize(
    ("hello", "cause", "says"),
    [
        (Hello(token="wrong"), "token", "does not know"),
        (Hello(token=""), "token", "wanted"),
        (Hello(token="an-old-one-of-last-year"), "token", "expired on 2020-01-01"),
        (Hello(token=SECRET, protocol=9), "protocol", f"protocol 9, the server {PROTOCOL}"),
        (Hello(token=SECRET, model="liveedit-1.3b"), "model", "liveedit-1.3b.*'scripted'"),
    ],
)
def test_who_may_not_come_in_is_told_why(
    tmp_path: Path, hello: Hello, cause: str, says: str
) -> None:
    """Catches an open door, and a camera whose user cannot find out what to change."""
    old = Token("old", "an-old-one-of-last-year", expires=date(2020, 1, 1))
    with serving(tmp_path, tokens=(Token("own", SECRET), old)) as (host, say):
        socket, answer = say(hello)
        socket.close()
        assert isinstance(answer, Refused)
        assert answer.cause == cause
        assert re.search(says, answer.reason), answer.reason
        assert host.health().sessions == 0


def test_a_full_server_says_so_until_somebody_leaves(tmp_path: Path) -> None:
    """Catches one session too many, and a place that is never free again."""
    few = Token("few", "another-token-of-length", sessions=1)
    with serving(tmp_path, max_sessions=2, tokens=(Token("own", SECRET), few)) as (host, say):
        first, _ = say(Hello(token=few.secret))
        _, limited = say(Hello(token=few.secret))
        assert isinstance(limited, Refused)
        assert (limited.cause, limited.reason) == (
            "limit",
            "the token 'few' has 1 sessions open already",
        )
        _second, welcome = say(HELLO)
        assert isinstance(welcome, Welcome)
        _, full = say(HELLO)
        assert isinstance(full, Refused)
        assert (full.cause, full.reason) == ("full", "the server is full: 2 sessions")
        first.close()
        wait_for_sessions(host, 1)
        _again, welcome = say(Hello(token=few.secret))
        assert isinstance(welcome, Welcome)


def test_a_web_page_is_no_camera(tmp_path: Path) -> None:
    """Catches a server on localhost that any page in the user's browser may try tokens on."""
    with serving(tmp_path) as (_, say), pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(say.address.url, origin="https://page.example")


def test_an_edit_that_fails_costs_a_chunk_and_a_bad_instruction_nothing(tmp_path: Path) -> None:
    """Catches a session that ends by an editor's error, and NaN or a wrong size sent as a field."""
    with serving(tmp_path) as (_, say):
        socket, _ = say(HELLO)
        for number, (prompt, says) in enumerate(
            [("raise", "no room"), ("nan", "finite"), ("large", "shapes"), ("short", "expected")]
        ):
            socket.send_binary(request(number, prompt))
            answer, _ = from_server(socket.recv())
            assert isinstance(answer, Failed)
            assert answer.number == number
            assert says in answer.reason
        socket.send_binary(pack(Encode(number=1, instruction=Instruction(prompt="refuse"))))
        answer, _ = from_server(socket.recv())
        assert isinstance(answer, Rejected)
        assert "something possible" in answer.reason
        socket.send_binary(request(9))
        answer, blobs = from_server(socket.recv())
        assert isinstance(answer, Edited)
        assert (answer.number, answer.report.device, len(blobs)) == (9, "served/4", 2)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x00", "within a length"),
        (request(1, said_width=32), "no JPEG of 32x48"),
        (pack(HELLO), "second hello"),
        ("text", "text message"),
    ],
)
def test_a_malformed_message_ends_its_own_session_only(
    tmp_path: Path, data: bytes | str, says: str
) -> None:
    """Catches a bad camera that takes others with it, or is kept."""
    with serving(tmp_path) as (host, say):
        good, _ = say(HELLO)
        bad, _ = say(HELLO)
        bad.send(data) if isinstance(data, str) else bad.send_binary(data)
        answer, _ = from_server(bad.recv())
        assert isinstance(answer, Refused)
        assert answer.cause == "malformed"
        assert re.search(says, answer.reason), answer.reason
        wait_for_sessions(host, 1)
        good.send_binary(request(2))
        assert isinstance(from_server(good.recv())[0], Edited)


def test_the_newest_chunk_wins(tmp_path: Path) -> None:
    """Catches a queue: a camera that sends faster than the model edits must not fall behind."""
    with serving(tmp_path) as (host, say):
        socket, _ = say(HELLO)
        for number in range(200):
            socket.send_binary(request(number))
        numbers = []
        while not numbers or numbers[-1] != 199:
            answer, _ = from_server(socket.recv())
            assert isinstance(answer, Edited)
            numbers.append(answer.number)
        assert numbers == sorted(numbers)
        assert host.health().edits == len(numbers)


def test_a_chunk_that_is_dropped_still_begins_the_stream_anew(tmp_path: Path) -> None:
    """Catches a history of before that goes on, since the chunk that said so was replaced."""
    with serving(tmp_path) as (_, say):
        socket, _ = say(HELLO)
        numbers = list(range(100))
        for number in numbers:
            socket.send_binary(request(number, is_new_stream=number % 3 == 0))
        num_resets, edits, number = 0, 0, -1
        while number != numbers[-1]:
            answer, _ = from_server(socket.recv())
            assert isinstance(answer, Edited)
            before, number = number, answer.number
            num_resets += any(one % 3 == 0 for one in range(before + 1, number + 1))
            edits += 1
        assert edits < len(numbers), "nothing was dropped: this tests nothing"
        assert answer.report.device == f"served/{num_resets}"


def test_frames_of_another_size_cost_a_chunk(tmp_path: Path) -> None:
    """Catches a session that ends since frames left before the camera knew of another size."""
    with serving(tmp_path) as (_, say):
        socket, _ = say(HELLO)
        for number, wrong in enumerate((request(0, width=128), request(1, frames=3))):
            socket.send_binary(wrong)
            answer, _ = from_server(socket.recv())
            assert isinstance(answer, Failed)
            assert (answer.number, answer.size) == (number, SIZE)
        socket.send_binary(request(2))
        assert isinstance(from_server(socket.recv())[0], Edited)


class Noise(OneByOne):
    """Fields that no compression makes small, so that buffers fill up."""

    def edit(self, jobs: Sequence[Job]) -> list[list[EditField] | Exception]:
        results = super().edit(jobs)
        for result in results:
            assert isinstance(result, list)
            cells = result[-1].cells
            cells[:] = np.random.default_rng(0).normal(0, 1, cells.shape)
        return results


@pytest.mark.slow
def test_a_camera_that_sends_and_never_reads_loses_its_session(tmp_path: Path) -> None:
    """Catches answers kept for it, and others that wait for it."""
    hosted = Noise(lambda: ScriptedEditor(tmp_path / "memory", "served"))
    with serving(tmp_path, hosted=hosted) as (host, say):
        deaf = websocket.create_connection(
            say.address.url,
            timeout=PATIENCE_S,
            suppress_origin=True,
            sockopt=[(socket_.SOL_SOCKET, socket_.SO_RCVBUF, 4096)],
        )
        deaf.send_binary(pack(HELLO))
        deaf.recv()
        wait_for_sessions(host, 1)
        number, until = 0, time.monotonic() + SEND_S + PATIENCE_S
        with suppress(OSError, websocket.WebSocketException):
            while host.health().sessions and time.monotonic() < until:
                deaf.send_binary(request(number := number + 1))
                threading.Event().wait(0.001)
        wait_for_sessions(host, 0)
        edits = host.health().edits
        assert edits < number, "everything was edited: its buffers never filled up"
        good, _ = say(HELLO)
        good.send_binary(request(1))
        assert isinstance(from_server(good.recv())[0], Edited)
        deaf.shutdown()


@pytest.mark.slow
def test_a_thousand_cameras_come_and_go(tmp_path: Path) -> None:
    """Catches a place, a thread, a file or memory that a session leaves behind."""
    left: list[tuple[int, int, int]] = []
    with serving(tmp_path) as (host, say):
        for count in range(1000):
            socket, answer = say(HELLO)
            assert isinstance(answer, Welcome)
            if count % 2:
                socket.send_binary(request(1))
            socket.shutdown() if count % 3 else socket.close()
            wait_for_sessions(host, 0)
            if count in (200, 999):
                gc.collect()
                files = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").exists() else 0
                left.append((len(gc.get_objects()), threading.active_count(), files))
    (objects, threads, files), (more_objects, more_threads, more_files) = left
    assert more_objects < 1.05 * objects
    assert more_threads <= threads + 2
    assert more_files <= files + 4


@pytest.mark.slow
def test_ten_thousand_fuzzed_messages(tmp_path: Path) -> None:
    """Catches a crash, a session that stays and memory that grows, whatever is sent."""
    random_ = random.Random(21)
    good = [request(1), pack(HELLO), pack(Encode(number=1, instruction=Instruction(prompt="x")))]
    with serving(tmp_path) as (host, say):
        socket, answer = say(HELLO)
        num_objects = 0
        for count in range(10_000):
            data = bytearray(random_.choice(good))
            for _ in range(random_.randrange(1, 6)):
                data[random_.randrange(min(len(data), 600))] = random_.randrange(256)
            try:
                socket.send_binary(bytes(data[: random_.randrange(1, len(data) + 1)]))
                if count % 7 == 0:
                    socket.close()
                    raise ConnectionError
            except (OSError, websocket.WebSocketException):
                wait_for_sessions(host, 0)
                socket, answer = say(HELLO)
                assert isinstance(answer, Welcome)
            if count in (2_000, 9_999):
                gc.collect()
                before, num_objects = num_objects, len(gc.get_objects())
                assert count == 2_000 or num_objects < 1.1 * before
        socket.close()
        wait_for_sessions(host, 0)
        socket, _ = say(HELLO)
        socket.send_binary(request(2))
        assert isinstance(from_server(socket.recv())[0], Edited)


def test_health_is_told(tmp_path: Path) -> None:
    """Catches a health check that a load balancer cannot read."""
    with serving(tmp_path) as (_, say):
        url = f"http://127.0.0.1:{say.address.port}/healthz"
        with urllib.request.urlopen(url) as answer:
            assert b'"model":"scripted"' in answer.read()


def test_a_camera_that_does_not_read_is_left() -> None:
    """Catches answers that pile up for a camera that sends and never reads."""

    class Full:
        """A socket whose buffers are full."""

        async def send_bytes(self, data: bytes) -> None:
            await asyncio.Event().wait()

    async def answer() -> None:
        await Sender(Full(), 0.01)(Welcome(model="x", size=SIZE))  # type: ignore[arg-type]  # a fake

    with pytest.raises(TimeoutError):
        asyncio.run(answer())
