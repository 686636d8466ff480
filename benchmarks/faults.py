"""What does a viewer see of a fault?

The whole daemon with the real model runs live, and one part after the other fails: the engine is
killed or hung, a camera is unplugged or stands still, a sink blocks, a disk is full, the daemon is
stopped. At a healthy sink is measured, from the fault on: the longest gap between two pictures, how
long until a picture edited after the fault is there, and how many pictures were the raw camera's
(by their checksum, against every frame captured). Where the daemon itself stands still, the gap is
measured from the moment it goes on. In both latency modes. The last line is one JSON object.

    python benchmarks/faults.py [--only engine] [--latency live]
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from threading import Event
from typing import Any

from bench import print_result

from liveedit_cam import registry
from liveedit_cam.commands.display import PLAIN_EVERY_S, PlainDisplay
from liveedit_cam.commands.output import forgiving
from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.errors import SinkError, SourceError
from liveedit_cam.protocols import Sink, Source
from liveedit_cam.types import Frame, LatencyMode

QUESTION = "What does a viewer see of a fault?"
PROMPT = "invert the colours"
PATIENCE_S = 60.0
CALM_S = 3.0
"""Time before each fault in which everything works."""
LEAST_S = 6.0
"""Time a fault is watched for at least."""
WRITTEN_S = 2.0
"""Time something is recorded or printed before its disk is full, and after there is room again."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is wrong now, and what was captured and shown."""

    unplugged: Event = field(default_factory=Event)
    stalled: Event = field(default_factory=Event)
    blocked: Event = field(default_factory=Event)
    broken: Event = field(default_factory=Event)
    recording: Event = field(default_factory=Event)
    captured: set[int] = field(default_factory=set)
    """Checksums of the camera's pictures."""
    written: list[tuple[float, Frame]] = field(default_factory=list)
    """What the healthy sink got, and when."""


FAULTS = Scene()


class FaultyCamera:
    """The drawn scene, until told to fail."""

    def __init__(self, spec: str, **options: Any) -> None:
        """Open the drawn scene. Raises SourceError while unplugged."""
        if FAULTS.unplugged.is_set():
            raise SourceError("The camera is not there.", hint="Plug it in.")
        self._inner: Source = registry.open_source("pattern", **options)
        self.width, self.height = self._inner.width, self._inner.height
        self.fps, self.name = self._inner.fps, "faulty camera"

    def read(self) -> Frame:
        """The next frame; its checksum is remembered."""
        if FAULTS.unplugged.is_set():
            raise SourceError("The camera is gone.", hint="Plug it in.")
        while FAULTS.stalled.is_set():
            time.sleep(0.01)
        frame = self._inner.read()
        FAULTS.captured.add(zlib.crc32(frame.pixels.tobytes()))
        return frame

    def close(self) -> None:
        """Close the drawn scene."""
        self._inner.close()


class Watcher:
    """The healthy sink: notes every picture."""

    name = "watcher"

    def write(self, frame: Frame) -> None:
        """Note it."""
        FAULTS.written.append((time.monotonic(), frame))

    def close(self) -> None:
        """Nothing to free."""


class Neighbour:
    """Another sink, which may block or fail."""

    name = "neighbour"

    def write(self, frame: Frame) -> None:
        """Do what is wrong now. Raises SinkError."""
        while FAULTS.blocked.is_set():
            time.sleep(0.01)
        if FAULTS.broken.is_set():
            raise SinkError("The sink is gone.", hint="Plug it in.")

    def close(self) -> None:
        """Nothing to free."""


class Recorder:
    """A recording in a folder of its own, while one is wanted."""

    name = "recorder"

    def __init__(self, folder: Path, **shape: Any) -> None:
        """Begin nothing yet; ``shape`` is that of the frames."""
        self._path, self._shape = folder / "out.mp4", shape
        self._file: Sink | None = None

    def write(self, frame: Frame) -> None:
        """Record it. Raises SinkError."""
        if not FAULTS.recording.is_set():
            return
        if self._file is None:
            self._file = registry.open_sink(f"file:{self._path}", **self._shape)
        self._file.write(frame)

    def close(self) -> None:
        """Finish the recording. Raises SinkError."""
        if self._file is not None:
            self._file.close()


@dataclass(slots=True)
class Seen:
    """One fault, as a viewer saw it."""

    fault: str
    latency: str
    gap_ms: float
    back_s: float | None
    """Seconds from the fault's end to a picture captured and edited after it; None = never."""
    raw: int
    pictures: int = field(default=0)


def end_engine(service: Service, number: signal.Signals) -> None:
    """Send a signal to the engine process."""
    os.kill(service.controller.status().engine_pid, number)


def hold(event: Event, seconds: float) -> None:
    """Let something be wrong for a while."""
    event.set()
    time.sleep(seconds)
    event.clear()


def instruct_often(service: Service) -> None:
    """Fifty instructions in a second."""
    for number in range(50):
        service.controller.instruct(PROMPT if number % 2 else "make it night")
        time.sleep(0.02)


def refuse(service: Service) -> None:
    """An instruction that the model knows no word of."""
    service.controller.instruct("xyzzy plugh")
    time.sleep(0.5)
    service.controller.instruct(PROMPT)


def fill_disk(_: Service, folder: Path) -> None:
    """Let a recording meet the end of its room, and go on in a new file.

    No file of this process may grow: the write fails as on a full disk, with EFBIG for ENOSPC.
    Raises RuntimeError where the recording did not go on.
    """
    FAULTS.recording.set()
    time.sleep(WRITTEN_S)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    time.sleep(WRITTEN_S)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    give_up_at = time.monotonic() + PATIENCE_S
    while len(list(folder.iterdir())) == 1:
        if time.monotonic() > give_up_at:
            raise RuntimeError("the recording did not go on in a new file")
        time.sleep(0.1)
    FAULTS.recording.clear()


