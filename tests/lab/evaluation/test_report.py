"""Summary, Markdown, JSON, contact sheets and plots: nothing lost, nothing made up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_clips import NIGHT, RED_BEHIND, ExactStream, coloured_clip, pair

from liveedit_cam.lab.edits.spec import EditSpec, Family
from liveedit_cam.lab.evaluation.benchmark import Measured, Result, measure
from liveedit_cam.lab.evaluation.pairs import Shelf
from liveedit_cam.lab.evaluation.paper_metrics import NotRun, PaperFigure
from liveedit_cam.lab.evaluation.plots import draw_plots
from liveedit_cam.lab.evaluation.report import (
    Report,
    RunFacts,
    as_json,
    contact_sheet,
    markdown,
    stack,
    triple,
    worst_results,
)
from liveedit_cam.lab.evaluation.summary import Summary, summarise

NOTHING = EditSpec(Family.IDENTITY)
PAIRS = (pair(NIGHT), pair(RED_BEHIND, 1), pair(NOTHING, 2))
FACTS = RunFacts("tiny", "cpu", "float32", "2", 2, 7)


@pytest.fixture(scope="module")
def measured() -> list[Measured]:
    """Night as asked; the background left as it was; no edit as asked."""
    clip = coloured_clip()
    made = (NIGHT, NOTHING, NOTHING)
    answers = {w.text: made[one.number] for one in PAIRS for w in one.wordings}
    return list(measure(ExactStream(clip, PAIRS[0].start, answers), PAIRS, Shelf([clip])))


@pytest.fixture(scope="module")
def results(measured: list[Measured]) -> tuple[Result, ...]:
    return tuple(one.result for one in measured)


@pytest.fixture(scope="module")
def summary(results: tuple[Result, ...]) -> Summary:
    return summarise(results, 33.0)


def test_rows_are_means_over_their_own_pairs(summary: Summary) -> None:
    """Catches a row of other pairs, and 0 where a figure does not exist."""
    rows = {row.name: row for row in summary.by_family}
    assert set(rows) == {"night", "recolour", "identity"}
    assert rows["night"].whole_db > 50
    assert rows["night"].outside_db is None
    assert rows["recolour"].gain_db == pytest.approx(0, abs=0.01)
    assert rows["recolour"].outside_db == 60
    assert (rows["identity"].gain_db, rows["identity"].inside_db) == (None, None)
    assert [row.right_rate for row in rows.values()] == [1.0, 1.0, 0.0]
    assert summary.overall.right_rate == pytest.approx(2 / 3)
    assert {row.name for row in summary.by_scope} == {"whole", "background", "identity"}
    assert [row.name for row in summary.by_clip] == ["disc"]


def test_bars_are_held_to_what_was_asked(summary: Summary, results: tuple[Result, ...]) -> None:
    """Catches a bar that is met by rounding or by what was not measured, or counts no-edits.

    Night is at 58.9 dB, the untouched background near 8: a mean over edits of 33, not of 42.
    """
    bars = {bar.name: bar for bar in summary.bars}
    assert bars["right target, wordings of training"].is_met is False
    assert bars["codec alone"].is_met is True
    whole = np.mean([result.picture.whole_db for result in results[:2]])
    assert bars["composited PSNR, mean over edits"].value == f"{whole:.1f} dB"
    taught = [replace(r, understood=r.understood[:1]) for r in results]
    unseen = next(b for b in summarise(taught, 31.99).bars if "unseen" in b.name)
    assert (unseen.value, unseen.is_met) == ("not measured", None)
    assert summarise(taught, 31.99).bars[-1].is_met is False


def test_bars_are_held_on_test_clips(results: tuple[Result, ...]) -> None:
    """Catches drawn scenes, some of which took part in training, that lift a figure over a bar."""
    night, recolour, _ = results
    real = replace(recolour, pair=replace(recolour.pair, is_real=True))
    drawn = replace(night, pair=replace(night.pair, is_real=False))
    bar = {bar.name: bar for bar in summarise((real, drawn), 40.0).bars}
    psnr = bar["composited PSNR, mean over edits"]
    assert psnr.value == f"{real.picture.whole_db:.1f} dB"
    assert (psnr.is_met, psnr.drawn) == (False, f"{drawn.picture.whole_db:.1f} dB")


def test_report_says_what_was_missed_and_what_was_not_run(
    summary: Summary, results: tuple[Result, ...]
) -> None:
    """Catches a stand-in number for a metric without its model, and a miss that is not named."""
    scored = (replace(results[0], paper=(PaperFigure("text alignment", 0.25),)), *results[1:])
    not_run = (NotRun("imaging quality", "MUSIQ"),)
    report = Report(FACTS, 4, scored, summary, not_run, ("sheet-1.jpg",))
    text = markdown(report)
    assert "3 of 4 pairs" in text
    assert "| imaging quality | not run: needs MUSIQ | |" in text
    assert "| text alignment | 0.250 | 1 |" in text
    assert '1, disc, "taught 1" (recolour background red)' in text
    assert "![sheet-1.jpg](sheet-1.jpg)" in text
    assert [result.pair.number for result in worst_results(results, 5)] == [1, 0]
    values = json.loads(json.dumps(as_json(report), allow_nan=False))
    assert values["paper"] == {"text alignment": 0.25, "imaging quality": "not run: needs MUSIQ"}
    assert values["results"][0]["picture"]["outside_db"] is None


def test_pictures_show_source_output_and_target(measured: list[Measured]) -> None:
    """Catches an output in the target's place: here the output is the source, the target red."""
    tile = triple(measured[1], width_px=64)[26:]
    source, output, target = (tile[:, i * 64 : (i + 1) * 64].astype(int) for i in range(3))
    assert (source == output).all()
    assert np.abs(target - output).mean() > 20
    assert stack([tile, tile, tile], 2).shape == (2 * tile.shape[0], 2 * tile.shape[1], 3)


def test_plots_are_drawn(summary: Summary, tmp_path: Path) -> None:
    """Catches a plot that fails where a family has no gain (no edit asked for)."""
    names = draw_plots(summary, tmp_path)
    assert all((tmp_path / name).stat().st_size > 5000 for name in names)


def test_contact_sheet_is_a_full_grid() -> None:
    """Catches an odd number of pairs, and a portrait that is squeezed instead of cropped."""
    wide, tall = np.full((90, 160, 3), 9, np.uint8), np.full((160, 90, 3), 7, np.uint8)
    sheet = contact_sheet([(wide, wide, "a"), (tall, tall, "b"), (wide, tall, "c")], 2, 64)
    assert sheet.shape == (2 * (36 + 26), 4 * 64, 3)
    assert (sheet[26:62, 128:256] == 7).all()
