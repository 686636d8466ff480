"""What the tests of link and connection stand on: callers, a clock, a link and a handler."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fake_clock import Clock
from fake_obs import PATIENCE_S

from liveedit_cam.obs.connection import ObsConnection, ObsState, ObsStatus
from liveedit_cam.obs.errors import ObsError
from liveedit_cam.obs.link import ObsAddress, ObsLink, ObsVersion, connect

ADDRESS = ObsAddress("127.0.0.1", 4455, "secret")
SHORT_S = 0.2
"""The time-out of a link where a test waits for one."""
STEP_S = 0.125
"""How time passes here: longer than a tick, and sums of it are exact."""
VERSION = ObsVersion("29.0.2", "5.1.0", 1)
LINKED = ObsStatus(ObsState.CONNECTED, "OBS 29.0.2, obs-websocket 5.1.0")


@dataclass
class Caller:
    """Opens links and keeps what they call back."""

    events: queue.Queue[tuple[str, dict[str, Any]]] = field(default_factory=queue.Queue)
    ends: queue.Queue[str] = field(default_factory=queue.Queue)
    links: list[ObsLink] = field(default_factory=list)

    def connect(self, address: ObsAddress, timeout_s: float = PATIENCE_S) -> ObsLink:
        link = connect(address, self.on_event, self.ends.put, timeout_s=timeout_s)
        self.links.append(link)
        return link

    def on_event(self, name: str, data: dict[str, Any]) -> None:
        self.events.put((name, data))


@dataclass
class FakeLink:
    """A link whose requests succeed, or end as ``failure`` says."""

    version: ObsVersion = VERSION
    close_code: int | None = None
    failure: ObsError | None = None
    requests: list[str] = field(default_factory=list)
    is_closed: bool = False

    def request(self, name: str, data: object = None) -> dict[str, Any]:
        self.requests.append(name)
        if self.failure is not None:
            raise self.failure
        return {}

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Handler:
    """Writes down what it is told; ``fail`` is called with each."""

    told: queue.Queue[str] = field(default_factory=queue.Queue)
    fail: Callable[[str], None] = lambda what: None

    def connected(self, link: ObsLink) -> None:
        self._tell("connected")

    def event(self, link: ObsLink, name: str, data: dict[str, Any]) -> None:
        self._tell(name)

    def tick(self, link: ObsLink) -> None:
        self._tell("tick")

    def lost(self) -> None:
        self._tell("lost")

    def _tell(self, what: str) -> None:
        self.told.put(what)
        self.fail(what)

    def take(self) -> list[str]:
        """All that was told since the last time."""
        return [self.told.get_nowait() for _ in range(self.told.qsize())]

    def wait(self, *expected: str) -> None:
        """Block until exactly these were told, ticks aside."""
        for what in expected:
            found = "tick"
            while found == "tick":
                found = self.told.get(timeout=PATIENCE_S)
            assert found == what


class Stage:
    """A connection driven by hand: what each connect brings, and how time passes."""

    def __init__(self) -> None:
        self.clock = Clock(100.0)
        self.handler = Handler()
        self.link = FakeLink()
        self.refusal: ObsError | None = None
        """What the next connects raise; None = they bring ``link``."""
        self.tries: list[float] = []
        """When each connect came, in seconds since the first."""
        self.put: Callable[[str, dict[str, Any]], None]
        self.end: Callable[[str], None]
        self.connection = ObsConnection(
            ADDRESS, self.handler, connect=self.connect, now=self.clock.now, timeout_s=1.0
        )

    def connect(
        self,
        address: ObsAddress,
        on_event: Callable[[str, dict[str, Any]], None],
        on_closed: Callable[[str], None],
        *,
        timeout_s: float,
    ) -> FakeLink:
        assert address is ADDRESS
        self.tries.append(self.clock.now_s - 100.0)
        self.put, self.end = on_event, on_closed
        if self.refusal is not None:
            raise self.refusal
        return self.link

    def poll(self, times: int = 1) -> None:
        for _ in range(times):
            self.connection.poll(0.0)

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps, with a round in each."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.now_s += STEP_S
            self.poll()
