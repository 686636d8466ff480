"""The three curves of the ablations as PNG. Knows results only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from liveedit_cam.lab.ablations.records import DriftRow, Results, SimilarityRow, VariantRow

SIMILARITY_FILE, KEEP_FILE, DRIFT_FILE = "similarity.png", "keep.png", "drift.png"
BLUE, ORANGE, GREEN = "#2f6fb3", "#d9822b", "#3d9a5c"
DPI = 110
PAPER_ATTENTION, PAPER_FFN = 0.893, 0.153
"""Mean cosine similarity between consecutive frames, as the paper gives it."""


def draw_plots(results: Results, folder: Path) -> tuple[str, ...]:
    """Write the plot of every finished part that has one; returns the file names."""
    drawn = []
    for record in results.parts:
        figure = Figure(figsize=(6.5, 3.6))
        if record.name == "similarity":
            _similarity(figure, [row for row in record.rows if isinstance(row, SimilarityRow)])
            name = SIMILARITY_FILE
        elif record.name == "keep":
            _keep(figure, [row for row in record.rows if isinstance(row, VariantRow)])
            name = KEEP_FILE
        elif record.name == "drift":
            _drift(figure, [row for row in record.rows if isinstance(row, DriftRow)])
            name = DRIFT_FILE
        else:
            continue
        figure.savefig(folder / name, dpi=DPI, bbox_inches="tight")
        drawn.append(name)
    return tuple(drawn)


def _similarity(figure: Figure, rows: Sequence[SimilarityRow]) -> None:
    axes = figure.add_subplot(
        xlabel="layer", ylabel="mean cosine, latent to latent", ylim=(-0.05, 1.02)
    )
    layers = [row.layer for row in rows]
    axes.plot(layers, [r.attention for r in rows], "o-", color=BLUE, label="self-attention")
    axes.plot(layers, [row.ffn for row in rows], "o-", color=ORANGE, label="FFN")
    axes.axhline(PAPER_ATTENTION, color=BLUE, ls=":", label="paper's mean, self-attention")
    axes.axhline(PAPER_FFN, color=ORANGE, ls=":", label="paper's mean, FFN")
    axes.set_xticks(layers)
    axes.legend(fontsize=8)


def _keep(figure: Figure, rows: Sequence[VariantRow]) -> None:
    quality, time = figure.subplots(1, 2)
    quality.set(xlabel="share of tokens recomputed", ylabel="loss against no cache, dB")
    time.set(xlabel="share of tokens recomputed", ylabel="time of the whole chunk, 1 = no cache")
    groups = list(dict.fromkeys(row.edits for row in rows))
    for edits, colour in zip(groups, (BLUE, ORANGE, GREEN), strict=False):
        for rule, style in (("threshold", "o-"), ("fixed", "x--")):
            line = sorted(
                (r for r in rows if r.edits == edits and r.variant.startswith(rule)),
                key=lambda row: row.kept,
            )
            kept, label = [row.kept for row in line], f"{edits}, {rule}"
            quality.plot(kept, [r.loss_db for r in line], style, color=colour, label=label)
            time.plot(kept, [r.chunk for r in line], style, color=colour, label=label)
    quality.legend(fontsize=7)
    figure.tight_layout()


def _drift(figure: Figure, rows: Sequence[DriftRow]) -> None:
    axes = figure.add_subplot(xlabel="minute", ylabel="PSNR against the exact target, dB")
    groups = list(dict.fromkeys(row.edits for row in rows))
    for edits, colour in zip(groups, (BLUE, ORANGE, GREEN), strict=False):
        line = [row for row in rows if row.edits == edits]
        minutes = [row.minute for row in line]
        axes.plot(minutes, [r.whole_db for r in line], "o-", color=colour, label=edits)
    axes.margins(y=0.3)
    axes.legend(fontsize=8)
