"""Do the paper's ablations hold at our scale, and what of the parts it does not ablate?

Eleven parts, one question each: the three stages, where the mask cache sits, how alike features
are from latent to latent, keep ratio, adaptive threshold, dilation, number of tokens, number of
steps, KV policy, window and sinks, drift.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.ablations.cache import (
    adaptive_part,
    cache_part,
    dilation_part,
    keep_part,
    similarity_part,
)
from liveedit_cam.lab.ablations.cases import choose_clips
from liveedit_cam.lab.ablations.live import drift_part, switch_part, window_part
from liveedit_cam.lab.ablations.machine import this_machine
from liveedit_cam.lab.ablations.paper import renew
from liveedit_cam.lab.ablations.plots import draw_plots
from liveedit_cam.lab.ablations.records import (
    ROWS,
    PartRecord,
    Results,
    Row,
    read_results,
    resume,
    write_results,
)
from liveedit_cam.lab.ablations.rig import LEAST_GAIN_DB, Setup, Steps, load_networks
from liveedit_cam.lab.ablations.sampler import size_part, steps_part
from liveedit_cam.lab.ablations.stages import checkpoints_stamp, stages_part
from liveedit_cam.lab.evaluation.records import weights_digest

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


def ablations(
    model: Annotated[str, typer.Option(help="nano, or a folder that export wrote.")] = "nano",
    media: Annotated[
        Path | None, typer.Option(help="Folder of clips; none = drawn scenes.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The stages' runs.")] = Path("runs"),
    out: Annotated[Path, typer.Option(help="Folder of the results; a run in it goes on.")] = Path(
        "runs/ablations"
    ),
    parts: Annotated[str, typer.Option(help='Some of the parts, or "none".')] = ",".join(PARTS),
    clips: Annotated[int, typer.Option(min=1, help="Clips to edit.")] = 2,
    minutes: Annotated[float, typer.Option(help="Length of the drift stream.")] = 10.0,
    least_gain: Annotated[
        float, typer.Option(help="dB from which on an edit counts as made.")
    ] = LEAST_GAIN_DB,
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is in --out.")] = False,
    paper: Annotated[
        Path | None, typer.Option(help="Page whose figures to renew, docs/paper.md.")
    ] = None,
    bench: Annotated[Path, typer.Option(help="Report of bench quality, for that page.")] = Path(
        "runs/bench/report.json"
    ),
) -> None:
    """Do the paper's ablations hold at our scale? Eleven parts; resumes part by part.

    On test clips of --media, or drawn scenes, at a short side of 256 pixels. All times but
    ``chunk_ms`` are ratios inside one run. Writes results.json and plots to --out; the last line of
    stdout is one JSON object. ``--parts none`` renews the page alone.
    """
    wanted = _chosen(parts)
    options = Options(model, media, runs, out, wanted, clips, minutes, least_gain, threads, device,
                      fresh)  # fmt: skip
    results = measure(options) if wanted else read_results(out / RESULTS_FILE)
    draw_plots(results, out)
    if paper is not None:
        renew(paper, results, out, bench)
        typer.echo(f"wrote {paper}")
    typer.echo(json.dumps({"question": QUESTION, **asdict(results)}))


def _chosen(parts: str) -> tuple[str, ...]:
    """The parts in their own order. Raises UsageError for one that does not exist."""
    asked = [] if parts == "none" else parts.split(",")
    if set(asked) - set(PARTS):
        raise UsageError(f"got --parts {parts}, expected some of {', '.join(PARTS)}, or none")
    return tuple(name for name in ROWS if name in asked)


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
    if name == "cache":
        return f"{made}, decoded"
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
