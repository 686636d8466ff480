"""What the ablations found, as values and on disk: one JSON file, written after every part.

A part that is in the file with the same stamp is not measured again. Knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from liveedit_cam.errors import UsageError

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)
"""What reading a wrong shape of JSON raises, json.JSONDecodeError among them."""


@dataclass(frozen=True, slots=True)
class VariantRow:
    """One way to run the model on one group of edits, beside the base of its part.

    Figures are means over the cases; times are medians of ratios to the base, chunk by chunk.
    """

    variant: str
    """What is different; the first variant of a part is its base."""
    edits: str
    num_cases: int
    source_db: float
    """PSNR of the unedited source against the exact target: what doing nothing gives."""
    kept: float
    """Share of tokens the middle steps recompute, 0..1."""
    whole_db: float
    """PSNR of the composited output against the exact target."""
    inside_db: float | None
    """The same inside the exact edit mask; None where nothing is to be edited."""
    loss_db: float
    """``whole_db`` of the base minus its own."""
    same_db: float | None
    """PSNR against the base's output, at most 60; None = it is the base."""
    masked_attention: float
    """Time of self-attention in the middle steps, where the mask cache acts; 1 = the base's."""
    attention: float
    """The same over all passes of a chunk."""
    chunk: float
    """The same of the whole chunk: codec, network, compositing."""
    chunk_ms: float


@dataclass(frozen=True, slots=True)
class StageRow:
    """One training stage under one sampler."""

    stage: str
    sampler: str
    nfe: int
    """Network evaluations per chunk; the clean-context pass of causal samplers not counted."""
    guidance: float
    """1 = the instruction alone."""
    needs: str | None = None
    """The file that is missing; None = it was run and the figures below are there."""
    whole_db: float | None = None
    inside_db: float | None = None
    right_rate: float | None = None
    """Share of cases whose output is nearer to its own target than to any other edit's."""
    chunk_s: float | None = None
    """Seconds per chunk of latents, codec and compositing not counted."""


@dataclass(frozen=True, slots=True)
class SimilarityRow:
    """Mean cosine similarity of one layer's outputs, token by token."""

    layer: int
    attention: float
    """Self-attention outputs of consecutive latents (the paper's figure 8)."""
    ffn: float
    attention_steps: float
    """Of the first step and the middle steps of one chunk: what the mask cache really reuses."""
    ffn_steps: float


@dataclass(frozen=True, slots=True)
class SwitchRow:
    """One KV policy over all changes of instruction."""

    policy: str
    num_switches: int
    chunks_until: float | None
    """Mean chunks until within 0.5 dB of a fresh start; None = no switch got there."""
    never: int
    """Switches that did not get there while watched."""
    first_gap_db: float
    """Mean PSNR that the first chunk lacks to a fresh start."""
    switch_time: float
    """Time of the first chunk after the switch; 1 = that of a later chunk."""


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One minute of a long stream."""

    edits: str
    minute: int
    """From 0."""
    whole_db: float
    """PSNR against the exact target over whole rounds of the clip."""


Row = VariantRow | StageRow | SimilarityRow | SwitchRow | DriftRow
ROWS: Mapping[str, type[Row]] = {
    "stages": StageRow,
    "cache": VariantRow,
    "similarity": SimilarityRow,
    "keep": VariantRow,
    "adaptive": VariantRow,
    "dilation": VariantRow,
    "size": VariantRow,
    "steps": VariantRow,
    "switch": SwitchRow,
    "window": VariantRow,
    "drift": DriftRow,
}
"""Names of the parts, in the order they are run, and what each is made of."""


@dataclass(frozen=True, slots=True)
class PartRecord:
    """One finished part."""

    name: str
    stamp: str
    """What it was measured with, besides model and clips."""
    seconds: float
    cpu: str
    cores: int
    dtype: str
    commit: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Results:
    """All finished parts of one model on one set of clips."""

    model: str
    weights: str
    """Digest of the model's files."""
    clips: tuple[str, ...]
    parts: tuple[PartRecord, ...] = ()

    def part(self, name: str) -> PartRecord | None:
        """The record of that part; None where it has not been measured."""
        return next((record for record in self.parts if record.name == name), None)

    def with_part(self, record: PartRecord) -> Results:
        """The same with ``record`` in place of an older one of its name."""
        kept = [other for other in self.parts if other.name != record.name]
        order = list(ROWS)
        parts = sorted([*kept, record], key=lambda one: order.index(one.name))
        return replace(self, parts=tuple(parts))


def write_results(path: Path, results: Results) -> None:
    """Write all at once, so that a crash leaves the file of before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(results), indent=1) + "\n")
    partial.replace(path)


def read_results(path: Path) -> Results:
    """Inverse of ``write_results``. Raises UsageError where the file is missing or malformed."""
    try:
        values = json.loads(path.read_text())
        parts = tuple(_part(part) for part in values["parts"])
        return Results(values["model"], values["weights"], tuple(values["clips"]), parts)
    except (OSError, *_MALFORMED) as error:
        raise UsageError(
            f"got {path}, which holds no results of ablations ({type(error).__name__}: {error})",
            hint="Run benchmarks/ablations.py with --fresh, or give another --out.",
        ) from error


def resume(path: Path, wanted: Results) -> Results:
    """The results in ``path``, or ``wanted`` (which has no parts) where there is no file yet.

    Raises UsageError where the file is of other weights or other clips.
    """
    if not path.is_file():
        return wanted
    found = read_results(path)
    if (found.weights, found.clips) != (wanted.weights, wanted.clips):
        differing = "weights" if found.weights != wanted.weights else "clips"
        raise UsageError(
            f"got {path} with results of {found.model} on {', '.join(found.clips)}, expected "
            f"{wanted.model} on {', '.join(wanted.clips)}: other {differing}",
            hint="Give another --out, or --fresh to begin anew in this one.",
        )
    return found


def _part(values: Any) -> PartRecord:
    kind = ROWS[values["name"]]
    return PartRecord(**{**values, "rows": tuple(kind(**row) for row in values["rows"])})
