"""How soon does a camera that rests wake, and how soon does it rest?

The whole daemon with the real model runs with ``on_demand = "all"`` before a sink that has a reader
or has none. The reader leaves: seconds until the source is closed. It comes back: seconds until a
picture is written that was taken and edited after that. Each round twice: with the engine kept, as
usual, and with the engine gone, too. What a real camera takes to open comes on top of a drawn one.
The last line is one JSON object.

    python benchmarks/rest.py [--source pattern] [--rounds 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from threading import Event
from typing import Any

from bench import Figure, print_result

from liveedit_cam import registry
from liveedit_cam.config import Config
from liveedit_cam.daemon.demand import LINGER_S
from liveedit_cam.daemon.service import Service
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame

QUESTION = "How soon does a camera that rests wake, and how soon does it rest?"
PATIENCE_S = 120.0
WATCHED_S = 3.0
"""Time the reader stays, and time it is away once all rests."""


class WatchedSink:
    """Has a reader or has none, and notes of when the newest picture's edit is."""

    name = "watched"

    def __init__(self) -> None:
        """Nobody reads yet."""
        self.is_read = True
        self.edited_at = 0.0

    def has_reader(self) -> bool:
        """As told."""
        return self.is_read

    def write(self, frame: Frame) -> None:
        """Note when the frame was taken whose field is on ``frame``; 0 = none is."""
        self.edited_at = frame.field_at or 0.0

    def close(self) -> None:
        """Nothing to free."""


class Counted:
    """A source that says whether it is open."""

    def __init__(self, spec: str, is_open: Event, **options: Any) -> None:
        """Open ``spec``. Raises SourceError."""
        self._inner: Source = registry.open_source(spec, **options)
        self.width, self.height = self._inner.width, self._inner.height
        self.fps, self.name = self._inner.fps, self._inner.name
        self._is_open = is_open
        is_open.set()

    def read(self) -> Frame:
        """The next frame. Raises SourceError."""
        return self._inner.read()

    def close(self) -> None:
        """Close it and say so."""
        self._inner.close()
        self._is_open.clear()


def seconds_until(condition: Callable[[], bool]) -> float:
    """Wait for it. Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > PATIENCE_S:
            raise TimeoutError(f"nothing happened for {PATIENCE_S:g} s")
        time.sleep(0.005)
    return time.monotonic() - began


def measure(source: str, num_rounds: int, engine_rest_s: float) -> tuple[float, float]:
    """Longest seconds until the camera is released, and until a picture is edited again."""
    is_open, sink = Event(), WatchedSink()
    config = Config(
        source=source,
        sinks=("watched",),
        prompt="make the background blue",
        on_demand="all",
        engine_rest_s=engine_rest_s,
    )
    service = Service(
        config,
        open_source=lambda spec, **options: Counted(spec, is_open, **options),
        open_sink=lambda *_, **__: sink,
    )
    released_s, woken_s = [], []
    is_engine_kept = engine_rest_s > LINGER_S
    service.start()
    try:
        seconds_until(lambda: sink.edited_at > 0)
        for _ in range(num_rounds):
            service.wait(WATCHED_S)
            sink.is_read = False
            released_s.append(seconds_until(lambda: not is_open.is_set()))
            service.wait(WATCHED_S)
            if not is_engine_kept:
                seconds_until(lambda: service.controller.status().engine_pid == 0)
            came_at = time.monotonic()
            sink.is_read = True
            woken_s.append(seconds_until(lambda: sink.edited_at > came_at))  # noqa: B023 - now
    finally:
        service.stop()
    return max(released_s), max(woken_s)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--source", default="pattern")
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    released_s, kept_s = measure(wanted.source, wanted.rounds, 600.0)
    also_released_s, gone_s = measure(wanted.source, wanted.rounds, 0.0)
    figures: dict[str, Figure] = {
        "source": wanted.source,
        "rounds": wanted.rounds,
        "camera_released_worst_s": max(released_s, also_released_s),
        "wake_engine_kept_worst_s": kept_s,
        "wake_engine_gone_worst_s": gone_s,
    }
    print_result(QUESTION, figures)


if __name__ == "__main__":
    main()
