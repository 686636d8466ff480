"""Who may open a session, and how many at once. Knows no socket.

A token file is TOML, a table for each token:

    [household]
    token = "at least 16 characters"
    sessions = 3
    expires = 2027-01-01
"""

from __future__ import annotations

import hmac
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from liveedit_cam.errors import UsageError, shown
from liveedit_cam.remote.messages import Cause

LEAST_CHARS, MOST_CHARS = 16, 200
_KEYS = {"token", "sessions", "expires"}


class Refusal(Exception):
    """An answer to a camera, not an error of ours: why a session is not opened."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause: Cause = cause
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Token:
    """One key to the server."""

    name: str
    """For the log and the limit; never the secret."""
    secret: str = field(repr=False)
    sessions: int | None = None
    """How many may be open at once with it, on one replica; None = as many as there is room for."""
    expires: date | None = None
    """First day (UTC) on which it opens nothing; None = never."""


def find_token(tokens: tuple[Token, ...], secret: str, today: date | None = None) -> Token:
    """The token of that secret. Raises Refusal where there is none, or it has expired."""
    given = secret.encode()
    found = [one for one in tokens if hmac.compare_digest(one.secret.encode(), given)]
    if not found:
        raise Refusal(
            "token", "the server does not know the token" if secret else "a token is wanted"
        )
    today = today or datetime.now(UTC).date()
    if found[0].expires is not None and today >= found[0].expires:
        raise Refusal("token", f"the token {found[0].name!r} expired on {found[0].expires}")
    return found[0]


def read_tokens(path: Path) -> tuple[Token, ...]:
    """The tokens of a file. Raises UsageError."""
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"the token file {path} cannot be read: {error}") from error
    if not tables:
        raise UsageError(f"the token file {path} holds no token, expected one table for each")
    return tuple(_token(path, name, table) for name, table in tables.items())


def _token(path: Path, name: str, table: object) -> Token:
    place = f"{path}, [{name}]"
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        raise UsageError(f"{place}: expected a table of {', '.join(sorted(_KEYS))}")
    secret, sessions = table.get("token"), table.get("sessions")
    expires = table.get("expires")
    if not isinstance(secret, str) or not LEAST_CHARS <= len(secret) <= MOST_CHARS:
        raise UsageError(
            f"{place}: expected token = a text of {LEAST_CHARS} to {MOST_CHARS} characters",
            hint='Make one: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    if sessions is not None and (type(sessions) is not int or sessions < 1):
        raise UsageError(f"{place}: got sessions = {shown(sessions)}, expected a number from 1")
    if expires is not None and type(expires) is not date:
        raise UsageError(f"{place}: got expires = {shown(expires)}, expected a day: 2027-01-01")
    return Token(name, secret, sessions, expires)
