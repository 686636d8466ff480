"""The figures of docs/paper.md: the paper's tables and ours side by side, as Markdown.

Everything between the two marker lines is written anew from the results; the words around them
are kept. Knows results only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.ablations.claims import claims
from liveedit_cam.lab.ablations.plots import (
    DRIFT_FILE,
    KEEP_FILE,
    PAPER_ATTENTION,
    PAPER_FFN,
    SIMILARITY_FILE,
)
from liveedit_cam.lab.ablations.records import (
    DriftRow,
    PartRecord,
    Results,
    Row,
    SimilarityRow,
    StageRow,
    SwitchRow,
    VariantRow,
)

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PLOT_PREFIX = "ablation-"
"""Plots stand beside the page under this name."""
SIX = (
    "text alignment",
    "background consistency",
    "motion smoothness",
    "dynamic degree",
    "aesthetic quality",
    "imaging quality",
)
CLAIM_HEAD = ("the paper's claim", "here", "holds")
METHODS = (
    ("LucyEdit", (0.253, 0.943, 0.990, 0.266, 0.529, 0.707)),
    ("VideoCoF", (0.245, 0.953, 0.991, 0.094, 0.542, 0.709)),
    ("InsV2V", (0.259, 0.943, 0.986, 0.196, 0.577, 0.708)),
    ("StreamDiffusion", (0.239, 0.886, 0.975, 0.239, 0.590, 0.717)),
    ("StreamDiffusionV2", (0.252, 0.951, 0.992, 0.264, 0.539, 0.653)),
    ("StreamV2V", (0.244, 0.934, 0.989, 0.153, 0.548, 0.712)),
    ("LiveEdit without cache", (0.265, 0.956, 0.991, 0.282, 0.584, 0.720)),
    ("LiveEdit with cache", (0.270, 0.956, 0.992, 0.256, 0.581, 0.708)),
)
"""The paper's table 1."""
PAPER_STAGES = (
    ("paper: 1, bidirectional", "100", "yes", "0.268", "0.716", "200.36 s"),
    ("paper: 2, causal", "100", "yes", "0.264", "0.702", ""),
    ("paper: 3, DMD", "4", "no", "0.265", "0.720", "7.89 s"),
)
"""Its table 2: text alignment, imaging quality, seconds for 81 frames."""
PAPER_CACHE = (
    ("none", (0.265, 0.956, 0.991, 0.282, 0.584, 0.720)),
    ("self-attention", (0.270, 0.956, 0.992, 0.256, 0.581, 0.708)),
    ("FFN", (0.236, 0.841, 0.982, 0.017, 0.440, 0.513)),
)
"""Its table 3."""
R = TypeVar("R", bound=Row)


def renew(page: Path, results: Results, plots: Path, bench: Path) -> None:
    """Write the figures into ``page``, and the plots of folder ``plots`` beside it.

    ``bench`` is the report.json of `liveedit-cam bench quality`; it may be missing. Raises
    UsageError where the page lacks its markers.
    """
    try:
        text = page.read_text("utf-8")
        head, _, rest = text.partition(BEGIN)
        _, found, tail = rest.partition(END)
    except OSError as error:
        raise UsageError(
            f"got page {page}, which cannot be read ({error.strerror})",
            hint=f"Make it with the lines {BEGIN} and {END} in it.",
        ) from error
    if not found:
        raise UsageError(
            f"got page {page} without the lines {BEGIN} and {END} in this order",
            hint="Put them where the figures shall stand.",
        )
    for record in results.parts:
        name = _PLOTS.get(record.name)
        if name is not None:
            shutil.copyfile(plots / name, page.with_name(PLOT_PREFIX + name))
    page.write_text(f"{head}{BEGIN}\n\n{figures(results, bench)}\n\n{END}{tail}", "utf-8")


_PLOTS = {"similarity": SIMILARITY_FILE, "keep": KEEP_FILE, "drift": DRIFT_FILE}


def figures(results: Results, bench: Path) -> str:
    """All that stands between the markers."""
    parts = [
        _about(results),
        "### Claims",
        table(CLAIM_HEAD, claims(results)),
        "### Table 1",
        _main_table(bench),
    ]
    for record in results.parts:
        parts += [f"### {_TITLES[record.name]}", _SECTIONS[record.name](record)]
        if record.name in _PLOTS:
            parts.append(f"![{record.name}]({PLOT_PREFIX}{_PLOTS[record.name]})")
    missing = [name for name in _TITLES if results.part(name) is None]
    if missing:
        parts.append(f"Not measured yet: {', '.join(missing)}.")
    return "\n\n".join(parts)


