"""Whether a run connects to OBS, what its status says, and that commands arrive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from fake_obs import FakeObs

from liveedit_cam.config import load_config
from liveedit_cam.obs import connection
from liveedit_cam.obs.session import ObsSession
from liveedit_cam.types import EditInstruction, Mode, Region, Status

PATIENCE_S = 30.0


class Recorder:
    """Commands that note what they were given."""

    def __init__(self) -> None:
        self.prompts: list[tuple[str, str]] = []
        self.noted: list[tuple[str, str | None]] = []
        self.came = Event()

    def instruct(
        self, prompt: str, *, strength: float, region: Region | None, seed: int, origin: str
    ) -> EditInstruction:
        self.prompts.append((prompt, origin))
        self.came.set()
        return EditInstruction(prompt, strength, region, seed, origin, revision=len(self.prompts))

    def set_mode(self, mode: Mode) -> None:
        """Not asked for here."""

    def prepare(self, prompt: str) -> None:
        """Not asked for here."""

    def status(self) -> Status:
        return Status()

    def note_obs(self, state: str, detail: str | None) -> None:
        self.noted.append((state, detail))


def session(tmp_path: Path, commands: Recorder, **settings: object) -> ObsSession:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    return ObsSession(load_config(None, environ, settings), environ, commands)


def poll_until(found: ObsSession, is_reached: Callable[[], bool]) -> None:
    waiting = Event()
    for _ in range(int(PATIENCE_S / 0.02)):
        found.poll()
        if is_reached():
            return
        waiting.wait(0.02)
    raise AssertionError("not reached")


@pytest.mark.parametrize("wish", ["auto", "off"])
def test_nobody_who_has_no_rules_is_connected(tmp_path: Path, wish: str) -> None:
    """Catches connection attempts, and words about OBS, at everybody who never asked for it."""
    commands = Recorder()
    found = session(tmp_path, commands, obs=wish)
    found.poll()
    found.poll()
    found.stop()
    assert commands.noted == []


def test_a_rule_file_that_appears_connects(tmp_path: Path, obs: FakeObs) -> None:
    """Catches `obs setup` that needs a restart, and an event that never becomes an instruction."""
    commands = Recorder()
    address = obs.address
    found = session(tmp_path, commands, obs_port=address.port, obs_password=address.password)
    found.poll()
    assert commands.noted == []
    rules = tmp_path / "liveedit-cam" / "obs.toml"
    rules.parent.mkdir()
    rules.write_text('[[rule]]\nwhen = { custom = "night" }\nedit = "make it night"\n')
    try:
        poll_until(found, lambda: bool(commands.noted) and commands.noted[-1][0] == "connected")
        obs.emit("CustomEvent", liveedit="night")
        assert commands.came.wait(PATIENCE_S)
        assert commands.prompts == [("make it night", "obs:custom")]
    finally:
        found.stop()
    assert "secret" not in repr(commands.noted)


def test_obs_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """Catches a run that fails, or says nothing, without OBS."""
    commands = Recorder()
    found = session(tmp_path, commands, obs="on", obs_port=1, obs_password="secret")
    try:
        poll_until(found, lambda: bool(commands.noted) and commands.noted[-1][0] == "waiting")
    finally:
        found.stop()
    assert commands.noted[-1][1] is not None


def test_a_password_set_later_is_found(
    tmp_path: Path, obs: FakeObs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a password read once at the start: OBS's server is often switched on afterwards."""
    monkeypatch.setattr(connection, "HOPELESS_WAIT_S", 0.1)  # 30 s for people
    commands = Recorder()
    found = session(tmp_path, commands, obs="on", obs_port=obs.address.port)
    try:
        poll_until(found, lambda: bool(commands.noted) and commands.noted[-1][0] == "waiting")
        settings = tmp_path / "obs-studio" / "plugin_config" / "obs-websocket" / "config.json"
        settings.parent.mkdir(parents=True)
        settings.write_text('{"auth_required": true, "server_password": "secret"}')
        poll_until(found, lambda: commands.noted[-1][0] == "connected")
    finally:
        found.stop()
