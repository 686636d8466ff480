"""A MIDI controller beside one run: pads and a fader become commands. Owns mido.

Program change N applies preset N; so does note 36 + N, the first pad of most controllers.
Controller 1 (modulation) and 7 (volume) are the strength. A device that is pulled out is looked for
again. Knows no HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from liveedit_cam.errors import ControlError, LiveEditError, MissingDependencyError, UsageError
from liveedit_cam.presets import Commands, change_strength

FIRST_NOTE = 36
STRENGTH_CONTROLLERS = (1, 7)
LOOK_S = 0.005
"""Between two looks at the device."""
FIND_S = 2.0
"""Between two looks for a device that is gone."""

_log = logging.getLogger(__name__)


class Port(Protocol):
    """An open MIDI input."""

    name: str

    def iter_pending(self) -> Iterable[Any]:
        """Messages that came since; raises OSError where the device is gone."""

    def close(self) -> None:
        """Give it back."""


def names() -> list[str]:
    """Inputs of this computer. Raises MissingDependencyError."""
    return list(_mido().get_input_names())


def open_port(wanted: str) -> Port:
    """The first input whose name holds ``wanted`` ("" = the first). Raises ControlError."""
    found = names()
    name = next((one for one in found if wanted.lower() in one.lower()), None)
    if name is None:
        raise ControlError(
            f"There is no MIDI device {wanted!r}; there are: {', '.join(found) or 'none'}.",
            hint="Plug it in, or name another one with --midi.",
        )
    port: Port = _mido().open_input(name)
    return port


def _mido() -> Any:
    try:
        import mido
    except ImportError as error:
        raise MissingDependencyError(
            "MIDI needs the packages mido and python-rtmidi, which are not installed.",
            hint="Install them: pip install 'liveedit-cam[midi]'",
        ) from error
    return mido


class MidiSession:
    """Listens from now on. ``poll`` and ``stop`` belong to one thread."""

    def __init__(
        self,
        wanted: str,
        commands: Commands,
        open_one: Callable[[str], Port] = open_port,
        list_names: Callable[[], list[str]] = names,
    ) -> None:
        """Open the device of that name. Raises ControlError, MissingDependencyError."""
        self._wanted = wanted
        self._commands = commands
        self._open = open_one
        self._names = list_names
        self._port: Port | None = open_one(wanted)
        self._find_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="midi", daemon=True)
        self._thread.start()

    def poll(self) -> None:
        """Nothing to do: the thread listens."""

    def stop(self) -> None:
        """End the thread and give the device back. May be called twice."""
        self._stop.set()
        self._thread.join()
        port, self._port = self._port, None
        if port is not None:
            port.close()

    def _listen(self) -> None:
        while not self._stop.wait(LOOK_S):
            for message in self._newest(self._messages()):
                try:
                    obey(self._commands, message)
                except LiveEditError as error:
                    _log.info("MIDI %s: %s", message, error)

    def _messages(self) -> list[Any]:
        """What came since; none while the device is gone."""
        if self._port is None:
            self._find()
            return []
        try:
            self._look(self._port)
            return list(self._port.iter_pending())
        except (OSError, ValueError) as error:
            _log.warning("the MIDI device %s is gone: %s", self._port.name, error)
            self._port, self._find_at = None, time.monotonic() + FIND_S
            return []

    def _look(self, port: Port) -> None:
        """Raise OSError where the device is no longer listed: most systems let it fall silent."""
        if time.monotonic() < self._find_at:
            return
        self._find_at = time.monotonic() + FIND_S
        if port.name not in self._names():
            port.close()
            raise OSError("it is no longer listed")

    def _find(self) -> None:
        if time.monotonic() < self._find_at:
            return
        self._find_at = time.monotonic() + FIND_S
        try:
            self._port = self._open(self._wanted)
        except (LiveEditError, OSError) as error:
            _log.debug("no MIDI device yet: %s", error)

    @staticmethod
    def _newest(messages: list[Any]) -> Iterator[Any]:
        """Of a fader that moves its last place alone."""
        for number, message in enumerate(messages):
            follower = messages[number + 1] if number + 1 < len(messages) else None
            is_followed = follower is not None and _control(follower) == _control(message)
            if _control(message) is None or not is_followed:
                yield message


def _control(message: Any) -> int | None:
    return int(message.control) if message.type == "control_change" else None


def obey(commands: Commands, message: Any) -> None:
    """Do what a message asks for; one that means nothing here is let pass.

    Raises UsageError for a pad without a preset, and what the Controller raises.
    """
    if message.type == "control_change" and message.control in STRENGTH_CONTROLLERS:
        change_strength(commands, message.value / 127, "midi")
        return
    if message.type == "program_change":
        number = message.program
    elif message.type == "note_on" and message.velocity > 0:
        number = message.note - FIRST_NOTE
    else:
        return
    presets = commands.presets.shelf().presets
    if not 0 <= number < len(presets):
        raise UsageError(f"got pad {number}, expected 0 to {len(presets) - 1}: a preset each.")
    commands.apply_preset(presets[number].name, "midi")
