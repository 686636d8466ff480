"""One connection to obs-websocket: requests and events over one socket. Knows no rule, no retry.

The only file that imports obsws_python, and of it only the client that shakes hands and proves
the password. Its two halves above that are not used: the one for requests never compares request
ids, the one for events dies at the first strange message and hides how a connection ended.

What stands around that client stays because version 1.8 has no other way: ``_Client`` frees the
socket where connecting fails; ``Wire`` keeps the code of a goodbye, without which a wrong password
is "failed to identify", and acknowledges each message, without which events come 40 ms late; its
logger is silenced because it writes the password.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from obsws_python.baseclient import ObsClient
from obsws_python.error import OBSSDKError
from obsws_python.subs import Subs
from websocket import WebSocketAddressException, WebSocketException, WebSocketTimeoutException

from liveedit_cam.errors import shown
from liveedit_cam.obs.errors import (
    ObsError,
    ObsLost,
    ObsRequestRefused,
    ObsTooOld,
    ObsUnreachable,
    ObsWrongPassword,
)
from liveedit_cam.obs.wire import Goodbye, Wire

RPC_VERSION = 1
"""The version of the protocol that obsws_python speaks; OBS 28 and newer do too."""
SUBSCRIPTIONS = (
    Subs.GENERAL
    | Subs.CONFIG
    | Subs.SCENES
    | Subs.INPUTS
    | Subs.TRANSITIONS
    | Subs.FILTERS
    | Subs.OUTPUTS
    | Subs.SCENEITEMS
    | Subs.VENDORS
    | Subs.UI
)
"""The events asked for; the high-volume ones (sound levels, moved items) never."""

_EVENT, _REQUEST, _ANSWER = 5, 6, 7
_WRONG_PASSWORD, _WRONG_RPC_VERSION = 4009, 4010
_ENABLE = "In OBS: Tools > WebSocket Server Settings > Enable WebSocket server."
_SHOW_PASSWORD = "In OBS: Tools > WebSocket Server Settings > Show Connect Info."


@dataclass(frozen=True, slots=True)
class ObsAddress:
    """Where an OBS listens."""

    host: str
    port: int
    password: str = field(repr=False)
    """"" = none."""

    @property
    def url_host(self) -> str:
        """The host as a URL writes it: an IPv6 number in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.url_host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ObsVersion:
    """What the other side is, in its own words."""

    obs: str
    websocket: str
    """Version of obs-websocket; before 5.4 there is no event for changed settings."""
    rpc: int


def connect(
    address: ObsAddress,
    on_event: Callable[[str, dict[str, Any]], None] = lambda name, data: None,
    on_closed: Callable[[str], None] = lambda reason: None,
    *,
    timeout_s: float,
) -> ObsLink:
    """Connect, prove the password, subscribe to the events and ask for the version.

    Who asks and leaves needs no callbacks: the next request says that the connection ended. Both
    come from a thread of the link and may only queue: a request from there would wait for itself.
    ``on_event`` gets the protocol's names and data; ``on_closed`` gets the reason, at most once,
    when the link ends before ``close``. Blocks up to ``timeout_s`` per step.
    Raises ObsUnreachable, ObsWrongPassword, ObsTooOld, ObsLost, ObsRequestRefused.
    """
    # The library logs the password at INFO, and a traceback for every refused connection.
    logging.getLogger("obsws_python").setLevel(logging.CRITICAL + 1)
    try:
        client = _Client(address, timeout_s)
    except (OSError, WebSocketException, ValueError) as error:
        raise _unreachable(address, error, timeout_s) from error
    wire = Wire(client.ws)
    try:
        _identify(client, wire, address)
    except ObsError:
        wire.close()
        raise
    return ObsLink(address, wire, on_event, on_closed, timeout_s=timeout_s)


