"""OBS beside one run: whether to connect, with which password, and what the status says of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from liveedit_cam.config import Config, default_path
from liveedit_cam.obs.bridge import Bridge
from liveedit_cam.obs.connection import ObsConnection
from liveedit_cam.obs.link import ObsAddress, connect
from liveedit_cam.obs.password import VARIABLE, ObsPassword, resolve_password
from liveedit_cam.presets import Commands

RULES_NAME = "obs.toml"


def rules_path(config: Config, environ: Mapping[str, str]) -> Path:
    """Where the rule file is looked for; it need not exist."""
    return config.obs_rules or default_path(environ).parent / RULES_NAME


def is_wanted(config: Config, rules: Path) -> bool:
    """Whether OBS is to be connected: ``auto`` once there is a rule file."""
    return config.obs == "on" or (config.obs == "auto" and rules.is_file())


def find_address(config: Config, environ: Mapping[str, str]) -> tuple[ObsAddress, ObsPassword]:
    """Where OBS listens, and the password with the place it came from; read anew each time."""
    given = None if environ.get(VARIABLE) else config.obs_password  # to name the variable
    explicit = None if given is None else given.get_secret_value()
    password = resolve_password(explicit, environ, config.obs_host)
    return ObsAddress(config.obs_host, config.obs_port, password.value), password


class ObsSession:
    """At most one connection. ``poll`` and ``stop`` belong to one thread."""

    def __init__(self, config: Config, environ: Mapping[str, str], commands: Commands) -> None:
        """Nothing happens before the first ``poll``."""
        self._config = config
        self._environ = environ
        self._commands = commands
        self._rules = rules_path(config, environ)
        self._bridge = Bridge(self._rules, commands)
        self._connection: ObsConnection | None = None

    def poll(self) -> None:
        """Begin where that is wanted (``auto``: once there is a rule file); tell the status."""
        if self._connection is None:
            if not is_wanted(self._config, self._rules):
                return
            self._connection = self._connect()
        found = self._connection.status()
        parts = [text for text in (found.detail, self._bridge.notice) if text]
        self._commands.note_obs(found.state, "; ".join(parts) or None)

    def stop(self) -> None:
        """End the connection. May be called twice."""
        if self._connection is not None:
            self._connection.stop()

    def _connect(self) -> ObsConnection:
        """Each time with the password of that moment: OBS may have been given one just now."""
        connection = ObsConnection(
            self._address(),
            self._bridge,
            connect=lambda _, *ways, **how: connect(self._address(), *ways, **how),
        )
        connection.start()
        return connection

    def _address(self) -> ObsAddress:
        return find_address(self._config, self._environ)[0]
