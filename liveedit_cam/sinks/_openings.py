"""Whether others have a device open, by inotify of Linux: to wait for a reader costs nothing.

The kernel tells each opening and closing, but merges those that are alike, so they are not counted:
they say when to look again. Programs of other users stay unseen to the look; for them the newest
event decides.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable
from threading import Lock

_OPEN, _CLOSED = 0x20, 0x8 | 0x10
_EVENT = struct.Struct("iIII")
"""watch, mask, cookie, length of the name behind it."""
_READ_BYTES = 1 << 16


class Openings:
    """From the moment it is made. Any thread. Lock: ``_lock``, over the descriptor."""

    def __init__(self, path: str, look: Callable[[], bool]) -> None:
        """Watch ``path``; ``look`` says whether a program has it open now. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._lock = Lock()
        self._look = look
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _last_error("inotify_init1")
        if libc.inotify_add_watch(self._descriptor, os.fsencode(path), _OPEN | _CLOSED) < 0:
            error = _last_error(path)
            self.close()
            raise error
        self._is_open = look()

    def is_open(self) -> bool:
        """Whether it is open elsewhere now; looks only where something has happened."""
        with self._lock:
            newest = 0
            while data := self._read():
                newest = _newest_mask(data)
            if newest:
                self._is_open = self._look() or bool(newest & _OPEN)
            return self._is_open

    def close(self) -> None:
        """Stop watching. May be called twice."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            if descriptor >= 0:
                os.close(descriptor)

    def _read(self) -> bytes:
        if self._descriptor < 0:
            return b""
        try:
            return os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return b""


def _newest_mask(data: bytes) -> int:
    mask = place = 0
    while place < len(data):
        _, mask, _, num_bytes = _EVENT.unpack_from(data, place)
        place += _EVENT.size + num_bytes
    return mask


def _last_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)