def _identify(client: _Client, wire: Wire, address: ObsAddress) -> None:
    """Answer the server's Hello. Raises ObsUnreachable, ObsWrongPassword, ObsTooOld."""
    try:
        hello = client.server_hello["d"]
        rpc_version = int(hello["rpcVersion"])
        is_password_wanted = "authentication" in hello
    except (LookupError, TypeError, ValueError) as error:
        raise _not_obs(address, f"its first words are {shown(client.server_hello)}") from error
    if rpc_version < RPC_VERSION:
        raise _other_protocol(address, f"protocol version {rpc_version}")
    if is_password_wanted and not address.password:
        raise ObsWrongPassword(
            f"OBS at {address} wants a password and none is known.",
            hint=f"{_SHOW_PASSWORD} Then put it into LIVEEDIT_CAM_OBS_PASSWORD.",
        )
    client.ws = wire  # the library's own socket would drop the code of a refusal
    try:
        client.authenticate()
    except Goodbye as goodbye:
        if goodbye.code == _WRONG_PASSWORD:
            raise ObsWrongPassword(
                f"OBS at {address} refused the password.",
                hint=f"{_SHOW_PASSWORD} Then put it into LIVEEDIT_CAM_OBS_PASSWORD.",
            ) from goodbye
        if goodbye.code == _WRONG_RPC_VERSION:
            raise _other_protocol(address, f"no version {RPC_VERSION} of it any more") from goodbye
        raise _not_obs(address, str(goodbye)) from goodbye
    except (OSError, WebSocketException, OBSSDKError, LookupError, TypeError) as error:
        raise _not_obs(address, shown(str(error))) from error


def _unreachable(address: ObsAddress, error: Exception, timeout_s: float) -> ObsUnreachable:
    if isinstance(error, ConnectionRefusedError):
        return ObsUnreachable(
            f"Nobody listens at {address}, expected OBS.", hint=f"Start OBS. {_ENABLE}"
        )
    if isinstance(error, WebSocketAddressException):
        return ObsUnreachable(
            f"There is no computer {address.host!r}, expected the one that runs OBS.",
            hint="Write its name or number as obs_host.",
        )
    if isinstance(error, TimeoutError | WebSocketTimeoutException):
        return ObsUnreachable(
            f"{address} did not answer within {timeout_s:g} s, expected OBS 28 or newer.",
            hint=_ENABLE,
        )
    return _not_obs(address, f"{type(error).__name__}: {shown(str(error))}")


def _not_obs(address: ObsAddress, got: str) -> ObsUnreachable:
    return ObsUnreachable(
        f"{address} does not answer like OBS ({got}), expected obs-websocket.",
        hint=f"Is the port right? {_SHOW_PASSWORD}",
    )


def _other_protocol(address: ObsAddress, got: str) -> ObsTooOld:
    return ObsTooOld(
        f"OBS at {address} speaks {got}, expected protocol version {RPC_VERSION}.",
        hint="Install OBS 28 or newer, and update liveedit-cam.",
    )


def _refused(name: str, code: int, comment: str | None) -> ObsRequestRefused:
    words = f": {comment}" if comment else ""
    return ObsRequestRefused(f"OBS refused {name} (code {code}){words}", code=code, comment=comment)


