"""What the benchmarks share: a live service, the last line of output."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from math import ceil

from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.lab.ablations.machine import this_machine
from liveedit_cam.protocols import Sink
from liveedit_cam.registry import open_sink
from liveedit_cam.types import Status

FIRST_FRAME_TIMEOUT_S = 180.0
POLL_S = 0.02

Figure = float | int | str | None


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` (0..1) of all values do not exceed; 0 without values."""
    ordered = sorted(values)
    return ordered[ceil(share * len(ordered)) - 1] if ordered else 0.0


@contextmanager
def live_service(
    config: Config, editor: str | None = None, sink: Sink | None = None
) -> Iterator[tuple[Service, float]]:
    """A running service with its first edited frame on the sinks, and the seconds until then.

    ``sink`` takes the place of those that ``config`` names. Raises LiveEditError where it cannot
    start, TimeoutError where no edited frame comes.
    """
    began = time.monotonic()
    if sink is None:
        service = Service(config, editor=editor)
    else:

        def opened(spec: str, *, width: int, height: int, fps: float) -> Sink:
            if spec.startswith("file:"):  # a recording beside
                return open_sink(spec, width=width, height=height, fps=fps)
            return sink

        service = Service(config, editor=editor, open_sink=opened)
    service.start()
    try:
        while service.controller.status().frames_shown == 0:
            if service.wait(POLL_S) and service.failure is not None:
                raise service.failure
            if time.monotonic() - began > FIRST_FRAME_TIMEOUT_S:
                raise TimeoutError(f"no edited frame within {FIRST_FRAME_TIMEOUT_S:g} s")
        yield service, time.monotonic() - began
    finally:
        service.stop()


def watch(service: Service, seconds: float, look: Callable[[Status], None]) -> Status:
    """Let the service run, ``look`` at its status once a second, and return the last status."""
    ends_at = time.monotonic() + seconds
    while (left_s := ends_at - time.monotonic()) > 0:
        service.wait(min(1.0, left_s))
        look(service.controller.status())
    return service.controller.status()


def print_result(question: str, figures: Mapping[str, Figure]) -> None:
    """Print the figures as a table, then all of it with the machine as one JSON line."""
    facts = asdict(this_machine())
    print(question)
    width = max(map(len, [*figures, *facts]))
    for name, value in [*figures.items(), *facts.items()]:
        shown = f"{value:.2f}" if isinstance(value, float) else str(value)
        print(f"  {name:<{width}}  {shown}")
    rounded = {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in figures.items()
    }
    print(json.dumps({"question": question, **rounded, "machine": facts}))
