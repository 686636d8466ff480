"""Lets one thread wait for a pipe and for other threads at the same time."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection, wait
from threading import Lock


class Waker:
    """One thread waits, any thread wakes it. Lock: ``_lock``."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)
        self._is_set = False
        self._is_closed = False

    def wake(self) -> None:
        """End the wait now under way, or else the next one. May be called after ``close``."""
        with self._lock:
            if not self._is_set and not self._is_closed:
                self._is_set = True
                self._writer.send_bytes(b"!")

    def wait(self, timeout_s: float, connection: Connection | None = None) -> None:
        """Return once woken, once ``connection`` can be read, or after ``timeout_s`` seconds."""
        waited_for = [self._reader] if connection is None else [self._reader, connection]
        wait(waited_for, timeout_s)
        with self._lock:
            if self._is_set:
                self._is_set = False
                self._reader.recv_bytes()

    def close(self) -> None:
        """Free the pipe, once nobody waits any more. May be called twice."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._reader.close()
                self._writer.close()
