"""The report's plots: figures by family, right-target rates by scope. Knows a Summary only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from liveedit_cam.lab.evaluation.summary import Row, Summary

FAMILIES_FILE, RIGHT_FILE = "families.png", "right-target.png"
BLUE, GREY, GREEN = "#2f6fb3", "#b9bfc6", "#3d9a5c"
DPI = 110


def draw_plots(summary: Summary, folder: Path) -> tuple[str, ...]:
    """Write both plots to ``folder`` and return their file names."""
    _draw_families(summary.by_family, folder / FAMILIES_FILE)
    _draw_right(summary, folder / RIGHT_FILE)
    return (FAMILIES_FILE, RIGHT_FILE)


def _draw_families(rows: Sequence[Row], path: Path) -> None:
    """Per family: the output's PSNR, and the unedited source's beside it."""
    ranked = sorted(rows, key=lambda row: row.whole_db)
    places = range(len(ranked))
    figure = Figure(figsize=(7, 0.8 + 0.27 * len(ranked)))
    axes = figure.add_subplot(xlabel="PSNR against the exact target, dB")
    axes.barh(places, [row.whole_db for row in ranked], color=BLUE, label="output")
    edits = [(place, row.whole_db - row.gain_db) for place, row in enumerate(ranked)
             if row.gain_db is not None]  # fmt: skip
    axes.barh([p for p, _ in edits], [db for _, db in edits], color=GREY, height=0.45,
              label="unedited source")  # fmt: skip
    axes.axvline(32.0, color="black", lw=0.8, ls="--", label="bar: 32 dB")
    axes.set_yticks(places, [f"{row.name.replace('_', ' ')} ({row.num_pairs})" for row in ranked])
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, dpi=DPI, bbox_inches="tight")


def _draw_right(summary: Summary, path: Path) -> None:
    """Right-target rates: by scope, and by where the wording is from, with the bars."""
    shown = summary.wordings
    rates = [("wordings of training", shown.taught, 0.9), ("unseen wordings", shown.unseen, 0.8)]
    asked = [(name, rate, bar) for name, rate, bar in rates if rate is not None]
    figure = Figure(figsize=(7, 0.9 + 0.3 * (len(summary.by_scope) + len(asked))))
    axes = figure.add_subplot(xlabel="right-target rate", xlim=(0, 1.02))
    names = [f"{row.name} ({row.num_pairs} pairs)" for row in summary.by_scope]
    axes.barh(range(len(names)), [row.right_rate for row in summary.by_scope], color=BLUE)
    for place, (name, rate, bar) in enumerate(asked, start=len(names)):
        axes.barh(place, rate.share, color=GREEN)
        axes.plot([bar, bar], [place - 0.4, place + 0.4], color="black", lw=1.5)
        names.append(f"{name} ({rate.count})")
    axes.set_yticks(range(len(names)), names)
    figure.savefig(path, dpi=DPI, bbox_inches="tight")
