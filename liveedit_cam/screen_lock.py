"""Whether this session's screen is locked, as systemd's logind tells it. Linux only."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence

from liveedit_cam.errors import DeviceError

LOOK_S = 2.0
"""Between two looks; each starts a small program."""
ASK_S = 5.0

Ask = Callable[[Sequence[str]], str | None]
"""Runs a program; what it printed, None where it failed."""


class ScreenLock:
    """One session. ``is_locked`` belongs to one thread."""

    def __init__(self, ask: Ask | None = None, now: Callable[[], float] = time.monotonic) -> None:
        """Find the session. Raises DeviceError where there is none that could be asked."""
        self._ask = ask or _printed_by
        self._now = now
        self._looked_at = float("-inf")
        self._is_locked = False
        self._session = os.environ.get("XDG_SESSION_ID") or "auto"
        if self._hint() is None:
            raise DeviceError(
                "Nobody here tells whether the screen is locked: that takes Linux with logind.",
                hint="Leave out --on-lock, or set it to keep.",
            )

    def is_locked(self) -> bool:
        """Whether it is locked; asked anew after two seconds. Unlocked where nobody answers."""
        now = self._now()
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._is_locked = self._hint() == "yes"
        return self._is_locked

    def _hint(self) -> str | None:
        command = ("loginctl", "show-session", self._session, "--property=LockedHint", "--value")
        return self._ask(command)


def _printed_by(command: Sequence[str]) -> str | None:
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return ended.stdout.decode(errors="replace").strip() if ended.returncode == 0 else None
