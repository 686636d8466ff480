"""Ask a Wayland desktop to share a screen or window, through its portal. Knows no pictures.

The only file that imports jeepney. A permission that is given is remembered by the desktop; we keep
the token that names it, so that the dialog comes once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jeepney import DBusAddress, MatchRule, Message, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from liveedit_cam.errors import SourceError
from liveedit_cam.folders import user_folder
from liveedit_cam.sources._desktop import NoPortalError, Shared

NAME, PATH = "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop"
SCREEN_CAST = "org.freedesktop.portal.ScreenCast"
REQUEST, SESSION = "org.freedesktop.portal.Request", "org.freedesktop.portal.Session"
KINDS = {"monitor": 1, "window": 2}
"""What can be shared, and the portal's number for it."""
ANSWER_S = 5.0
"""Longest wait for an answer that asks no person."""
PERSON_S = 90.0
"""Longest wait for the person in front of the dialog."""
_EMBEDDED_CURSOR, _UNTIL_REVOKED = 2, 2
_CANCELLED = 1
_INSTALL = (
    "Install xdg-desktop-portal and the part of your desktop, such as xdg-desktop-portal-gtk."
)


class Portal:
    """One request to share, and the session it opens. All methods from one thread at a time."""

    def __init__(
        self,
        *,
        answer_s: float = ANSWER_S,
        person_s: float = PERSON_S,
        connect: Callable[[], DBusConnection] | None = None,
    ) -> None:
        """Connect to the session bus. Raises NoPortalError where there is none."""
        self._answer_s, self._person_s = answer_s, person_s
        try:
            self._bus = connect() if connect else open_dbus_connection("SESSION", enable_fds=True)
        except (OSError, KeyError, ValueError, DBusErrorResponse) as error:
            raise NoPortalError(
                "There is no session bus, through which a desktop shares its screen.",
                hint="Start from a terminal of the desktop session.",
            ) from error
        self._address = DBusAddress(PATH, NAME, SCREEN_CAST)
        self._session = ""
        self._is_over = False

    def share(self, kind: str, token_file: Path) -> Shared:
        """Have the person choose a ``kind`` of KINDS; no dialog where the permission is remembered.

        A token that the desktop does not know any more brings the dialog back. Raises SourceError.
        """
        self._session = str(self._ask("CreateSession", "a{sv}", (), session=True)["session_handle"])
        self._listen(MatchRule(type="signal", interface=SESSION, path=self._session))
        options: dict[str, tuple[str, Any]] = {
            "types": ("u", KINDS[kind]),
            "multiple": ("b", False),
            "cursor_mode": ("u", _EMBEDDED_CURSOR),
            "persist_mode": ("u", _UNTIL_REVOKED),
        }
        if token := read_token(token_file):
            options["restore_token"] = ("s", token)
        self._ask("SelectSources", "oa{sv}", (self._session,), options)
        found = self._ask("Start", "osa{sv}", (self._session, ""), person=True)
        streams = found.get("streams") or []
        if not streams:
            raise SourceError(
                "The desktop shared nothing.", hint="Start again and choose a screen in its dialog."
            )
        if new := found.get("restore_token"):
            write_token(token_file, str(new))
        node, properties = streams[0]
        size = properties.get("size", ("", None))[1]
        return Shared(int(node), (int(size[0]), int(size[1])) if size else None)

    def open_pipewire(self) -> int:
        """A descriptor of a connection to PipeWire that may read what is shared; the caller's."""
        (handle,) = self._call("OpenPipeWireRemote", "oa{sv}", (self._session, {}))
        return int(handle.to_raw_fd())

    def is_over(self) -> bool:
        """Whether the person, or the desktop, has ended the sharing. Does not wait."""
        try:
            while not self._is_over:
                message = self._bus.receive(timeout=0)
                fields = message.header.fields
                self._is_over = SESSION in fields.values() and "Closed" in fields.values()
        except TimeoutError:
            pass
        except (OSError, EOFError):
            self._is_over = True
        return self._is_over

    def close(self) -> None:
        """End the sharing. May be called twice."""
        self._bus.close()  # the session ends with its connection

    def _ask(
        self,
        method: str,
        signature: str,
        arguments: tuple[Any, ...],
        options: Mapping[str, tuple[str, Any]] | None = None,
        *,
        session: bool = False,
        person: bool = False,
    ) -> dict[str, Any]:
        """Call a method whose result comes later, as a signal, and wait for that."""
        token = f"liveedit_{secrets.token_hex(8)}"
        sender = self._bus.unique_name.lstrip(":").replace(".", "_")
        path = f"{PATH}/request/{sender}/{token}"
        given = {**(options or {}), "handle_token": ("s", token)}
        if session:
            given["session_handle_token"] = ("s", token)
        rule = MatchRule(type="signal", interface=REQUEST, member="Response", path=path)
        self._listen(rule)
        limit_s = self._person_s if person else self._answer_s
        with self._bus.filter(rule) as queue:
            self._call(method, signature, (*arguments, given))
            try:
                answer = self._bus.recv_until_filtered(queue, timeout=limit_s)
            except TimeoutError as error:
                raise _timed_out(limit_s, is_person=person) from error
        return _results(answer, method)

    def _listen(self, rule: MatchRule) -> None:
        """Have the bus pass on signals that are sent to everybody, too."""
        try:
            Proxy(message_bus, self._bus, timeout=self._answer_s).AddMatch(rule)
        except (TimeoutError, OSError, EOFError) as error:
            raise SourceError("The session bus has gone away.", hint="Log in again.") from error

    def _call(self, method: str, signature: str, body: tuple[Any, ...]) -> tuple[Any, ...]:
        message = new_method_call(self._address, method, signature, body)
        try:
            reply = self._bus.send_and_get_reply(message, timeout=self._answer_s)
            found: tuple[Any, ...] = unwrap_msg(reply)
        except TimeoutError as error:
            raise _timed_out(self._answer_s, is_person=False) from error
        except DBusErrorResponse as error:
            raise _refused(error, method) from error
        except (OSError, EOFError) as error:
            raise SourceError("The session bus has gone away.", hint="Log in again.") from error
        return found


