"""What a benchmark run says: Markdown, JSON, contact sheets. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.evaluation.benchmark import Measured, Result
from liveedit_cam.lab.evaluation.paper_metrics import NotRun
from liveedit_cam.lab.evaluation.phrasing import describe
from liveedit_cam.lab.evaluation.summary import Rate, Row, Summary, gain_db, is_edit

LEAST_GAINED = 12
"""Pairs named, and drawn, as those that gain least."""
GROUND, INK = 24, 235


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was run where."""

    model: str
    device: str
    dtype: str
    torch: str
    cores: int
    seed: int | None
    """Of the pairs; None = they were read from a file."""


@dataclass(frozen=True, slots=True)
class Report:
    """All a report is made of."""

    facts: RunFacts
    num_pairs: int
    """Of the list; fewer results = the run was interrupted."""
    results: tuple[Result, ...]
    summary: Summary
    not_run: tuple[NotRun, ...]
    """Metrics of the paper without a figure."""
    pictures: tuple[str, ...]
    """File names to show, in order."""


def markdown(report: Report) -> str:
    """The whole report."""
    facts, summary, done = report.facts, report.summary, len(report.results)
    seed = "pairs from a file" if facts.seed is None else f"seed {facts.seed}"
    real = sum(result.pair.is_real for result in report.results)
    parts = [
        f"# Benchmark of {facts.model}",
        f"{done} of {report.num_pairs} pairs ({real} on real clips, {done - real} on drawn "
        f"scenes), {seed}; {facts.dtype} on {facts.device}, {facts.cores} cores, torch "
        f"{facts.torch}.",
        "## Bars",
        _bars(summary),
        "## How instructions are understood",
        _wordings(summary),
        "## By scope",
        rows_table((*summary.by_scope, summary.overall)),
        "## By family",
        rows_table(summary.by_family),
        "## By clip",
        rows_table(summary.by_clip),
        "## The paper's metrics",
        _paper(report),
        "## Least gained",
        worst(report.results, LEAST_GAINED),
        *(f"![{name}]({name})" for name in report.pictures),
        HOW_MEASURED,
    ]
    return "\n\n".join(parts) + "\n"


HOW_MEASURED = """## How this is measured

Every pair is edited at the clip's full size, three chunks from a fresh stream. Pictures are
measured on the last chunk against the exact target: dB is PSNR of RGB (identical pictures count
60), SSIM is of luma, *inside* is weighted by the exact edit mask, *outside* are pixels the edit
leaves alone. *Gain* is above the unedited source. *Right target*: the output is nearer to its own
target than to that of any other instruction for the clip (some 45 to 90, among them the same edit
elsewhere and in other colours); every wording counts. *Flicker* is the mean difference of each
frame to the one before, carried along the source's optical flow, over all three chunks; *motion* is
the mean length of a video's own flow. Both are over the source's, ratios of means over the pairs of
a row; *target's* is what the exact edit itself would show.
Not measured here: drift over ten minutes, what the mask cache saves."""


