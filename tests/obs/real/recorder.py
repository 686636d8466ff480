"""Commands that remember what they were told and when, and the rig that drives them from OBS."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from real_obs import PASSWORD, RealObs, wait_until

from liveedit_cam.obs.bridge import Bridge
from liveedit_cam.obs.connection import ObsConnection, ObsState
from liveedit_cam.obs.link import ObsAddress, ObsLink, connect
from liveedit_cam.types import EditInstruction, Latency, Mode, Region, Status

PATIENCE_S = 10.0
READY = "barrier"
_READY_RULE = f'[[rule]]\nwhen = {{ custom = "{READY}" }}\nedit = "{READY}"\n'


@dataclass(frozen=True, slots=True)
class Told:
    """One command: an instruction, or a mode."""

    what: str | Mode
    strength: float
    at: float
    """Seconds on ``time.monotonic()``."""


class Recorder:
    """Accepts everything; the connection's thread writes, the test reads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._told: list[Told] = []

    def instruct(
        self, prompt: str, *, strength: float, region: Region | None, seed: int, origin: str
    ) -> EditInstruction:
        assert origin.startswith("obs")
        self._note(Told(prompt, strength, time.monotonic()))
        return EditInstruction(prompt, strength, region, seed, origin, revision=1)

    def set_mode(self, mode: Mode) -> None:
        self._note(Told(mode, 1.0, time.monotonic()))

    def prepare(self, prompt: str) -> None:
        """Nothing is encoded here."""

    def status(self) -> Status:
        return Status(instruction="make it night", glass_to_sink=Latency(180.0, 260.0))

    def told(self) -> list[str | Mode]:
        """All commands since ``clear``, oldest first, without the rig's own."""
        with self._changed:
            return [one.what for one in self._told if one.what != READY]

    def wait_for(self, what: str | Mode) -> Told:
        """The first such command since ``clear``."""

        def find() -> Told | None:
            return next((one for one in self._told if one.what == what), None)

        with self._changed:
            assert self._changed.wait_for(find, PATIENCE_S), f"no {what!r} came: {self._told}"
            found = find()
        assert found is not None
        return found

    def clear(self) -> None:
        """Forget all."""
        with self._changed:
            self._told.clear()

    def _note(self, told: Told) -> None:
        with self._changed:
            self._told.append(told)
            self._changed.notify_all()


class Rig:
    """A bridge with its connection, as the daemon has them, and a link of the test's own."""

    def __init__(self, bridge: Bridge, connection: ObsConnection, recorder: Recorder) -> None:
        self.bridge = bridge
        self.connection = connection
        self.recorder = recorder

    def settle(self, link: ObsLink) -> None:
        """Wait until all that happened in OBS so far has been acted on, and forget it."""
        link.request("BroadcastCustomEvent", {"eventData": {"liveedit": READY}})
        self.recorder.wait_for(READY)
        self.recorder.clear()


def open_link(obs: RealObs) -> ObsLink:
    """A link for the test's own requests; its events are not looked at."""
    return connect(address_of(obs), _ignore_event, _ignore_end, timeout_s=PATIENCE_S)


def address_of(obs: RealObs) -> ObsAddress:
    return ObsAddress("127.0.0.1", obs.port, PASSWORD)


@contextmanager
def running_rig(obs: RealObs, path: Path, rules: str) -> Iterator[Rig]:
    """Rules at work on an OBS that is ready."""
    path.write_text(rules + _READY_RULE, "utf-8")
    recorder = Recorder()
    bridge = Bridge(path, recorder)
    connection = ObsConnection(address_of(obs), bridge)
    connection.start()
    try:
        wait_until(lambda: is_connected(connection), PATIENCE_S, "the connection is there")
        yield Rig(bridge, connection, recorder)
    finally:
        connection.stop()


def is_connected(connection: ObsConnection) -> bool:
    return connection.status().state is ObsState.CONNECTED


def _ignore_event(name: str, data: dict[str, Any]) -> None:
    pass


def _ignore_end(reason: str) -> None:
    pass