def _results(answer: Message, method: str) -> dict[str, Any]:
    code, results = answer.body
    if code == _CANCELLED:
        raise SourceError(
            "The desktop's question which screen to share was answered with no.",
            hint="Start again and choose one, or use another source: camera, pattern.",
        )
    if code != 0:
        raise SourceError(
            f"The desktop ended the sharing while it was asked for ({method}, code {code}).",
            hint="Start again.",
        )
    return {name: value for name, (_, value) in results.items()}


def _timed_out(limit_s: float, *, is_person: bool) -> SourceError:
    if is_person:
        return SourceError(
            f"Nobody chose a screen in the desktop's dialog within {limit_s:g} s.",
            hint="Start again, and look for the dialog behind other windows.",
        )
    return SourceError(
        f"The desktop's portal did not answer in {limit_s:g} s.",
        hint="Run: systemctl --user restart xdg-desktop-portal",
    )


def _refused(error: DBusErrorResponse, method: str) -> SourceError:
    said = ": ".join([error.name, *(str(part) for part in error.data or ())])
    unknown = ("ServiceUnknown", "UnknownMethod", "UnknownInterface", "UnknownObject")
    if any(word in error.name for word in unknown):
        return NoPortalError(
            f"No portal of this desktop can share a screen ({said}).", hint=_INSTALL
        )
    return SourceError(f"The portal refused {method} ({said}).", hint="Start again.")


def token_path(kind: str, environ: Mapping[str, str]) -> Path:
    """Where the token of a permission for ``kind`` is kept."""
    return user_folder("state", environ, "linux") / f"share-{kind}"


def read_token(path: Path) -> str:
    """The token; "" where there is none."""
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def write_token(path: Path, token: str) -> None:
    """Keep it for this user alone; where that cannot be, the dialog comes again next time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(token, "utf-8")
    except OSError:
        return