def rows_table(rows: Sequence[Row]) -> str:
    """Markdown, one line per row."""
    lines = [
        "| | pairs | PSNR dB | gain dB | inside dB | gain inside | SSIM inside | gain | "
        "outside dB | right target | flicker | target's | motion | target's |",
        "|---|" + "---|" * 13,
    ]
    for row in rows:
        cells = (
            row.name.replace("_", " "),
            str(row.num_pairs),
            _number(row.whole_db, ".1f"),
            _number(row.gain_db, "+.1f"),
            _number(row.inside_db, ".1f"),
            _number(row.inside_gain_db, "+.1f"),
            _number(row.inside_ssim, ".3f"),
            _number(row.inside_ssim_gain, "+.3f"),
            _number(row.outside_db, ".1f"),
            f"{row.right_rate:.0%}",
            _number(row.flicker, ".2f"),
            _number(row.target_flicker, ".2f"),
            _number(row.motion, ".2f"),
            _number(row.target_motion, ".2f"),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def worst_results(results: Sequence[Result], count: int) -> list[Result]:
    """The edits that gain least over the unedited source, the least first."""
    return sorted((r for r in results if is_edit(r)), key=gain_db)[:count]


def worst(results: Sequence[Result], count: int) -> str:
    """Markdown list of ``worst_results``."""
    return "\n".join(
        f'- {r.pair.number}, {r.pair.clip}, "{r.pair.prompt}" ({describe(r.pair.spec)}): '
        f"{gain_db(r):+.1f} dB, {r.picture.whole_db:.1f} dB; nearest: {r.understood[0].nearest}"
        for r in worst_results(results, count)
    )


def as_json(report: Report) -> dict[str, Any]:
    """Plain values for report.json; figures rounded to 0.001."""
    paper = {name: value for name, value, _ in _paper_means(report.results)}
    values: dict[str, Any] = {
        "facts": asdict(report.facts),
        "num_pairs": report.num_pairs,
        "summary": asdict(report.summary),
        "paper": {**paper, **{one.name: f"not run: needs {one.needs}" for one in report.not_run}},
        "results": [asdict(result) for result in report.results],
    }
    tidied: dict[str, Any] = _tidy(values)
    return tidied


def last_line(summary: Summary) -> dict[str, Any]:
    """The figures in short, for the last line of stdout."""
    values: dict[str, Any] = _tidy(
        {
            "overall": asdict(summary.overall),
            "wordings": asdict(summary.wordings),
            "codec_db": summary.codec_db,
            "bars_met": sum(bar.is_met is True for bar in summary.bars),
            "bars": len(summary.bars),
        }
    )
    return values


def _tidy(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    return [_tidy(item) for item in value] if isinstance(value, list | tuple) else value


def _bars(summary: Summary) -> str:
    words = {True: "met", False: "missed", None: "not measured"}
    where = "on test clips" if any(bar.drawn for bar in summary.bars) else "measured"
    lines = [f"| | wanted | {where} | | on drawn scenes |", "|---|---|---|---|---|"]
    lines += [
        f"| {b.name} | {b.wanted} | {b.value} | {words[b.is_met]} | {b.drawn} |"
        for b in summary.bars
    ]
    return "\n".join(lines)


def _wordings(summary: Summary) -> str:
    shown = summary.wordings
    lines = [
        "| right target | wordings of training | unseen wordings |",
        "|---|---|---|",
        f"| all pairs | {_rate(shown.taught)} | {_rate(shown.unseen)} |",
        f"| edits asked for in both | {_rate(shown.taught_of_same)} | "
        f"{_rate(shown.unseen_of_same)} |",
    ]
    every = f"Every wording of the pair understood: {_rate(shown.all_right)} pairs."
    return "\n".join(lines) + f"\n\n{every}"


def _paper(report: Report) -> str:
    lines = ["| | mean | pairs |", "|---|---|---|"]
    lines += [
        f"| {n} | {value:.3f} | {count} |" for n, value, count in _paper_means(report.results)
    ]
    lines += [f"| {one.name} | not run: needs {one.needs} | |" for one in report.not_run]
    return "\n".join(lines)


def _paper_means(results: Sequence[Result]) -> list[tuple[str, float, int]]:
    """Name, mean and number of pairs of each metric that was run."""
    names = dict.fromkeys(figure.name for result in results for figure in result.paper)
    found = []
    for name in names:
        values = [f.value for result in results for f in result.paper if f.name == name]
        found.append((name, sum(values) / len(values), len(values)))
    return found


def _rate(rate: Rate | None) -> str:
    return "none asked" if rate is None else f"{rate.share:.1%} of {rate.count}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


Tile = tuple[NDArray[np.uint8], NDArray[np.uint8], str]
"""Source, edited, both uint8 (H, W, 3) RGB, and the line above them."""


def triple(measured: Measured, width_px: int = 300) -> NDArray[np.uint8]:
    """uint8 (H, W, 3): source, output and exact target of the last frame side by side under the
    instruction.
    """
    height = width_px * 9 // 16
    frames = (measured.source[-1], measured.output[-1], measured.target)
    row = np.hstack([fill_tile(frame, width_px, height) for frame in frames])
    pair, right = measured.result.pair, measured.result.understood[0].is_right
    text = f"{pair.number}: {pair.prompt}   [{gain_db(measured.result):+.1f} dB"
    return titled(row, f"{text}{'' if right else ', nearest to another edit'}]")


def stack(tiles: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Tiles of one size in a grid, uint8 (H, W, 3); what is over at the end stays dark."""
    filled = [*tiles, *[np.full_like(tiles[0], GROUND)] * (-len(tiles) % columns)]
    rows = [np.hstack(filled[i : i + columns]) for i in range(0, len(filled), columns)]
    return np.vstack(rows)


def contact_sheet(
    pairs: Sequence[Tile], columns: int = 2, width_px: int = 320
) -> NDArray[np.uint8]:
    """Source beside edited under a line of text, uint8 (H, W, 3) RGB; portraits are cropped."""
    height = width_px * 9 // 16
    tiles = [
        titled(np.hstack([fill_tile(frame, width_px, height) for frame in (source, edited)]), text)
        for source, edited, text in pairs
    ]
    return stack(tiles, columns)


def titled(row: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A line of text above ``row`` (H, W, 3)."""
    bar = np.full((26, row.shape[1], 3), GROUND, np.uint8)
    cv2.putText(bar, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (INK,) * 3, 1, cv2.LINE_AA)
    return np.vstack((bar, row))


def fill_tile(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale (H, W, 3) to cover width x height; of what hangs over, keep the middle, of portraits
    the top.
    """
    scale = max(width / frame.shape[1], height / frame.shape[0])
    size = (max(width, round(frame.shape[1] * scale)), max(height, round(frame.shape[0] * scale)))
    big = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    top = (big.shape[0] - height) // 3
    left = (big.shape[1] - width) // 2
    return np.ascontiguousarray(big[top : top + height, left : left + width])
