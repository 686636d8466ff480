"""A link that comes back: when it is tried, and what is said meanwhile."""

from __future__ import annotations

from fake_clock import Clock

from liveedit_cam.remote.keeper import LONGEST_WAIT_S, REFUSED_WAIT_S, LinkKeeper
from liveedit_cam.remote.link import Link, LinkLost, LinkRefused


class FakeLink:
    """A link that is lost when the test says so."""

    class address:
        host = "gpu"

    class welcome:
        model = "nano"

    def __init__(self) -> None:
        self.lost: LinkLost | None = None

    def end(self, why: LinkLost) -> None:
        self.lost = self.lost or why


class Server:
    """Connects or refuses, and counts."""

    def __init__(self) -> None:
        self.answer: LinkLost | FakeLink = LinkLost("nobody listens there")
        self.num_tries = 0

    def connect(self) -> Link:
        self.num_tries += 1
        if isinstance(self.answer, LinkLost):
            raise self.answer
        return self.answer  # type: ignore[return-value]  # of the same shape


def run(keeper: LinkKeeper, clock: Clock, seconds: float) -> None:
    for _ in range(round(seconds * 10)):
        keeper.step()
        clock.wait(0.1)


def test_it_tries_often_enough_to_be_back_within_five_seconds() -> None:
    """Catches waits that grow beyond the bar, and tries without a pause."""
    clock, server = Clock(), Server()
    keeper = LinkKeeper(server.connect, clock.now)
    run(keeper, clock, 60)
    assert 60 / LONGEST_WAIT_S <= server.num_tries + 2 <= 60 / LONGEST_WAIT_S + 8
    assert keeper.link() is None
    assert keeper.reason == "nobody listens there"
    link = FakeLink()
    server.answer = link
    run(keeper, clock, LONGEST_WAIT_S + 0.2)
    assert keeper.link() is link
    link.lost = LinkLost("the connection broke")
    run(keeper, clock, 0.2)
    assert keeper.reason == "the connection broke"


def test_a_wrong_token_is_not_tried_every_second() -> None:
    """Catches a log full of refusals at the server, by a camera nobody corrects."""
    clock, server = Clock(), Server()
    server.answer = LinkRefused("the server does not know the token", "token")
    run(LinkKeeper(server.connect, clock.now), clock, 5 * REFUSED_WAIT_S)
    assert 4 <= server.num_tries <= 6


def test_a_full_server_is_asked_again_soon() -> None:
    """Catches the long wait where a place may become free at any moment."""
    clock, server = Clock(), Server()
    server.answer = LinkRefused("the server is full", "full")
    run(LinkKeeper(server.connect, clock.now), clock, 30)
    assert server.num_tries >= 30 / LONGEST_WAIT_S