def fill_stdout(service: Service) -> None:
    """Print the status to a disk that is full, as ``run`` does."""
    with open("/dev/full", "w", encoding="utf-8") as full:
        stream = forgiving(full)
        always_due = count(step=PLAIN_EVERY_S).__next__
        display = PlainDisplay(lambda line: print(line, file=stream), always_due)
        for _ in range(40):
            display.show(service.controller.status())
            time.sleep(WRITTEN_S / 40)


def stop_processes(service: Service, seconds: float, *, with_engine: bool) -> None:
    """Stop this process, with the engine as in a suspend; another one lets them go on."""
    pids = [os.getpid()] + [service.controller.status().engine_pid] * with_engine
    told = " ".join(str(pid) for pid in pids)
    script = f"kill -STOP {told}; sleep {seconds}; kill -CONT {told}"
    subprocess.run(["sh", "-c", script], check=True)


def faults(folder: Path) -> dict[str, Callable[[Service], None]]:
    """Each fault by its name; the call returns when the fault itself is over."""
    return {
        "engine killed": partial(end_engine, number=signal.SIGKILL),
        "engine hung": partial(end_engine, number=signal.SIGSTOP),
        "camera unplugged for 2 s": lambda _: hold(FAULTS.unplugged, 2.0),
        "camera stands still for 3 s": lambda _: hold(FAULTS.stalled, 3.0),
        "another sink blocks for 3 s": lambda _: hold(FAULTS.blocked, 3.0),
        "another sink fails for 2 s": lambda _: hold(FAULTS.broken, 2.0),
        "50 instructions in a second": instruct_often,
        "words it does not know": refuse,
        "full disk behind a recording": partial(fill_disk, folder=folder),
        "full disk behind stdout": fill_stdout,
        "daemon stopped for 3 s": partial(stop_processes, seconds=3.0, with_engine=False),
        "computer asleep for 5 s": partial(stop_processes, seconds=5.0, with_engine=True),
    }


STANDSTILLS = ("daemon stopped for 3 s", "computer asleep for 5 s")
"""Faults during which nothing can be written: what is before their end is no gap."""


def watch(service: Service, name: str, fault: Callable[[Service], None], latency: str) -> Seen:
    """Let one fault happen and look at what the sink got."""
    time.sleep(CALM_S)
    first = len(FAULTS.written)
    fault(service)
    over_at = time.monotonic()
    back_s = None
    while time.monotonic() - over_at < PATIENCE_S:
        at, frame = FAULTS.written[-1]
        is_new = frame.field_at is not None and frame.field_at > over_at
        if is_new and back_s is None:
            back_s = at - over_at
        if back_s is not None and time.monotonic() - over_at > LEAST_S:
            break
        time.sleep(0.005)
    shown = FAULTS.written[max(0, first - 1) :]
    times = [at for at, _ in shown]
    if name in STANDSTILLS:
        times = [over_at, *(at for at in times if at > over_at)]
    gap_s = max((b - a for a, b in pairwise(times)), default=0.0)
    raw = sum(zlib.crc32(frame.pixels.tobytes()) in FAULTS.captured for _, frame in shown)
    del FAULTS.written[:-1]
    return Seen(name, latency, 1000 * gap_s, back_s, raw, len(shown))


def open_sink(spec: str, *, folder: Path, **shape: Any) -> Sink:
    """A sink of this benchmark by its name."""
    if spec == "recorder":
        return Recorder(folder, **shape)
    return Watcher() if spec == "watcher" else Neighbour()


def run(latency: LatencyMode, only: str, prompt: str, folder: Path) -> Iterator[Seen]:
    """All faults, one after the other, in one latency mode; recordings go to ``folder``."""
    config = Config(
        source="faulty",
        sinks=("watcher", "neighbour", "recorder"),
        prompt=prompt,
        latency=latency,
        width=640,
        height=360,
    )
    opened = partial(open_sink, folder=folder)
    service = Service(config, open_source=FaultyCamera, open_sink=opened)
    service.start()
    try:
        service.controller.wait_visible(1, PATIENCE_S)
        for name, fault in faults(folder).items():
            if only in name:
                yield watch(service, name, fault, latency.value)
    finally:
        service.stop()


def table(seen: Sequence[Seen]) -> str:
    """The rows as Markdown."""
    lines = [
        "| fault | mode | longest gap | edited again after | raw pictures |",
        "|---|---|---|---|---|",
    ]
    for one in seen:
        back = "never" if one.back_s is None else f"{one.back_s:.1f} s"
        lines.append(
            f"| {one.fault} | {one.latency} | {one.gap_ms:.0f} ms | {back} | {one.raw} of "
            f"{one.pictures} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--only", default="", help="part of the names of the faults to run")
    parser.add_argument("--latency", choices=("live", "exact"), help="left out = both")
    wanted = parser.parse_args()
    modes = [LatencyMode(wanted.latency)] if wanted.latency else list(LatencyMode)
    seen: list[Seen] = []
    for mode in modes:
        with tempfile.TemporaryDirectory() as folder:
            seen += run(mode, wanted.only, PROMPT, Path(folder))
    print(table(seen))
    figures = {
        "faults": len(seen),
        "worst_gap_ms": max(one.gap_ms for one in seen),
        "worst_back_s": max(one.back_s or PATIENCE_S for one in seen),
        "raw_pictures": sum(one.raw for one in seen),
        "pictures": sum(one.pictures for one in seen),
    }
    print_result(QUESTION, figures)


if __name__ == "__main__":
    main()
