"""A thread that repeats one step until it is told to stop. Knows nothing of what it repeats."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from threading import Thread

from liveedit_cam.daemon.run import Run
from liveedit_cam.errors import kept

PAUSE_S = 0.5
"""Wait after an unexpected failure, so that a lasting one does not fill the log."""
SHOWN_S = 30.0
"""For how long it stays in the status after it last happened."""

_log = logging.getLogger(__name__)


class Loop:
    """Runs ``step`` again and again in a thread of its own."""

    def __init__(self, name: str, step: Callable[[], bool], run: Run) -> None:
        """``step`` returns False when it has nothing more to do; the run's ``stop`` ends it."""
        self.name = name
        self._step = step
        self._stop, self._board, self._now = run.stop, run.board, run.now
        self._shown_until = math.inf
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
                if self._now() >= self._shown_until:
                    self._board.fault(self._thread.name, None)
                    self._shown_until = math.inf

    def _note(self, error: Exception) -> None:
        """Keep it in the status; the picture goes on."""
        _log.error("the %s loop failed and goes on", self.name, exc_info=error)
        text = f"The {self.name} loop failed: {type(error).__name__}: {error}"
        self._board.fault(self._thread.name, text)
        self._shown_until = self._now() + SHOWN_S
        self._stop.wait(PAUSE_S)
