"""Do the paper's ablations hold at our scale, and what of the parts it does not ablate?

Eleven parts, one question each (--parts names some of them): the three stages, where the mask cache
sits, how alike features are from latent to latent, keep ratio, adaptive threshold, dilation,
number of tokens, number of steps, KV policy, window and sinks, drift. Clips are test clips of
--media, or drawn scenes, at a short side of 256 pixels. Each part is written to --out/results.json
when it is done, so that an interrupted run goes on; plots lie beside it. All times but ``chunk_ms``
are ratios inside one run. The last line of stdout is one JSON object.

    python benchmarks/ablations.py --media ../shared/media [--model nano] [--parts cache,keep]
    python benchmarks/ablations.py --paper docs/paper.md --parts none      (renews the page alone)
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from liveedit_cam.cores import share_cores, usable_cores
from liveedit_cam.errors import LiveEditError, UsageError

share_cores(os.environ, usable_cores())  # before torch is loaded, as the engine does

import cv2  # noqa: E402 - after share_cores
import torch  # noqa: E402

from liveedit_cam.lab.ablations.cache import (  # noqa: E402
    adaptive_part,
    cache_part,
    dilation_part,
    keep_part,
    similarity_part,
)
from liveedit_cam.lab.ablations.cases import choose_clips  # noqa: E402
from liveedit_cam.lab.ablations.live import drift_part, switch_part, window_part  # noqa: E402
from liveedit_cam.lab.ablations.paper import renew  # noqa: E402
from liveedit_cam.lab.ablations.plots import draw_plots  # noqa: E402
from liveedit_cam.lab.ablations.records import (  # noqa: E402
    ROWS,
    PartRecord,
    Results,
    Row,
    read_results,
    resume,
    write_results,
)
from liveedit_cam.lab.ablations.rig import LEAST_GAIN_DB, Setup, Steps, load_networks  # noqa: E402
from liveedit_cam.lab.ablations.sampler import size_part, steps_part  # noqa: E402
from liveedit_cam.lab.ablations.stages import checkpoints_stamp, stages_part  # noqa: E402
from liveedit_cam.lab.evaluation.records import weights_digest  # noqa: E402
from liveedit_cam.lab.machine import this_machine  # noqa: E402

QUESTION = "Do the paper's ablations hold at our scale, and what of the parts it does not ablate?"
PARTS: Mapping[str, Callable[[Setup], tuple[Row, ...]]] = {
    "stages": stages_part,
    "cache": cache_part,
    "similarity": similarity_part,
    "keep": keep_part,
    "adaptive": adaptive_part,
    "dilation": dilation_part,
    "size": size_part,
    "steps": steps_part,
    "switch": switch_part,
    "window": window_part,
    "drift": drift_part,
}
RESULTS_FILE = "results.json"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    model: str
    media: Path | None
    runs: Path
    out: Path
    parts: tuple[str, ...]
    clips: int
    minutes: float
    least_gain: float
    threads: int
    device: str
    fresh: bool
    paper: Path | None
    bench: Path


class BarSteps(Steps):
    """One line of a progress bar per part."""

    def __init__(self, bar: Progress) -> None:
        """``bar`` is running."""
        self._bar = bar
        self._task = bar.add_task("", total=None)
        self.name = ""

    def begin(self, total: int) -> None:
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(self.name, total=total)

    def advance(self) -> None:
        self._bar.advance(self._task)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for and not there yet; returns the exit code."""
    try:
        options = parse(arguments)
        results = measure(options) if options.parts else read_results(options.out / RESULTS_FILE)
        draw_plots(results, options.out)
        if options.paper is not None:
            renew(options.paper, results, options.out, options.bench)
            print(f"wrote {options.paper}")
    except LiveEditError as error:
        print(error)
        return error.exit_code
    print(json.dumps({"question": QUESTION, **asdict(results)}))
    return 0


def measure(options: Options) -> Results:
    """Run the parts and write each as it is done. Raises UsageError and WeightsError."""
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    networks = load_networks(options.model, options.device)
    clips = choose_clips(options.media, options.clips)
    path = options.out / RESULTS_FILE
    names = tuple(clip.name for clip in clips)
    wanted = Results(options.model, weights_digest(options.model), names)
    results = wanted if options.fresh else resume(path, wanted)
    with _bar() as bar:
        steps = BarSteps(bar)
        setup = Setup(networks, clips, options.runs, options.minutes, steps, options.least_gain)
        for name in options.parts:
            stamp, steps.name = stamp_of(name, options), name
            before = results.part(name)
            if before is not None and before.stamp == stamp:
                print(f"{name}: measured already")
                continue
            results = results.with_part(_record(name, stamp, setup))
            write_results(path, results)
            print(f"{name}: done", flush=True)
    return results


def stamp_of(name: str, options: Options) -> str:
    """What a part depends on besides model and clips; a part with another one is measured anew."""
    made = f"edits of {options.least_gain:g} dB"
    if name == "stages":
        return f"{made}, {checkpoints_stamp(options.runs)}"
    return f"{made}, {options.minutes:g} minutes" if name == "drift" else made


def _record(name: str, stamp: str, setup: Setup) -> PartRecord:
    began = time.perf_counter()
    rows = PARTS[name](setup)
    facts = this_machine()
    return PartRecord(
        name,
        stamp,
        seconds=time.perf_counter() - began,
        cpu=facts.cpu,
        cores=facts.cores,
        dtype=str(setup.networks.dtype).removeprefix("torch."),
        commit=facts.commit,
        rows=rows,
    )


def _bar() -> Progress:
    console = Console(stderr=True)
    name = TextColumn("{task.description}", markup=False)
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def parse(arguments: Sequence[str] | None) -> Options:
    """Options of the command line. Raises UsageError for a part that does not exist."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--model", default="nano", help="nano, or a folder that export wrote")
    parser.add_argument("--media", type=Path, help="clips; left out = drawn scenes")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the stages' runs")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--parts", default=",".join(PARTS), help='or "none"')
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the drift stream")
    parser.add_argument(
        "--least-gain", type=float, default=LEAST_GAIN_DB, help="dB from which on an edit is made"
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--fresh", action="store_true", help="forget what is in --out")
    parser.add_argument("--paper", type=Path, help="page whose figures are renewed, docs/paper.md")
    parser.add_argument(
        "--bench", type=Path, default=Path("runs/bench/report.json"), help="for that page"
    )
    found = parser.parse_args(arguments)
    asked = [] if found.parts == "none" else found.parts.split(",")
    unknown = [name for name in asked if name not in PARTS]
    if unknown or found.clips < 1:
        raise UsageError(
            f"got --parts {found.parts} --clips {found.clips}, expected parts out of "
            f"{', '.join(PARTS)} and at least one clip"
        )
    parts = tuple(name for name in ROWS if name in asked)
    return Options(**{**vars(found), "parts": parts})


if __name__ == "__main__":
    raise SystemExit(main())
