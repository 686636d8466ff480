"""What the benchmarks share: facts of the machine, a live service, the last line of output."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path

from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.protocols import Sink
from liveedit_cam.types import Status

ROOT = Path(__file__).resolve().parent.parent
FIRST_FRAME_TIMEOUT_S = 180.0
POLL_S = 0.02

Figure = float | int | str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """Where figures were measured."""

    cores: int
    """Cores this process may use."""
    cpu: str
    torch: str
    dtype: str
    """Number format of the editor."""
    commit: str
    """Commit of this checkout; ends in "+changes" where files differ from it."""


def machine() -> Machine:
    """Facts of this machine. Imports torch: call it after memory has been measured."""
    import torch

    from liveedit_cam.model.weights import choose_device, fastest_dtype

    can_pin = hasattr(os, "sched_getaffinity")
    return Machine(
        cores=len(os.sched_getaffinity(0)) if can_pin else os.cpu_count() or 1,
        cpu=_cpu_name(),
        torch=torch.__version__,
        dtype=str(fastest_dtype(choose_device("auto"))).removeprefix("torch."),
        commit=_commit(),
    )


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
        service = Service(config, editor=editor, open_sink=lambda *_, **__: sink)
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
    facts = asdict(machine())
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


def _cpu_name() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.is_file():
        for line in facts.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    commit = _git("rev-parse", "--short", "HEAD")
    return f"{commit}+changes" if commit and _git("status", "--porcelain") else commit or "unknown"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:  # no git here
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
