"""A thread that repeats one step until it is told to stop. Knows nothing of what it repeats."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from liveedit_cam.daemon.board import Board
from liveedit_cam.errors import kept

PAUSE_S = 0.5
"""Wait after an unexpected failure, so that a lasting one does not fill the log."""

_log = logging.getLogger(__name__)


class Loop:
    """Runs ``step`` again and again in a thread of its own."""

    def __init__(self, name: str, step: Callable[[], bool], stop: Event, board: Board) -> None:
        """``step`` returns False when it has nothing more to do; ``stop`` ends the loop."""
        self.name = name
        self._step = step
        self._stop = stop
        self._board = board
        self._thread = Thread(target=self._run, name=f"liveedit-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the thread; False when it still runs after ``timeout_s``."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            with kept(self._note):
                if not self._step():
                    return

    def _note(self, error: Exception) -> None:
        """Keep it in the status; the picture goes on."""
        _log.error("the %s loop failed and goes on", self.name, exc_info=error)
        self._board.update(
            last_error=f"The {self.name} loop failed: {type(error).__name__}: {error}"
        )
        self._stop.wait(PAUSE_S)
