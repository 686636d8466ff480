"""Does a camera that runs for hours grow, or fall behind?

The whole daemon with its engine, a source in real time, a sink that keeps nothing, and a new
instruction every minute. Every 10 s the resident memory of both processes and the latency are
noted; the first tenth of the time, at most ten minutes, is compared with the last. The last line is
one JSON object.

    python benchmarks/soak.py --hours 1 [--source file:clip.mp4]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from bench import Figure, live_service, print_result

from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service

QUESTION = "Does a camera that runs for hours grow, or fall behind?"
EVERY_S = 10.0
PROMPTS = ("make it night", "make the background blue", "turn the person gold", "black and white")
CHANGE_EVERY = 6
"""Looks from one instruction to the next."""


@dataclass(frozen=True, slots=True)
class Look:
    """What both processes take and how late the picture is."""

    at_s: float
    daemon_mib: float
    engine_mib: float
    glass_p95_ms: float
    frames_shown: int


def rss_mib(pid: int | str) -> float:
    """Resident memory of a process in MiB; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def watch(service: Service, seconds: float) -> list[Look]:
    """Look every EVERY_S, and give a new instruction now and then. Raises the service's failure."""
    looks: list[Look] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if service.wait(EVERY_S) and service.failure is not None:
            raise service.failure
        status = service.controller.status()
        looks.append(
            Look(
                time.monotonic() - began,
                rss_mib("self"),
                rss_mib(status.engine_pid or 0),
                status.glass_to_sink.p95_ms,
                status.frames_shown,
            )
        )
        if len(looks) % CHANGE_EVERY == 0:
            prompt = PROMPTS[len(looks) // CHANGE_EVERY % len(PROMPTS)]
            service.controller.instruct(prompt)
    return looks


def summary(looks: list[Look]) -> dict[str, Figure]:
    """Growth by hour and the latency of the last part over that of the first."""
    part = max(1, min(len(looks) // 10, round(600 / EVERY_S)))
    first, last = looks[:part], looks[-part:]
    hours = (statistics.fmean(one.at_s for one in last) - statistics.fmean(
        one.at_s for one in first)) / 3600  # fmt: skip
    grown = {
        name: statistics.fmean(getattr(one, name) for one in last)
        - statistics.fmean(getattr(one, name) for one in first)
        for name in ("daemon_mib", "engine_mib")
    }
    before, after = (statistics.median(o.glass_p95_ms for o in part) for part in (first, last))
    return {
        "minutes": looks[-1].at_s / 60,
        "frames_shown": looks[-1].frames_shown,
        "daemon_growth_mib_per_hour": grown["daemon_mib"] / hours if hours else 0.0,
        "engine_growth_mib_per_hour": grown["engine_mib"] / hours if hours else 0.0,
        "glass_p95_first_ms": before,
        "glass_p95_last_ms": after,
        "glass_p95_ratio": after / before if before else 0.0,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--source", default="pattern")
    wanted = parser.parse_args()
    config = Config(source=wanted.source, sinks=("null",), prompt=PROMPTS[0])
    with live_service(config) as (service, _):
        service.wait(20.0)  # what is loaded once is loaded by then
        figures = summary(watch(service, wanted.hours * 3600))
    print_result(QUESTION, {"source": wanted.source, **figures})


if __name__ == "__main__":
    main()
