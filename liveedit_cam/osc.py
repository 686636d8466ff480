"""Open Sound Control beside one run: UDP on 127.0.0.1 becomes commands. Owns pythonosc.

    /liveedit/edit "make it night"      /liveedit/strength 0.5      /liveedit/preset "night"
    /liveedit/mode "slate"              /liveedit/latency "exact"       /liveedit/record 1

The sender is answered: /liveedit/accepted with the address and the revision (0 = no instruction),
or /liveedit/refused with the address and the reason. OSC knows no token, so this is off unless
asked for: any program on this computer may then send. Knows no HTTP.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

from liveedit_cam.errors import (
    ControlError,
    LiveEditError,
    MissingDependencyError,
    UsageError,
    kept,
    shown,
)
from liveedit_cam.limits import checked_strength
from liveedit_cam.presets import Commands, change_strength
from liveedit_cam.types import LatencyMode, Mode

try:
    from pythonosc.osc_message_builder import OscMessageBuilder
    from pythonosc.osc_packet import OscPacket
except ImportError as error:
    raise MissingDependencyError(
        "OSC needs the package python-osc, which is not installed.",
        hint="Install it: pip install 'liveedit-cam[osc]'",
    ) from error

PREFIX = "/liveedit/"
MAX_DATAGRAM_BYTES = 8192
LOOK_EVERY_S = 0.25
"""Longest time to notice the end."""

_log = logging.getLogger(__name__)


class OscSession:
    """Listens from now on. ``poll`` and ``stop`` belong to one thread."""

    def __init__(self, port: int, commands: Commands) -> None:
        """Take UDP port ``port`` of 127.0.0.1, 0 = any free one. Raises ControlError."""
        self._commands = commands
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            raise ControlError(
                f"UDP port {port} of 127.0.0.1 cannot be used: {error.strerror}.",
                hint="Choose another with --osc-port.",
            ) from error
        self._socket.settimeout(LOOK_EVERY_S)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, name="osc", daemon=True)
        self._thread.start()

    def poll(self) -> None:
        """Nothing to do: the thread listens."""

    def stop(self) -> None:
        """End the thread and give up the port. May be called twice."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                data, sender = self._socket.recvfrom(MAX_DATAGRAM_BYTES)
            except TimeoutError:
                continue
            except OSError as error:  # such as a sender that is gone, told on Windows
                _log.debug("nothing could be read: %s", error)
                continue
            for address, values in messages(data):
                self._answer(address, values, sender)

    def _answer(self, address: str, values: list[object], sender: tuple[str, int]) -> None:
        found: int | str
        try:
            outcome, found = "accepted", obey(self._commands, address, values)
        except LiveEditError as error:
            _log.info("OSC %s: %s", address, error)
            outcome, found = "refused", str(error)
        builder = OscMessageBuilder(PREFIX + outcome)
        builder.add_arg(address)
        builder.add_arg(found)
        try:
            self._socket.sendto(builder.build().dgram, sender)
        except OSError as error:  # nobody listens there
            _log.debug("OSC %s could not be answered: %s", address, error)


def messages(data: bytes) -> list[tuple[str, list[object]]]:
    """Address and values of each message of a datagram; none for what is no OSC."""
    # the parser lets many errors of garbage through
    with kept(lambda error: _log.debug("got %d bytes that are no OSC: %r", len(data), error)):
        found = OscPacket(data).messages
        return [(one.message.address, list(one.message.params)) for one in found]
    return []


def obey(commands: Commands, address: str, values: list[object]) -> int:
    """Do what a message asks for; the revision of the newest instruction then, 0 = none was given.

    Raises UsageError for an address or a value that is not known, and what the Controller raises.
    """
    action = _ACTIONS.get(address.removeprefix(PREFIX)) if address.startswith(PREFIX) else None
    if action is None:
        known = ", ".join(PREFIX + name for name in _ACTIONS)
        raise UsageError(f"got the address {shown(address)}, expected {known}.")
    if len(values) != 1:
        raise UsageError(f"got {len(values)} values, expected one.")
    revision = action(commands, values[0])
    found = commands.status()
    return revision or max(found.revision, found.pending_revision)


def _edit(commands: Commands, value: object) -> int:
    return commands.instruct(_text(value), strength=1.0, region=None, seed=0, origin="osc").revision


def _strength(commands: Commands, value: object) -> int:
    return change_strength(commands, checked_strength(value), "osc").revision


def _preset(commands: Commands, value: object) -> int | None:
    return commands.apply_preset(_text(value), "osc").revision


def _mode(commands: Commands, value: object) -> None:
    if value not in tuple(Mode):
        raise UsageError(f"got mode {shown(value)}, expected {', '.join(Mode)}.")
    commands.set_mode(Mode(_text(value)))


def _latency(commands: Commands, value: object) -> None:
    if value not in tuple(LatencyMode):
        raise UsageError(f"got latency {shown(value)}, expected {', '.join(LatencyMode)}.")
    commands.set_latency(LatencyMode(_text(value)))


def _record(commands: Commands, value: object) -> None:
    """On or off; what is so already stays so."""
    if value not in (0, 1):
        raise UsageError(f"got record {shown(value)}, expected 1 or 0.")
    is_running = commands.status().recording is not None
    if value and not is_running:
        commands.start_recording(None, with_source=False, has_badge=False)
    elif not value and is_running:
        commands.stop_recording()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise UsageError(f"got {shown(value)}, expected a text.")
    return value


_ACTIONS: dict[str, Callable[[Commands, object], int | None]] = {
    "edit": _edit,
    "strength": _strength,
    "preset": _preset,
    "mode": _mode,
    "latency": _latency,
    "record": _record,
}
"""What each does; a revision, where it gave an instruction."""
