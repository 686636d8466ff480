"""OBS beside one run: whether to connect, with which password, and what the status says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from liveedit_cam.config import Config, default_path
from liveedit_cam.obs.bridge import Bridge
from liveedit_cam.obs.connection import ObsConnection
from liveedit_cam.obs.link import ObsAddress, ObsLink, connect
from liveedit_cam.obs.password import resolve_password
from liveedit_cam.presets import Commands

RULES_NAME = "obs.toml"


def rules_path(config: Config, environ: Mapping[str, str]) -> Path:
    """Where the rule file is looked for; it need not exist."""
    return config.obs_rules or default_path(environ).parent / RULES_NAME


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
            if not self._is_wanted():
                return
            self._connection = self._connect()
        found = self._connection.status()
        parts = [text for text in (found.detail, self._bridge.notice) if text]
        self._commands.note_obs(found.state, "; ".join(parts) or None)

    def stop(self) -> None:
        """End the connection. May be called twice."""
        if self._connection is not None:
            self._connection.stop()

    def _is_wanted(self) -> bool:
        wish = self._config.obs
        return wish == "on" or (wish == "auto" and self._rules.is_file())

    def _connect(self) -> ObsConnection:
        connection = ObsConnection(self._address(), self._bridge, connect=self._link)
        connection.start()
        return connection

    def _address(self) -> ObsAddress:
        config = self._config
        given = config.obs_password
        explicit = None if given is None else given.get_secret_value()
        found = resolve_password(explicit, self._environ, config.obs_host)
        return ObsAddress(config.obs_host, config.obs_port, found.value)

    def _link(
        self,
        address: ObsAddress,
        on_event: Callable[[str, dict[str, Any]], None],
        on_closed: Callable[[str], None],
        *,
        timeout_s: float,
    ) -> ObsLink:
        """Connect with the password of this moment: OBS may have been given one just now."""
        return connect(self._address(), on_event, on_closed, timeout_s=timeout_s)
