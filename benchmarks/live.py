"""What does a live run cost, and what does it deliver?

A source in real time (the drawn scene, or a video file given with --source file:PATH), the model,
and a sink that keeps nothing: the whole daemon with its engine process, as `liveedit-cam run`
starts it. Measured after a warm-up. Latencies are the daemon's own, from the capture of a frame to
its write to the sink, and from the capture of the frame a field was made from; they are read every
8 s, so that each reading covers fresh frames. --beside N runs N processes beside it that keep a
core busy each, as OBS and a call do. The last line is one JSON object.

    python benchmarks/live.py [--source file:clip.mp4] [--width 1920 --height 1080] [--beside 2]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench import Figure, live_service, print_result, watch

from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.types import Frame, Latency, Status

QUESTION = "What does a live run cost and deliver?"
LATENCY_EVERY = 8
"""Looks, one a second, from one latency reading to the next; the daemon keeps the last 8.5 s."""


@dataclass(slots=True)
class Readings:
    """What was seen once a second."""

    sink_fps: list[float] = field(default_factory=list)
    shown_fps: list[float] = field(default_factory=list)
    glass: list[Latency] = field(default_factory=list)
    age: list[Latency] = field(default_factory=list)
    cache_skip: list[float] = field(default_factory=list)
    num_looks: int = 0

    def look(self, status: Status) -> None:
        """Note one status."""
        self.num_looks += 1
        self.sink_fps.append(status.sink_fps)
        self.shown_fps.append(status.shown_fps)
        self.cache_skip.append(status.cache_skip)
        if self.num_looks % LATENCY_EVERY == 0:
            self.glass.append(status.glass_to_sink)
            self.age.append(status.field_age)


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor time so far, in seconds."""

    daemon_s: float
    engine_s: float
    """0 where the system does not tell."""


class NewPictures:
    """A sink that keeps nothing but when a new picture came."""

    name = "null"

    def __init__(self) -> None:
        self.times: list[float] = []
        self._last_captured_at = 0.0

    def write(self, frame: Frame) -> None:
        """Note the time of a picture of another capture than the last."""
        if frame.captured_at != self._last_captured_at:
            self._last_captured_at = frame.captured_at
            self.times.append(time.monotonic())

    def close(self) -> None:
        """Nothing is held."""

    def longest_stop_ms(self, since: float) -> float:
        """The longest time from one new picture to the next from ``since``, monotonic, on."""
        times = [at for at in self.times if at >= since]
        return max((1000 * (b - a) for a, b in pairwise(times)), default=0.0)


def main() -> None:
    """Measure and print."""
    wanted = _parse()
    config = Config(
        source=wanted.source,
        sinks=("null",),
        model=wanted.model,
        codec=wanted.codec,
        prompt=wanted.prompt,
        latency=wanted.latency,
        steps=wanted.steps,
        width=wanted.width,
        height=wanted.height,
        fps=wanted.fps,
    )
    editor = "slow_editor:create" if wanted.slow else None
    sink = NewPictures()
    running = live_service(config, editor, sink)
    with running as (service, first_frame_s), busy_neighbours(wanted.beside):
        service.wait(wanted.warmup)
        began = time.monotonic()
        figures = measure(service, wanted.seconds)
        figures["longest_stop_ms"] = sink.longest_stop_ms(began)
    asked = {name: getattr(wanted, name) for name in ("source", "prompt", "latency", "beside")}
    size = f"{wanted.width}x{wanted.height} at {wanted.fps:g}"
    print_result(QUESTION, {**asked, "size": size, "first_frame_s": first_frame_s, **figures})


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """That many processes that compute all the time."""
    context = multiprocessing.get_context("spawn")
    neighbours = [context.Process(target=_compute, daemon=True) for _ in range(count)]
    for neighbour in neighbours:
        neighbour.start()
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.join()


def _compute() -> None:
    value = 1
    while True:
        value = value * 1_103_515_245 % 4_294_967_291


def measure(service: Service, seconds: float) -> dict[str, Figure]:
    """Watch a live service for some seconds."""
    engine = Path(f"/proc/{service.controller.status().engine_pid}")
    readings = Readings()
    before, costs, began = service.controller.status(), _costs(engine), time.monotonic()
    after = watch(service, seconds, readings.look)
    elapsed_s, spent = time.monotonic() - began, _costs(engine)
    glass, age = readings.glass or [after.glass_to_sink], readings.age or [after.field_age]
    return {
        "seconds": elapsed_s,
        "capture_fps": (after.frames_captured - before.frames_captured) / elapsed_s,
        "composited_fps": (after.frames_edited - before.frames_edited) / elapsed_s,
        "shown_fps": (after.frames_shown - before.frames_shown) / elapsed_s,
        "sink_fps": statistics.fmean(readings.sink_fps),
        "sink_fps_lowest": min(readings.sink_fps),
        "shown_fps_lowest_3_s": min(readings.shown_fps),
        "late_ticks": after.late_ticks - before.late_ticks,
        "late_share": (after.late_ticks - before.late_ticks)
        / max(1.0, statistics.fmean(readings.sink_fps) * elapsed_s),
        "glass_to_sink_p50_ms": statistics.median(one.p50_ms for one in glass),
        "glass_to_sink_p95_ms": statistics.median(one.p95_ms for one in glass),
        "glass_to_sink_p95_worst_8_s_ms": max(one.p95_ms for one in glass),
        "field_age_p50_ms": statistics.median(one.p50_ms for one in age),
        "field_age_p95_ms": statistics.median(one.p95_ms for one in age),
        "fields_per_second": after.fields_per_second,
        "num_steps": after.num_steps,
        "given_up": after.given_up,
        "chunk_p50_ms": after.chunk_latency.p50_ms,
        "cache_skip": statistics.fmean(readings.cache_skip),
        "engine_restarts": after.engine_restarts,
        "daemon_cores": (spent.daemon_s - costs.daemon_s) / elapsed_s,
        "engine_cores": (spent.engine_s - costs.engine_s) / elapsed_s,
        "daemon_peak_mib": _own_peak_mib(),
        "engine_peak_mib": peak_mib(engine),
    }


def _costs(engine: Path) -> Costs:
    return Costs(time.process_time(), processor_s(engine))


def processor_s(process: Path) -> float:
    """User and system time of a process folder of /proc, in seconds."""
    try:
        fields = (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mib(process: Path) -> float:
    """Peak resident memory of a process folder of /proc in MiB; 0 where there is no /proc."""
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return 0.0
    peak_kib = next(line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak_kib) / 1024


def _own_peak_mib() -> float:
    if sys.platform == "win32":
        return 0.0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--source", default="pattern")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--codec", default="wan", choices=("wan", "tiny"))
    parser.add_argument("--prompt", default="make it night")
    parser.add_argument("--latency", default="live", choices=("live", "exact"))
    parser.add_argument("--steps", type=int, choices=(1, 2, 4), default=None)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--slow", action="store_true", help="a model of one field a second")
    parser.add_argument("--beside", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--warmup", type=float, default=10.0, help="seconds before measuring")
    return parser.parse_args()


if __name__ == "__main__":
    main()