def _about(results: Results) -> str:
    lines = [f"Model {Path(results.model).name}; clips {', '.join(results.clips)}."]
    machines = dict.fromkeys(
        f"{one.cores} cores of {one.cpu}, {one.dtype}, commit {one.commit}" for one in results.parts
    )
    return "\n".join([*lines, *(f"Measured on {machine}." for machine in machines)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _main_table(bench: Path) -> str:
    rows = [(name, *(f"{value:.3f}" for value in values)) for name, values in METHODS]
    words = "Our six metrics are not run yet: `liveedit-cam bench quality --paper` writes them."
    if bench.is_file():
        report = json.loads(bench.read_text())
        overall, paper = report["summary"]["overall"], report["paper"]
        values = [paper.get(name) for name in SIX]
        shown = [f"{v:.3f}" if isinstance(v, float) else "not run" for v in values]
        rows.append(("ours, other pairs", *shown))
        words = (
            f"Against exact targets, which the paper has not: {overall['whole_db']:.1f} dB over "
            f"{overall['num_pairs']} pairs, right target {overall['right_rate']:.0%}, flicker "
            f"{overall['flicker']:.2f} of the source's. A metric that was not run lacks its model; "
            "the benchmark's report names it."
        )
    return table(("method", *SIX), rows) + "\n\n" + words


def _stages(record: PartRecord) -> str:
    paper = table(
        ("", "NFE", "guidance", "text alignment", "imaging quality", "81 frames"), PAPER_STAGES
    )
    ours = []
    for row in _of(record, StageRow):
        name = f"ours: {row.stage}, {row.sampler}"
        guidance = "no" if row.guidance == 1.0 else f"{row.guidance:g}"
        if row.needs is not None:
            ours.append((name, str(row.nfe), guidance, f"not run: needs {row.needs}", "", "", ""))
            continue
        ours.append(
            (
                name,
                str(row.nfe),
                guidance,
                _number(row.whole_db, ".1f"),
                _number(row.inside_db, ".1f"),
                _number(row.right_rate, ".0%"),
                _number(None if row.chunk_s is None else 1000 * row.chunk_s, ".0f"),
            )
        )
    head = ("", "NFE", "guidance", "PSNR dB", "inside dB", "right target", "ms per chunk")
    return f"{paper}\n\n{table(head, ours)}"


def _cache(record: PartRecord) -> str:
    paper = table(
        ("paper: cache", *SIX),
        [(name, *(f"{value:.3f}" for value in values)) for name, values in PAPER_CACHE],
    )
    return f"{paper}\n\n{_variants(record)}"


def _variants(record: PartRecord) -> str:
    head = (
        "",
        "edits",
        "cases",
        "recomputed",
        "source dB",
        "PSNR dB",
        "inside dB",
        "loss dB",
        "against the first dB",
        "self-attention, middle steps",
        "self-attention",
        "chunk",
        "ms",
    )
    rows = [
        (
            row.variant,
            row.edits,
            str(row.num_cases),
            f"{row.kept:.0%}",
            f"{row.source_db:.2f}",
            f"{row.whole_db:.2f}",
            _number(row.inside_db, ".2f"),
            f"{row.loss_db:+.2f}",
            _number(row.same_db, ".1f"),
            f"{row.masked_attention:.2f}x",
            f"{row.attention:.2f}x",
            f"{row.chunk:.2f}x",
            f"{row.chunk_ms:.0f}",
        )
        for row in _of(record, VariantRow)
    ]
    return table(head, rows)


def _similarity(record: PartRecord) -> str:
    rows = _of(record, SimilarityRow)
    head = ("layer", "self-attention", "FFN", "self-attention, step to step", "FFN, step to step")
    lines = [
        (
            str(row.layer),
            f"{row.attention:.3f}",
            f"{row.ffn:.3f}",
            f"{row.attention_steps:.3f}",
            f"{row.ffn_steps:.3f}",
        )
        for row in rows
    ]
    mean = (
        "mean",
        f"{fmean(row.attention for row in rows):.3f}",
        f"{fmean(row.ffn for row in rows):.3f}",
        f"{fmean(row.attention_steps for row in rows):.3f}",
        f"{fmean(row.ffn_steps for row in rows):.3f}",
    )
    paper = ("paper's mean", f"{PAPER_ATTENTION}", f"{PAPER_FFN}", "", "")
    return table(head, [*lines, mean, paper])


def _switch(record: PartRecord) -> str:
    head = (
        "policy",
        "switches",
        "chunks until within 0.5 dB",
        "not within 8",
        "first chunk lacks dB",
        "time of the first chunk",
    )
    rows = [
        (
            row.policy,
            str(row.num_switches),
            _number(row.chunks_until, ".1f"),
            str(row.never),
            f"{row.first_gap_db:+.2f}",
            f"{row.switch_time:.2f}x",
        )
        for row in _of(record, SwitchRow)
    ]
    return table(head, rows)


def _drift(record: PartRecord) -> str:
    rows = _of(record, DriftRow)
    lines = []
    for edits in dict.fromkeys(row.edits for row in rows):
        values = [row.whole_db for row in rows if row.edits == edits]
        per_minute = slope(values)
        lines.append(
            (
                edits,
                str(len(values)),
                f"{values[0]:.2f}",
                f"{values[-1]:.2f}",
                _number(per_minute, "+.4f"),
            )
        )
    head = ("edits", "minutes", "first minute dB", "last minute dB", "slope dB per minute")
    return table(head, lines)


def slope(values: Sequence[float]) -> float | None:
    """Least-squares slope of ``values`` at 0, 1, 2, ...; None for fewer than two."""
    if len(values) < 2:
        return None
    middle, mean = (len(values) - 1) / 2, fmean(values)
    above = sum((place - middle) * (value - mean) for place, value in enumerate(values))
    return above / sum((place - middle) ** 2 for place in range(len(values)))


def _of(record: PartRecord, kind: type[R]) -> list[R]:
    return [row for row in record.rows if isinstance(row, kind)]


_TITLES: Mapping[str, str] = {
    "stages": "Table 2: the three stages",
    "cache": "Table 3: where the mask cache sits",
    "similarity": "Figure 8: how alike features are from latent to latent",
    "keep": "Keep ratio against quality and time",
    "adaptive": "Threshold against the paper's fixed 30 %",
    "dilation": "Growing the mask for motion",
    "size": "The mask cache at larger pictures",
    "steps": "Fewer denoising steps",
    "switch": "Keys and values after a new instruction",
    "window": "Window and sinks",
    "drift": "Drift",
}
_SECTIONS: Mapping[str, Callable[[PartRecord], str]] = {
    "stages": _stages,
    "cache": _cache,
    "similarity": _similarity,
    "keep": _variants,
    "adaptive": _variants,
    "dilation": _variants,
    "size": _variants,
    "steps": _variants,
    "switch": _switch,
    "window": _variants,
    "drift": _drift,
}
