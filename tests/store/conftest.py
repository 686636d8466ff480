"""What the store's tests share: a hub on this machine, and a guard against any other host."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from fake_hub import FakeHub

os.environ.setdefault("NO_PROXY", "127.0.0.1,localhost")  # before the hub's library reads it

OWN_HOSTS = ("127.0.0.1", "localhost", "::1")


class Guard:
    """Refuses every connection and every name look-up that leaves this machine."""

    is_up = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Called by Python for each audited event."""
        if not self.is_up:
            return
        if event == "socket.getaddrinfo":
            self.check(arguments[0])
        elif event == "socket.connect" and isinstance(arguments[1], tuple):
            self.check(arguments[1][0])

    def check(self, host: object) -> None:
        """Raise RuntimeError, which no code of ours catches."""
        if host not in OWN_HOSTS:
            raise RuntimeError(f"a test wants to reach {host}")


@pytest.fixture(scope="session")
def guard() -> Guard:
    """The one guard of this process; Python has no way to take it down again."""
    found = Guard()
    sys.addaudithook(found)
    return found


@pytest.fixture(autouse=True)
def _only_this_machine(guard: Guard) -> Iterator[None]:
    guard.is_up = True
    yield
    guard.is_up = False


@pytest.fixture
def server() -> Iterator[FakeHub]:
    """An empty hub."""
    hub = FakeHub()
    yield hub
    hub.close()
