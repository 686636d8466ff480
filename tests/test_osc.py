"""OSC messages over a real socket: what they do, what they are answered, and garbage."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from numbering import NumberingController
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message_builder import OscMessageBuilder

from liveedit_cam.errors import ControlError
from liveedit_cam.osc import OscSession, messages
from liveedit_cam.types import LatencyMode, Mode, Region


def datagram(address: str, *values: object) -> bytes:
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


@pytest.fixture
def controller() -> NumberingController:
    return NumberingController()


@pytest.fixture
def session(controller: NumberingController) -> Iterator[OscSession]:
    started = OscSession(0, controller)
    yield started
    started.stop()
    started.stop()


@pytest.fixture
def peer(session: OscSession) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as made:
        made.connect(("127.0.0.1", session.port))
        made.settimeout(10)
        yield made


def ask(peer: socket.socket, address: str, *values: object) -> list[object]:
    peer.send(datagram(address, *values))
    ((answer, found),) = messages(peer.recv(8192))
    return [answer.removeprefix("/liveedit/"), *found]


def test_each_message_does_what_it_says(
    peer: socket.socket, controller: NumberingController
) -> None:
    """Issue 20: catches an action that is answered and not done."""
    assert ask(peer, "/liveedit/edit", "make it night") == ["accepted", "/liveedit/edit", 1]
    assert ask(peer, "/liveedit/strength", 0.5)[0] == "accepted"
    assert ask(peer, "/liveedit/preset", "Neon") == ["accepted", "/liveedit/preset", 3]
    assert ask(peer, "/liveedit/mode", "slate") == ["accepted", "/liveedit/mode", 3]
    assert ask(peer, "/liveedit/latency", "exact")[0] == "accepted"
    for _ in range(2):  # what is so already stays so
        assert ask(peer, "/liveedit/record", 1)[0] == "accepted"
        assert controller.found.recording is not None
    assert ask(peer, "/liveedit/record", 0)[0] == "accepted"
    assert controller.found.recording is None
    assert [(one.prompt, one.strength) for one in controller.given] == [
        ("make it night", 1.0),
        ("golden light", 0.5),
        ("make it neon", 1.0),
    ]
    assert controller.given[1].region == Region(0, 0, 0.5, 1)
    assert (controller.found.mode, controller.found.latency) == (Mode.SLATE, LatencyMode.EXACT)


@pytest.mark.parametrize(
    ("address", "values", "reason"),
    [
        ("/liveedit/edti", ["x"], "expected /liveedit/edit"),
        ("/edit", ["x"], "expected /liveedit/edit"),
        ("/liveedit/edit", [], "got 0 values"),
        ("/liveedit/edit", ["a", "b"], "got 2 values"),
        ("/liveedit/edit", [3], "expected a text"),
        ("/liveedit/mode", ["loud"], "edit, bypass, slate"),
        ("/liveedit/strength", [1.5], "from 0 to 1"),
        ("/liveedit/strength", [float("nan")], "from 0 to 1"),
        ("/liveedit/strength", [True], "from 0 to 1"),
        ("/liveedit/record", ["on"], "expected 1 or 0"),
        ("/liveedit/preset", ["nigth"], "Near: 'night'"),
    ],
)
def test_what_cannot_be_done_is_answered_with_the_reason(
    peer: socket.socket,
    controller: NumberingController,
    address: str,
    values: list[object],
    reason: str,
) -> None:
    """Catches a fader that does nothing, without a word why."""
    answer = ask(peer, address, *values)
    assert answer[:2] == ["refused", address]
    assert reason in str(answer[2])
    assert controller.given == []


def test_garbage_ends_nothing(peer: socket.socket) -> None:
    """Issue 20: OSC garbage; one datagram must not end the thread that listens."""
    chance = random.Random(0)
    good = datagram("/liveedit/edit", "make it night", 0.5, 3)
    for _ in range(300):
        broken = bytearray(good if chance.random() < 0.7 else chance.randbytes(64))
        for _ in range(chance.randrange(1, 8)):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        peer.send(bytes(broken[: chance.randrange(len(broken) + 1)]))
    deep = b"#bundle\0" + bytes(8)
    peer.send(deep * 500)
    peer.settimeout(1)
    for _ in range(20):  # what finds no room in a socket is lost: that is how UDP is
        peer.send(datagram("/liveedit/mode", "bypass"))
        with suppress(TimeoutError):
            while True:
                ((answer, found),) = messages(peer.recv(8192))
                if answer.endswith("accepted") and found[0] == "/liveedit/mode":
                    return
    pytest.fail("the good message was not answered")


def test_a_bundle_is_done_in_order(peer: socket.socket, controller: NumberingController) -> None:
    """Catches a console whose scene of several messages is dropped."""
    bundle = OscBundleBuilder(IMMEDIATELY)
    for address, value in (("/liveedit/mode", "edit"), ("/liveedit/edit", "make it night")):
        builder = OscMessageBuilder(address)
        builder.add_arg(value)
        bundle.add_content(builder.build())
    peer.send(bundle.build().dgram)
    answers = [messages(peer.recv(8192))[0] for _ in range(2)]
    assert [found[0] for _, found in answers] == ["/liveedit/mode", "/liveedit/edit"]
    assert controller.given[0].prompt == "make it night"


def test_a_port_in_use_is_named(session: OscSession, controller: NumberingController) -> None:
    """Catches a traceback where another program has the port."""
    with pytest.raises(ControlError, match=rf"UDP port {session.port}.*--osc-port"):
        OscSession(session.port, controller)
