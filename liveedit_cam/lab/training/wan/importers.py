"""The layouts of public sets of instruction edits, as pairs. Reads tables and paths, no video.

What is known of each layout is said with it. Where a release names its columns otherwise, they are
given by hand: ``--columns source=...,edited=...,instruction=...``.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.errors import UsageError, shown
from liveedit_cam.lab.training.wan.pairs import VideoPair

KINDS = ("source", "edited", "instruction")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a set lists its pairs."""

    tables: tuple[str, ...]
    """Patterns of the files that list pairs, below the set's folder."""
    columns: Mapping[str, tuple[str, ...]]
    """Names that the three columns go by, the likeliest first."""
    roots: tuple[str, ...] = (".",)
    """Folders below the set's that paths may be relative to."""
    about: str = ""
    """Where the names come from."""


LAYOUTS = {
    "ditto-1m": Layout(
        ("training_metadata/*.json", "csvs_for_DiffSynth/*.csv", "*.json", "*.csv"),
        {
            "source": ("source_path", "vace_video", "source"),
            "edited": ("edited_path", "video", "edited"),
            "instruction": ("instruction", "prompt"),
        },
        (".", "videos"),
        "its card names JSON metadata and CSVs for DiffSynth-Studio, whose columns are video, "
        "prompt and vace_video",
    ),
    "senorita-2m": Layout(
        ("**/*.json", "**/*.csv"),
        {
            "source": ("source", "original_video", "src_video", "ori_video"),
            "edited": ("edited", "edited_video", "tgt_video", "target"),
            "instruction": ("instruction", "enhanced_instruction", "prompt"),
        },
        about="columns guessed; without a table, x_org.mp4, x.mp4 and x.txt are taken",
    ),
    "insvie-1m": Layout(
        ("**/*.csv", "**/*.jsonl", "**/*.json"),
        {
            "source": ("original_video", "source", "video_name", "video"),
            "edited": ("edited_video", "edited", "edit_video"),
            "instruction": ("instruction", "edit_prompt", "prompt"),
        },
        about="its code lists file names and instructions in CSV; names of columns guessed",
    ),
    "openve-3m": Layout(
        ("**/*.csv",),
        {
            "source": ("original_video", "source_video", "src_video"),
            "edited": ("edited_video", "target_video", "tgt_video"),
            "instruction": ("prompt", "instruction", "edit_instruction"),
        },
        (".", "videos"),
        "one CSV a category, by its discussions; columns guessed",
    ),
}
"""Name of a set -> its layout."""


def import_pairs(
    name: str, folder: Path, columns: Mapping[str, str] | None = None
) -> Iterator[VideoPair]:
    """Pairs of the set ``name`` in ``folder``, whether or not their videos are there.

    ``columns`` overrides names of columns by kind. Raises UsageError for an unknown set, no table,
    and a table whose columns have none of the names.
    """
    layout = LAYOUTS.get(name)
    if layout is None:
        raise UsageError(f"got set {shown(name)}, expected one of {', '.join(LAYOUTS)}")
    strange = sorted(set(columns or {}) - set(KINDS))
    if strange:
        raise UsageError(f"got column {strange[0]}, expected {', '.join(KINDS)}")
    tables = next((found for p in layout.tables if (found := sorted(folder.glob(p)))), [])
    if not tables and name == "senorita-2m":
        yield from _beside_each_other(folder)
        return
    if not tables:
        raise UsageError(
            f"got {folder}, which holds none of {', '.join(layout.tables)}, expected {name}"
        )
    for table in tables:
        yield from _read_table(table, folder, layout, columns or {})


def _read_table(
    table: Path, folder: Path, layout: Layout, columns: Mapping[str, str]
) -> Iterator[VideoPair]:
    rows = list(_rows(table))
    if not rows:
        return
    chosen = {}
    for kind in KINDS:
        names = (columns[kind],) if kind in columns else layout.columns[kind]
        found = next((name for name in names if name in rows[0]), None)
        if found is None:
            raise UsageError(
                f"got {table} with the columns {', '.join(rows[0])}, none of which is its {kind} "
                f"(known: {', '.join(names)})",
                hint=f"Name it: --columns {kind}=...",
            )
        chosen[kind] = found
    for number, row in enumerate(rows, start=1):
        source, edited, instruction = (str(row.get(chosen[kind], "")) for kind in KINDS)
        if not (source and edited and instruction):
            raise UsageError(
                f"got {table} row {number}, in which one of {', '.join(KINDS)} is empty"
            )
        before, after = (_placed(folder, table, layout.roots, value) for value in (source, edited))
        yield VideoPair(f"{table.name}:{number}", before, after, instruction)


def _rows(table: Path) -> Iterator[dict[str, object]]:
    try:
        text = table.read_text("utf-8-sig")
        if table.suffix == ".csv":
            yield from csv.DictReader(text.splitlines())
        elif table.suffix == ".jsonl":
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
        else:
            content = json.loads(text)
            found = content if isinstance(content, list) else list(content.values())
            yield from (row for row in found if isinstance(row, dict))
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"got {table}, which is no readable table ({error})") from error


def _placed(folder: Path, table: Path, roots: tuple[str, ...], value: str) -> Path:
    """Where a path of a table leads: the first place there is, else below the set's folder."""
    places = [*(folder / root / value for root in roots), table.parent / value]
    return next((place for place in places if place.is_file()), places[0])


def _beside_each_other(folder: Path) -> Iterator[VideoPair]:
    """Triples x_org.mp4, x.mp4 and x.txt anywhere below ``folder``."""
    for source in sorted(folder.rglob("*_org.mp4")):
        edited = source.with_name(source.name.replace("_org.mp4", ".mp4"))
        text = edited.with_suffix(".txt")
        if text.is_file():
            name = str(edited.relative_to(folder))
            yield VideoPair(name, source, edited, text.read_text("utf-8").strip())
