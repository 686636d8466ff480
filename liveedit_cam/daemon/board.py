"""The facts the loops report, as one immutable Status. Knows no loop."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import Any

from liveedit_cam.types import Status


class Board:
    """Holds the newest Status; each loop writes its own fields. Any thread; lock: ``_lock``."""

    def __init__(self, status: Status) -> None:
        """Begin with ``status``."""
        self._lock = Lock()
        self._status = status
        self._faults: dict[str, str] = {}

    def update(self, **changes: Any) -> None:
        """Replace fields of the Status by name; an unknown name raises TypeError."""
        with self._lock:
            self._status = replace(self._status, **changes)

    def fault(self, what: str, text: str | None) -> None:
        """Note what is wrong with ``what`` ("source", "engine", a sink); None = it is over.

        ``last_error`` tells the newest fault that is not over.
        """
        with self._lock:
            if self._faults.pop(what, None) is None and text is None:
                return
            if text is not None:
                self._faults[what] = text
            newest = next(reversed(self._faults.values()), None)
            self._status = replace(self._status, last_error=newest)

    def status(self) -> Status:
        """The newest snapshot."""
        with self._lock:
            return self._status
