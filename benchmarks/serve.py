"""How many cameras does a server carry, and what does a bad link cost?

    python benchmarks/serve.py cameras [--model stand-in:20] [--batch 16] [--cameras 1 10 40]
    python benchmarks/serve.py link [--delay 50 --jitter 20 --loss 1] [--rate 2]
    python benchmarks/serve.py fallback [--delay 50 ...]

``cameras``: that many simulated cameras (the real protocol, drawn pictures, a chunk of 4 frames
every 133 ms at most) against a host process with nano, or with a stand-in that takes so many
milliseconds for a batch. A field's age runs from the sending of its newest frame; it counts when
the field comes, and just before the next one replaces it; ``--impaired``: over the link that the
last four options make (delay and jitter in ms one way, loss in %, rate in Mbit/s).

``link``: the whole camera, edited here, over loopback and over the impaired link, in turn; then the
link is cut, and mended. ``fallback``: the remote editor alone, a stand-in of 100 ms on both sides,
over the impaired link, one chunk on its way and several: how old fields get; then cut, mended, its
server killed and started again: the longest time from one field to the next, and when the server
edits again.

The last line is one JSON object; what else the machine did is told by ``load``.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from bench import Figure, live_service, percentile, print_result, watch
from impaired import Impairment, Proxy, impaired
from live import NewPictures, peak_mib, processor_s
from stand_in import CHUNK, HEIGHT, TOKEN, WIDTH, StandIn, host_process

from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.editors.remote import RemoteEditor
from liveedit_cam.pixels import jpeg
from liveedit_cam.remote import flight
from liveedit_cam.remote.address import ServerAddress
from liveedit_cam.remote.keeper import LinkKeeper
from liveedit_cam.remote.link import Link, connect
from liveedit_cam.remote.messages import Edit, Edited, Instruction
from liveedit_cam.types import EditInstruction, ModelFrame

CHUNK_S = CHUNK / 30
WAIT_S = 60.0


class Camera:
    """One simulated camera in a thread: a chunk out, a field back, as the real one does."""

    def __init__(self, port: int, blobs: Sequence[bytes]) -> None:
        address = ServerAddress("127.0.0.1", port, False)
        self._link: Link = connect(address, TOKEN, timeout_s=WAIT_S)
        self._blobs = blobs
        self.arrivals: list[tuple[float, float]] = []
        """When the newest frame was sent and when its field came."""
        self.until = float("inf")
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the end after ``until``."""
        self._thread.join()

    def _run(self) -> None:
        instruction = Instruction(prompt="make it night")
        while (began := time.monotonic()) < self.until:
            number = self._link.next_number()
            edit = Edit(number=number, instruction=instruction, width=WIDTH, height=HEIGHT)
            self._link.send(edit, self._blobs)
            found = self._link.wait([edit], WAIT_S)
            assert found is not None, f"no answer for {WAIT_S:g} s"
            assert isinstance(found[0][0], Edited), found
            self.arrivals.append((began, found[1]))
            time.sleep(max(0.0, began + CHUNK_S - time.monotonic()))


def ages_s(arrivals: Sequence[tuple[float, float]]) -> list[float]:
    """Ages of fields when they came, and when the next came, of pairs (taken, came)."""
    replaced = [after[1] - before[0] for before, after in pairwise(arrivals)]
    return [came - taken for taken, came in arrivals[:-1]] + replaced


def run_cameras(wanted: argparse.Namespace) -> None:
    """A row for each number of cameras."""
    figures: dict[str, Figure] = {
        "model": wanted.model,
        "batch": wanted.batch,
        "impaired": str(wanted.impaired),
    }
    blobs = [jpeg(_drawn(number)) for number in range(CHUNK)]
    for count in wanted.cameras:
        how = impairment(wanted) if wanted.impaired else Impairment()
        with (
            host_process(wanted.model, wanted.batch) as (port, process),
            impaired(port, how) as proxy,
        ):
            cameras = [Camera(proxy.port, blobs) for _ in range(count)]
            spent_s = processor_s(process)
            for camera in cameras:
                camera.until = time.monotonic() + wanted.seconds
                camera.start()
            for camera in cameras:
                camera.join()
            spent_s, host_mib = processor_s(process) - spent_s, peak_mib(process)
        aged = [[1000 * age for age in ages_s(camera.arrivals)] for camera in cameras]
        medians = [statistics.median(ages) for ages in aged]
        ages = sorted(itertools.chain(*aged))
        fields = sum(len(camera.arrivals) for camera in cameras)
        figures |= {
            f"{count}_age_p50_ms": percentile(ages, 0.5),
            f"{count}_age_p95_ms": percentile(ages, 0.95),
            f"{count}_worst_to_median": max(medians) / statistics.median(medians),
            f"{count}_fields_per_camera_s": fields / count / wanted.seconds,
            f"{count}_host_cpu_ms_per_chunk": 1000 * spent_s / fields,
            f"{count}_host_peak_mib": host_mib,
        }
    peaks = [(count, float(figures[f"{count}_host_peak_mib"] or 0)) for count in wanted.cameras]
    if (more := peaks[-1][0] - peaks[0][0]) > 0:
        figures["mib_per_session"] = (peaks[-1][1] - peaks[0][1]) / more
    print_result("How many cameras does a server carry?", figures | _load())


