"""The log of a camera in the background: bounded, and never emptied by a new start.

The daemon and all it starts write to one open file, so a full one is copied aside and cut short
where it lies. Knows nothing of what is in it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
from pathlib import Path

MAX_BYTES = 1_000_000
"""A log this long becomes the old one, which replaces the one before."""


class LogFile:
    """Looks after the log of this process; nothing where stdout is no such file.

    ``poll`` and ``stop`` belong to one thread.
    """

    def __init__(self, path: Path, descriptor: int = 1, *, max_bytes: int = MAX_BYTES) -> None:
        """``descriptor`` is where the process writes: its standard output."""
        self._path = path
        self._max_bytes = max_bytes
        self._is_ours = _is_same(path, descriptor)

    def poll(self) -> None:
        """Begin anew where the log is full."""
        if self._is_ours:
            with contextlib.suppress(OSError):  # no room for a copy: tried again a moment later
                rotate(self._path, self._max_bytes)

    def stop(self) -> None:
        """Nothing is held."""


def speak_into(path: Path) -> None:
    """Where this process has no output, as under Windows' pythonw, write into the log instead.

    Raises OSError.
    """
    if sys.stdout is not None and sys.stderr is not None:
        return
    file = path.open("a", encoding="utf-8", buffering=1)
    os.dup2(file.fileno(), 1)  # also for what it starts, and so that it is kept short
    os.set_inheritable(1, True)  # which dup2 does not where the file is 1 already
    os.dup2(1, 2)
    sys.stdout = sys.stderr = file
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(file)


def rotate(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Keep a log that has grown too long as ``NAME.1`` and empty it. Raises OSError."""
    if path.stat().st_size <= max_bytes:
        return
    old = path.with_name(f"{path.name}.1")
    try:
        shutil.copy(path, old)  # with its mode: both are private
    finally:  # without room for a copy the bound counts more
        os.truncate(path, 0)


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
