"""Ctrl-C, a kill and a closed terminal as one event. Knows nothing of what is stopped."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C, a kill or a closed terminal sets; a second Ctrl-C interrupts at once.

    Only for the main thread. The former handlers are put back in the end. A closed terminal is
    nothing to a program that was told to outlive it (``nohup``).
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last two exist on one system each
    numbers = [signal.Signals[name] for name in names if name in signal.Signals.__members__]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    before = [(number, signal.signal(number, on_signal)) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in before:
            signal.signal(number, handler)
