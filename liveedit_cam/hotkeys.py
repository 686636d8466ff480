"""Keys that work in every program, where the system allows it: looks, and a camera hidden.

Ctrl+Alt and the key of a preset applies it; Ctrl+Alt+Space hides the camera behind the still card
and shows it again. macOS asks for a permission, Wayland lets no program hear keys. Owns pynput,
knows no HTTP.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from liveedit_cam.errors import DeviceError, LiveEditError, MissingDependencyError
from liveedit_cam.presets import Commands
from liveedit_cam.types import Mode

PREFIX = "<ctrl>+<alt>+"

_log = logging.getLogger(__name__)

Listen = Callable[[Mapping[str, Callable[[], None]]], Any]
"""Begins to listen for combinations; what it returns has ``stop()``."""


class HotkeySession:
    """Listens from now on. ``poll`` and ``stop`` belong to one thread."""

    def __init__(self, commands: Commands, listen: Listen | None = None) -> None:
        """Begin. Raises MissingDependencyError, DeviceError where the system lets nobody listen."""
        self._commands = commands
        self._listen = listen or _listen
        self._keys: dict[str, str] = {}
        self._listener: Any = None
        self._begin()

    def poll(self) -> None:
        """Follow the presets' keys where they were changed."""
        if self._wanted() != self._keys:
            self.stop()
            self._begin()

    def stop(self) -> None:
        """Listen no more. May be called twice."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _begin(self) -> None:
        self._keys = self._wanted()
        actions = {PREFIX + key: self._action(name) for key, name in self._keys.items()}
        self._listener = self._listen({**actions, f"{PREFIX}<space>": self._hide})

    def _wanted(self) -> dict[str, str]:
        """Key -> name of the preset."""
        presets = self._commands.presets.shelf().presets
        return {preset.hotkey: preset.name for preset in presets if preset.hotkey}

    def _action(self, name: str) -> Callable[[], None]:
        def act() -> None:
            try:
                self._commands.apply_preset(name, "hotkey")
            except LiveEditError as error:
                _log.info("hotkey of %r: %s", name, error)

        return act

    def _hide(self) -> None:
        is_hidden = self._commands.status().mode is Mode.SLATE
        self._commands.set_mode(Mode.EDIT if is_hidden else Mode.SLATE)


def _listen(actions: Mapping[str, Callable[[], None]]) -> Any:
    if sys.platform == "linux" and os.environ.get("XDG_SESSION_TYPE") == "wayland":
        raise DeviceError(
            "Wayland lets no program hear the keys of others.",
            hint="Give `liveedit-cam preset apply NAME` a key in the settings of your desktop.",
        )
    try:
        from pynput import keyboard
    except ImportError as error:  # without a display, too
        raise MissingDependencyError(
            f"Hotkeys need the package pynput and a desktop: {error}.",
            hint="Install it: pip install 'liveedit-cam[hotkeys]'",
        ) from error
    listener = keyboard.GlobalHotKeys(dict(actions))
    listener.start()
    return listener
