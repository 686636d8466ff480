"""Where a model server is: ``wss://host:port/model``. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from liveedit_cam.errors import UsageError

EXAMPLE = "Write it as remote:wss://HOST:PORT, or remote:ws://localhost:8650 on one computer."


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server, and the model wanted of it."""

    host: str
    port: int
    is_secure: bool
    model: str = ""
    """"" = whatever the server has."""

    @property
    def url(self) -> str:
        """What the WebSocket is opened at; without the model, which is asked for in Hello."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'wss' if self.is_secure else 'ws'}://{host}:{self.port}/"

    @property
    def is_local(self) -> bool:
        """Whether it is this computer, by its name."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a name or number means this computer alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_address(target: str) -> ServerAddress:
    """The server of ``wss://host[:port][/model]``; ws:// for this computer only.

    Raises UsageError; a token or password in the address is refused, too: addresses are logged.
    """
    try:
        parts = urlsplit(target)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"got {target!r} as a server ({error})", hint=EXAMPLE) from error
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(f"got {target!r} as a server, expected ws:// or wss://", hint=EXAMPLE)
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            f"got more than host, port and model in the address of {parts.hostname}",
            hint="Give the token in the variable LIVEEDIT_CAM_REMOTE_TOKEN.",
        )
    is_secure = parts.scheme == "wss"
    address = ServerAddress(
        parts.hostname, port or (443 if is_secure else 80), is_secure, parts.path.strip("/")
    )
    if not is_secure and not address.is_local:
        raise UsageError(
            f"got ws:// to another computer, {parts.hostname}: anybody between could see the "
            "pictures and the token, expected wss://",
            hint="Give the server a certificate, see docs/serve.md.",
        )
    return address