class ObsLink:
    """One live connection. One thread makes the requests; ``close`` may come from any thread."""

    def __init__(
        self,
        address: ObsAddress,
        wire: Wire,
        on_event: Callable[[str, dict[str, Any]], None],
        on_closed: Callable[[str], None],
        *,
        timeout_s: float,
    ) -> None:
        """Made by ``connect``; ``wire`` is identified already."""
        self._address = address
        self._wire = wire
        self._on_event = on_event
        self._on_closed = on_closed
        self._timeout_s = timeout_s
        self._ids = count(1)
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._end: str | None = None
        self._is_closing = False
        self.close_code: int | None = None
        """The code OBS said goodbye with; None while it has not."""
        self._reader = threading.Thread(target=self._read, name="obs-link", daemon=True)
        self._reader.start()
        try:
            self.version = self._ask_version()
        except ObsError:
            self.close()
            raise

    def request(self, name: str, data: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask OBS for something by the protocol's words; blocks until the answer, at most the
        time-out, after which the link is dead.

        Raises ObsRequestRefused (the link lives on) and ObsLost.
        """
        if self._end is not None:
            raise self._lost(self._end)
        asked = {"requestType": name, "requestId": str(next(self._ids)), "requestData": data or {}}
        try:
            self._wire.send(json.dumps({"op": _REQUEST, "d": asked}))
            answer = self._answers.get(timeout=self._timeout_s)
        except queue.Empty:
            raise self._lost(f"no answer to {name} within {self._timeout_s:g} s") from None
        except (WebSocketException, OSError) as error:
            raise self._lost(f"{name} could not be sent: {error}") from error
        if answer is None:
            raise self._lost(self._end or "closed")
        if answer.get("requestId") != asked["requestId"]:
            raise self._lost(f"the answer to {name} belongs to another request")
        return self._result(name, answer)

    def close(self) -> None:
        """Say goodbye and free everything. May be called twice."""
        self._is_closing = True
        self._end = self._end or "it was closed here"
        self._wire.hang_up()
        if self._reader is not threading.current_thread():
            self._reader.join(self._timeout_s)
        self._wire.close()

    def _result(self, name: str, answer: Mapping[str, Any]) -> dict[str, Any]:
        try:
            status = answer["requestStatus"]
            if not status["result"]:
                raise _refused(name, int(status["code"]), status.get("comment"))
            return dict(answer.get("responseData") or {})
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._lost(f"a strange answer to {name}: {shown(answer)}") from error

    def _ask_version(self) -> ObsVersion:
        answer = self.request("GetVersion")
        try:
            return ObsVersion(
                obs=str(answer["obsVersion"]),
                websocket=str(answer["obsWebSocketVersion"]),
                rpc=int(answer["rpcVersion"]),
            )
        except (LookupError, TypeError, ValueError) as error:
            raise self._lost(f"a strange answer to GetVersion: {shown(answer)}") from error

    def _lost(self, reason: str) -> ObsLost:
        """Remember why the link is dead, and wake the reader so that it ends."""
        self._end = self._end or reason
        self._wire.hang_up()
        return ObsLost(f"The connection to OBS at {self._address} is lost: {self._end}.")

    def _read(self) -> None:
        """The reader thread: sort what comes until the connection ends."""
        try:
            while True:
                with suppress(WebSocketTimeoutException):  # nothing came for a while
                    self._sort(self._wire.recv())
        except Goodbye as goodbye:
            reason, self.close_code = str(goodbye), goodbye.code
        except (WebSocketException, OSError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
        except Exception as error:  # noqa: BLE001 - loop of this thread; the reason is handed on
            reason = f"a message could not be taken ({type(error).__name__}: {error})"
        self._end = self._end or reason
        self._answers.put(None)
        if not self._is_closing:
            self._wire.hang_up()
            self._on_closed(self._end)

    def _sort(self, text: str) -> None:
        message = json.loads(text)
        content = message["d"]
        if message["op"] == _EVENT:
            self._on_event(content["eventType"], dict(content.get("eventData") or {}))
        elif message["op"] == _ANSWER:
            self._answers.put(dict(content))


class _Client(ObsClient):  # type: ignore[misc]  # the library has no types
    """The library's client, which leaves no socket open where it cannot be built."""

    ws: Any = None
    """The library's socket, later a Wire around it; None before the connection."""

    def __init__(self, address: ObsAddress, timeout_s: float) -> None:
        try:
            # All three, or the library looks for a config.toml in the working directory.
            super().__init__(
                host=address.url_host,
                port=address.port,
                password=address.password,
                subs=int(SUBSCRIPTIONS),
                timeout=timeout_s,
            )
        except BaseException:
            if self.ws is not None:
                self.ws.shutdown()
            raise
