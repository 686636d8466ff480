"""``liveedit-cam bench quality``: draw the pairs, measure what is not measured yet, report."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.clips import Clip, load_clips
from liveedit_cam.lab.edits.pictures import load_pictures
from liveedit_cam.lab.evaluation.benchmark import Measured, codec_db, measure
from liveedit_cam.lab.evaluation.named import draw_named, measure_named
from liveedit_cam.lab.evaluation.named_report import (
    named_markdown,
    named_means,
    named_sources,
    named_tile,
)
from liveedit_cam.lab.evaluation.pairs import NUM_PAIRS, Shelf, VideoPair, draw_pairs
from liveedit_cam.lab.evaluation.paper_metrics import NotRun, PaperMetrics, PaperWeights
from liveedit_cam.lab.evaluation.peer import peer_iou
from liveedit_cam.lab.evaluation.plots import draw_plots
from liveedit_cam.lab.evaluation.records import (
    RunIdentity,
    append_result,
    open_results,
    read_pairs,
    weights_digest,
    write_pairs,
)
from liveedit_cam.lab.evaluation.report import (
    LEAST_GAINED,
    Report,
    RunFacts,
    as_json,
    last_line,
    markdown,
    stack,
    triple,
    worst_results,
)
from liveedit_cam.lab.evaluation.summary import summarise
from liveedit_cam.model import EditStream, load
from liveedit_cam.model.config import model_size

SHORT_SIDE_PX, MAX_FRAMES = 480, 64
"""Real clips are measured at this short side, on their first so many frames."""
SHEET_ROWS = 30
JPEG_QUALITY = 85

Pictures = Annotated[
    Path | None,
    typer.Option(help="Folder of labelled pictures: also 120 edits of things by their name."),
]
ClipFolder = Annotated[
    Path | None, typer.Option(help="Folder with both CLIP models; none = the hub's cache.")
]
Laion = Annotated[Path | None, typer.Option(help="LAION's aesthetic head.")]
Musiq = Annotated[Path | None, typer.Option(help="MUSIQ's weights (SPAQ); takes pyiqa.")]
Raft = Annotated[Path | None, typer.Option(help="RAFT's weights (C_T_V1); takes torchvision.")]
Peer = Annotated[
    Path | None,
    typer.Option(help="Folder of another program's person masks, NAME.png, for --pictures."),
]

app = typer.Typer(
    help="Measure how good a model is.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def bench() -> None:
    """Keep ``quality`` a command of its own."""


@app.command()
def quality(
    media: Annotated[
        Path | None,
        typer.Option(help="Folder of clips, masks and clips.json; none = drawn scenes alone."),
    ] = None,
    model: Annotated[str, typer.Option(help="Model name or folder.")] = "nano",
    out: Annotated[Path, typer.Option(help="Folder of the report; a run in it goes on.")] = Path(
        "runs/bench"
    ),
    count: Annotated[int, typer.Option(min=1, help="Pairs to draw.")] = NUM_PAIRS,
    seed: Annotated[int, typer.Option(help="Seed of the pairs.")] = 0,
    pairs: Annotated[
        Path | None, typer.Option(help="pairs.json of another run, instead of drawing.")
    ] = None,
    pictures: Pictures = None,
    peer: Peer = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Also the paper's own metrics, where their models are.")
    ] = False,
    clip: ClipFolder = None,
    laion: Laion = None,
    musiq: Musiq = None,
    raft: Raft = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure all pairs again.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 2,
) -> None:
    """Edits against exact targets on 120 seeded video-instruction pairs; resumes.

    Half on the test clips of --media, half on drawn scenes. Writes report.md, report.json, plots,
    contact sheets and a picture per pair to --out; the last line of stdout is one JSON object.
    """
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    stream = load(model, device)
    given = {"clip": clip, "laion": laion, "musiq": musiq, "raft": raft}
    wanted = PaperWeights(**{name: _existing(name, path) for name, path in given.items()})
    metrics = PaperMetrics(wanted) if paper or any(given.values()) else None
    shelf = Shelf(_real_clips(media))
    chosen = read_pairs(pairs) if pairs else tuple(draw_pairs(shelf, count, seed))
    identity = RunIdentity(
        model, weights_digest(model), _pairs_digest(chosen), metrics.names if metrics else ()
    )
    (out / "pairs").mkdir(parents=True, exist_ok=True)
    if fresh:
        (out / "run.json").unlink(missing_ok=True)
    done = open_results(out, identity, chosen)
    write_pairs(out / "pairs.json", chosen)
    with _progress(len(chosen), len(done)) as advance:
        waiting = [pair for pair in chosen if pair.number not in done]
        for measured in measure(stream, waiting, shelf, metrics):
            _write_picture(_picture_path(out, measured.result.pair), triple(measured))
            append_result(out / "results.jsonl", measured.result)
            done[measured.result.pair.number] = measured.result
            advance(measured)
    facts = _facts(model, stream, None if pairs else seed)
    results = tuple(done[pair.number] for pair in chosen)
    summary = summarise(results, _codec_db(stream, shelf, chosen))
    report = Report(facts, len(chosen), results, summary, _not_run(metrics), ())
    _write_report(out, report)
    named = {} if pictures is None else {"named": _named(stream, pictures, peer, seed, out)}
    typer.echo(json.dumps({**last_line(summary), **named}))


def _named(
    stream: EditStream, folder: Path, peer: Path | None, seed: int, out: Path
) -> dict[str, float | None]:
    """Measure the second set; writes named.md, named.json and named.jpg, returns the means."""
    pictures = load_pictures(folder, "test", sharealike=True)
    pairs = draw_named(pictures, seed)
    of_peer = None if peer is None else peer_iou(peer, pairs, pictures)
    by_name = {picture.name: picture for picture in pictures}
    results, tiles, shown = [], [], dict[str, str]()
    for measured in measure_named(stream, pairs, pictures):
        results.append(measured.result)
        picture = by_name[measured.result.pair.picture]
        if picture.may_be_shown:
            tiles.append(named_tile(measured))
            shown[picture.name] = picture.attribution
        if len(results) % 10 == 0:
            typer.echo(f"{len(results)} of {len(pairs)} named pairs", err=True)
    text = named_markdown(results, of_peer) + named_sources(shown)
    (out / "named.md").write_text(text)
    (out / "named.json").write_text(json.dumps([asdict(result) for result in results]) + "\n")
    if tiles:
        _write_picture(out / "named.jpg", stack(tiles, 3))
    typer.echo(text)
    return named_means(results)


def _real_clips(media: Path | None) -> list[Clip]:
    if media is None:
        return []
    clips = load_clips(media, "test", None, SHORT_SIDE_PX, MAX_FRAMES)
    if not clips:
        raise UsageError(
            f"got media folder {media} without a usable clip of the split test in its clips.json",
            hint="Give another folder, or leave --media out for drawn scenes alone.",
        )
    return clips


def _existing(name: str, path: Path | None) -> Path | None:
    if path is not None and not (path.is_dir() if name == "clip" else path.is_file()):
        kind = "a folder with both CLIP models" if name == "clip" else "a file of weights"
        raise UsageError(
            f"got --{name} {path}, expected {kind}",
            hint="Leave it out, and what needs it is not run.",
        )
    return path


def _pairs_digest(pairs: Sequence[VideoPair]) -> str:
    return hashlib.sha256(json.dumps([asdict(pair) for pair in pairs]).encode()).hexdigest()


def _facts(model: str, stream: EditStream, seed: int | None) -> RunFacts:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    dtype = str(stream.dtype).removeprefix("torch.")
    return RunFacts(model, str(stream.device), dtype, torch.__version__, cores, seed)


def _codec_db(stream: EditStream, shelf: Shelf, pairs: Sequence[VideoPair]) -> float:
    """Mean of the codec over the real clips, or over the drawn scenes where there are none."""
    clips = shelf.real or tuple(shelf.get(pair.clip) for pair in pairs[:8])
    config, values = stream.config, []
    for clip in clips:
        size = model_size(config, *clip.frames.shape[1:3])
        values.append(codec_db(stream.codec, clip, size, stream.device))
    return sum(values) / len(values)


def _not_run(metrics: PaperMetrics | None) -> tuple[NotRun, ...]:
    if metrics is not None:
        return tuple(metrics.not_run)
    return (NotRun("all six", "--paper, or their models by --clip, --laion, --musiq, --raft"),)


def _write_report(out: Path, report: Report) -> None:
    """Pictures first, so that the report names those that are there."""
    numbers = [result.pair for result in report.results]
    sheets = []
    for first in range(0, len(numbers), 2 * SHEET_ROWS):
        name = f"sheet-{first // (2 * SHEET_ROWS) + 1}.jpg"
        _write_sheet(out, name, numbers[first : first + 2 * SHEET_ROWS])
        sheets.append(name)
    misses = [result.pair for result in worst_results(report.results, LEAST_GAINED)]
    if misses:
        _write_sheet(out, "misses.jpg", misses)
        sheets.append("misses.jpg")
    report = replace(report, pictures=(*draw_plots(report.summary, out), *sheets))
    text = markdown(report)
    (out / "report.md").write_text(text)
    (out / "report.json").write_text(json.dumps(as_json(report)) + "\n")
    typer.echo(text.partition("## Least gained")[0])
    typer.echo(f"wrote {out / 'report.md'}")


def _picture_path(out: Path, pair: VideoPair) -> Path:
    return out / "pairs" / f"{pair.number:03d}.jpg"


def _write_sheet(out: Path, name: str, pairs: Sequence[VideoPair]) -> None:
    tiles = []
    for pair in pairs:
        picture = cv2.imread(str(_picture_path(out, pair)))
        if picture is None:
            raise UsageError(
                f"got {_picture_path(out, pair)}, which is missing or no picture",
                hint="Measure again with --fresh.",
            )
        tiles.append(np.asarray(picture, np.uint8)[..., ::-1])
    _write_picture(out / name, stack(tiles, min(2, len(tiles))))


def _write_picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write uint8 (H, W, 3) RGB as JPEG."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    if not cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]), quality):
        raise UsageError(f"got {path}, which cannot be written", hint="Is the disk full?")


@contextlib.contextmanager
def _progress(total: int, done: int) -> Iterator[Callable[[Measured], None]]:
    """Takes each measured pair: a bar on a terminal, else a line for every tenth pair.

    Ctrl-C leaves what is done in place and says how to go on.
    """
    console = Console(stderr=True)
    columns = (TextColumn("pairs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    text = TextColumn("{task.description}", markup=False)
    bar = Progress(*columns, text, console=console, disable=not console.is_terminal)
    task = bar.add_task("", total=total, completed=done)
    if done:
        typer.echo(f"{done} of {total} pairs are measured already", err=True)
    count = done

    def advance(measured: Measured) -> None:
        nonlocal count
        count += 1
        bar.update(task, completed=count, description=measured.result.pair.prompt[:40])
        if bar.disable and count % 10 == 0:
            typer.echo(f"{count} of {total} pairs", err=True)

    try:
        with bar:
            yield advance
    except KeyboardInterrupt:
        hint = "the same command goes on from there"
        typer.echo(f"interrupted with {count} of {total} pairs measured; {hint}", err=True)
        raise
