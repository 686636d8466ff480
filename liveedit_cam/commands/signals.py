"""Ctrl-C, a kill and a closed terminal: as one event, or as the end of the program.

Knows nothing of what is stopped.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
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

    numbers = _there("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        numbers.remove(signal.SIGHUP)
    with _handled(numbers, on_signal):
        yield stop


@contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let a kill or a closed terminal end the program as Ctrl-C does: what is open is undone.

    Only for the main thread. A signal that is ignored (``nohup``) stays so; the former handlers are
    put back in the end.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    numbers = _there("SIGTERM", "SIGHUP", "SIGBREAK")
    with _handled([n for n in numbers if signal.getsignal(n) is not signal.SIG_IGN], on_signal):
        yield


def _there(*names: str) -> list[signal.Signals]:
    """Those this system has: SIGHUP and SIGBREAK exist on one each."""
    return [signal.Signals[name] for name in names if name in signal.Signals.__members__]


@contextmanager
def _handled(
    numbers: Sequence[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = [(number, signal.signal(number, handler)) for number in numbers]
    try:
        yield
    finally:
        for number, former in before:
            signal.signal(number, former)