def _drawn(number: int) -> np.ndarray:
    from liveedit_cam.sources import pattern

    source = pattern.create(f"{WIDTH}x{HEIGHT}", loop=True, realtime=False)
    frames = [source.read() for _ in range(number + 1)]
    return frames[-1].pixels


def impairment(wanted: argparse.Namespace) -> Impairment:
    """What the options say of the link."""
    rate = wanted.rate * 1e6 if wanted.rate else float("inf")
    return Impairment(wanted.delay / 1000, wanted.jitter / 1000, wanted.loss / 100, rate)


def run_link(wanted: argparse.Namespace) -> None:
    """Local, loopback, impaired, in turn; at last cut and mended."""
    bad = impairment(wanted)
    asked = ("delay", "jitter", "loss", "rate", "turns")
    figures: dict[str, Figure] = {name: getattr(wanted, name) for name in asked}
    turns: list[dict[str, float]] = []
    links = {"loopback": Impairment(), "impaired": bad}
    with host_process(wanted.model) as (port, server):
        for number in range(wanted.turns):
            turn: dict[str, float] = {}
            if "here" in wanted.ways:
                sink = NewPictures()
                with live_service(_config("diffusion"), sink=sink) as (service, _):
                    turn |= _measured("here", service, sink, wanted.seconds, server)
            for name in (one for one in wanted.ways if one in links):
                sink = NewPictures()
                with impaired(port, links[name]) as proxy:
                    config = _config(f"remote:ws://127.0.0.1:{proxy.port}")
                    with live_service(config, sink=sink) as (service, _):
                        _until(service, "ms away")
                        turn |= _measured(name, service, sink, wanted.seconds, server, proxy)
                        if name == "impaired" and number == wanted.turns - 1:
                            figures |= _cut(service, sink, proxy)
            turns.append(turn)
    figures |= {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    print_result("What does a bad link cost?", figures | _load())


class Engine:
    """The engine's loop with a remote editor: a chunk, and the next as soon as it is there."""

    patience_s = WAIT_S

    def __init__(self, port: int) -> None:
        address = ServerAddress("127.0.0.1", port, False)
        keeper = LinkKeeper(partial(connect, address, TOKEN))
        keeper.start()
        self._editor = RemoteEditor(StandIn(0.1, 1).open(), keeper, "the server")
        self._conditioning = self._editor.encode(EditInstruction("make it night", revision=1))
        self._pixels = _drawn(0)
        self.came: list[tuple[float, float]] = []
        """When a field's newest frame was taken, and when the field came."""

    def until(self, says: str, least_s: float = 0.0) -> float:
        """Edit until the report says who edits, at least so long; the seconds it took to say so."""
        began, said_after = time.monotonic(), None
        while said_after is None or time.monotonic() - began < least_s:
            at = time.monotonic()
            times = [at - (CHUNK - 1 - n) / 30 for n in range(CHUNK)]
            frames = [ModelFrame(self._pixels, n, time_s) for n, time_s in enumerate(times)]
            for field in self._editor.edit(frames, self._conditioning, every_frame=False):
                self.came.append((field.captured_at, time.monotonic()))
            if said_after is None and says in str(self._editor.report().edited_by):
                said_after = time.monotonic() - began
            if at - began > self.patience_s:
                raise TimeoutError(f"{says!r} did not come: {self._editor.report()}")
            time.sleep(max(0.0, at + CHUNK_S - time.monotonic()))
        return said_after

    def longest_gap_s(self, since: float) -> float:
        """The longest time from one field to the next from ``since`` on."""
        return max(b - a for (_, a), (_, b) in pairwise(self.came) if b >= since)

    def ages_ms(self, since: float) -> list[float]:
        """Ages of fields that came after ``since``: when they came, and when the next came."""
        return [1000 * age for age in ages_s([one for one in self.came if one[1] >= since])]

    def close(self) -> None:
        """End it."""
        self._editor.close()


def run_fallback(wanted: argparse.Namespace) -> None:
    """Cut and mended; killed and started again."""
    figures: dict[str, Figure] = {}
    with ExitStack() as server:
        port, _ = server.enter_context(host_process("stand-in:100"))
        with impaired(port, impairment(wanted)) as proxy:
            engine = Engine(proxy.port)
            engine.until("ms away", 5.0)
            usual = flight.MAX_FLYING
            for name, flight.MAX_FLYING in (("one", 1), ("several", usual)):
                began = time.monotonic()
                engine.until("ms away", wanted.seconds)
                ages = engine.ages_ms(began)
                figures[f"{name}_on_its_way_age_p50_ms"] = percentile(ages, 0.5)
                figures[f"{name}_on_its_way_age_p95_ms"] = percentile(ages, 0.95)
                figures[f"{name}_on_its_way_fields_s"] = len(ages) / 2 / wanted.seconds
            began = time.monotonic()
            proxy.cut()
            figures["cut_local_after_s"] = engine.until("this computer", 5.0)
            figures["cut_longest_gap_s"] = engine.longest_gap_s(began)
            proxy.mend()
            figures["mended_back_after_s"] = engine.until("ms away", 5.0)
            began = time.monotonic()
            server.close()
            figures["killed_local_after_s"] = engine.until("this computer", 5.0)
            figures["killed_longest_gap_s"] = engine.longest_gap_s(began)
            with host_process("stand-in:100", port=port):
                figures["started_back_after_s"] = engine.until("ms away")
            engine.close()
    print_result("How long is nobody editing?", figures | _load())


def _config(editor: str) -> Config:
    return Config.model_validate(
        {"source": "pattern", "sinks": ("null",), "prompt": "make it night", "editor": editor,
         "remote_token": TOKEN}
    )  # fmt: skip


def _measured(
    name: str,
    service: Service,
    sink: NewPictures,
    seconds: float,
    server: Path,
    proxy: Proxy | None = None,
) -> dict[str, float]:
    service.wait(9)  # the daemon's latencies are of the last 8.5 s
    parts = {
        "camera": Path("/proc/self"),
        "engine": Path(f"/proc/{service.controller.status().engine_pid}"),
        "server": server,
    }
    spent_s = {part: processor_s(process) for part, process in parts.items()}
    before = dict(proxy.num_bytes) if proxy else {}
    began, fps = time.monotonic(), []
    status = watch(service, seconds, lambda status: fps.append(status.sink_fps))
    took_s = time.monotonic() - began
    found: dict[str, float] = {
        f"{name}_sink_fps": statistics.median(fps),
        f"{name}_glass_p95_ms": status.glass_to_sink.p95_ms,
        f"{name}_age_p50_ms": status.field_age.p50_ms,
        f"{name}_age_p95_ms": status.field_age.p95_ms,
        f"{name}_fields_s": status.fields_per_second,
        f"{name}_steps": float(status.num_steps),
        f"{name}_longest_stop_ms": sink.longest_stop_ms(began),
    }
    for part, process in parts.items():
        found[f"{name}_{part}_cores"] = (processor_s(process) - spent_s[part]) / took_s
    for way, number in before.items():
        assert proxy is not None, "bytes are counted where there is a proxy"
        found[f"{name}_{way}_mbit_s"] = 8e-6 * (proxy.num_bytes[way] - number) / took_s
    return found


def _cut(service: Service, sink: NewPictures, proxy: Proxy) -> dict[str, Figure]:
    began = time.monotonic()
    proxy.cut()
    _until(service, "this computer")
    fallback_s = time.monotonic() - began
    service.wait(5)
    stop_ms = sink.longest_stop_ms(began)
    proxy.mend()
    mended = time.monotonic()
    _until(service, "ms away")
    return {
        "fallback_s": fallback_s,
        "cut_longest_stop_ms": stop_ms,
        "return_s": time.monotonic() - mended,
    }


def _until(service: Service, says: str) -> None:
    """Wait until the status says who edits. Raises TimeoutError."""
    give_up_at = time.monotonic() + WAIT_S
    while says not in (service.controller.status().edited_by or ""):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"{says!r} did not come: {service.controller.status()}")
        service.wait(0.02)


def _load() -> dict[str, Figure]:
    """Runnable processes of the last minute and cores: what else the machine did."""
    return {"load": os.getloadavg()[0], "cores": os.cpu_count()}


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cameras", "link", "fallback"))
    parser.add_argument("--model", default="nano", help="nano, or stand-in:MILLISECONDS")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=1, help="link: medians over so many")
    ways = ("here", "loopback", "impaired")
    parser.add_argument("--ways", nargs="+", choices=ways, default=ways, help="link: these only")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--impaired", action="store_true", help="cameras: over the bad link, too")
    parser.add_argument("--delay", type=float, default=50.0)
    parser.add_argument("--jitter", type=float, default=20.0)
    parser.add_argument("--loss", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=0.0, help="0 = unlimited")
    wanted = parser.parse_args()
    {"cameras": run_cameras, "link": run_link, "fallback": run_fallback}[wanted.what](wanted)


if __name__ == "__main__":
    main()
