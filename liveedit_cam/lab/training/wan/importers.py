"""The layouts of public sets of instruction edits, as pairs. Reads tables and paths, no video.

Where each layout was read is said with it; no set was downloaded. Where a release names its columns
otherwise, they are given by hand: ``--columns source=...,edited=...,instruction=...``.
"""

from __future__ import annotations

import csv
import io
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
    """Patterns of the files that list pairs, below the set's folder; the first that is there."""
    columns: Mapping[str, tuple[str | int, ...]]
    """Names that the three columns go by, the likeliest first, or their places from 0."""
    roots: tuple[str, ...] = (".",)
    """Folders below the set's that paths may be relative to."""
    renamed: tuple[str, str] = ("", "")
    """A folder as the tables call it, and as it lies on disk."""
    names_folder: bool = False
    """``edited`` names a folder beside the table, whose video goes by the source's file name."""


LAYOUTS = {
    # its card, "Dataset Structure": huggingface.co/datasets/QingyanBai/Ditto-1M; the CSVs as
    # DiffSynth-Studio's trainer of VACE names them
    "ditto-1m": Layout(
        ("training_metadata/*.json", "csvs_for_DiffSynth/*.csv"),
        {
            "source": ("source_path", "vace_video"),
            "edited": ("edited_path", "video"),
            "instruction": ("instruction", "prompt"),
        },
        (".", "videos"),
    ),
    # public scripts that filter it (updated_data_obj_removal.json and its like; those of VideoCoF's
    # data); its card is behind a form
    "senorita-2m": Layout(
        ("*.json", "**/*.json"),
        {
            "source": ("source_video_path",),
            "edited": ("target_video_path",),
            "instruction": ("enhanced_instruction", "instruction"),
        },
        renamed=("obj_swap_videos", "obj_swap_upload"),
    ),
    # its own loader, SFTDataset_edit of github.com/langmanbusi/InsViE, which reads by place: video,
    # source caption, instruction, edited caption, folder of the edited videos
    "insvie-1m": Layout(
        ("*.csv", "**/*.csv"), {"source": (0,), "edited": (4,), "instruction": (2,)},
        names_folder=True,
    ),
    # the trainer of ThinkV2V (github.com/Correr-Zhou/ThinkV2V, two authors in common), which reads
    # its videos: one CSV a category, `video` the edited one
    "openve-3m": Layout(
        ("**/*.csv",),
        {"source": ("original_video",), "edited": ("video",), "instruction": ("prompt",)},
        (".", "videos"),
    ),
}  # fmt: skip
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
    chosen = {
        kind: _column(table, list(rows[0]), kind, (columns[kind],) if kind in columns else names)
        for kind, names in layout.columns.items()
    }
    names_folder = layout.names_folder and "edited" not in columns
    for number, row in enumerate(rows, start=1):
        source, edited, instruction = (str(row.get(chosen[kind]) or "") for kind in KINDS)
        if not (source and edited and instruction):
            raise UsageError(
                f"got {table} row {number}, in which one of {', '.join(KINDS)} is empty"
            )
        if names_folder:
            before, after = _source_beside(table, source, edited), table.parent / edited / source
        else:
            before, after = (_placed(folder, table, layout, value) for value in (source, edited))
        yield VideoPair(f"{table.name}:{number}", before, after, instruction)


def _column(table: Path, found: list[str], kind: str, names: tuple[str | int, ...]) -> str:
    """Which of a table's columns holds ``kind``. Raises UsageError."""
    places = [found[name] for name in names if isinstance(name, int) and name < len(found)]
    named = [str(name) for name in names if name in found]
    if not named + places:
        raise UsageError(
            f"got {table} with the columns {', '.join(found)}, none of which is its {kind} "
            f"(known: {', '.join(map(str, names))})",
            hint=f"Name it: --columns {kind}=...",
        )
    return (named + places)[0]


def _rows(table: Path) -> Iterator[dict[str, object]]:
    try:
        text = table.read_text("utf-8-sig")
        if table.suffix == ".csv":
            head = text.partition("\n")[0]
            delimiter = ";" if head.count(";") > head.count(",") else ","
            yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        elif table.suffix == ".jsonl":
            yield from (json.loads(line) for line in text.splitlines() if line.strip())
        else:
            content = json.loads(text)
            found = content if isinstance(content, list) else list(content.values())
            yield from (row for row in found if isinstance(row, dict))
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"got {table}, which is no readable table ({error})") from error


def _placed(folder: Path, table: Path, layout: Layout, value: str) -> Path:
    """Where a path of a table leads: the first place there is, else below the set's folder."""
    value = value.replace(*layout.renamed) if layout.renamed[0] else value
    places = [*(folder / root / value for root in layout.roots), table.parent / value]
    return next((place for place in places if place.is_file()), places[0])


def _source_beside(table: Path, name: str, edited: str) -> Path:
    """The video ``name`` in the one folder beside ``table`` that is not of edited ones."""
    found = [one for one in sorted(table.parent.glob(f"*/{name}")) if one.parent.name != edited]
    if len(found) != 1:
        raise UsageError(
            f"got {name} in {len(found)} folders beside {table}, {edited} left out; expected one, "
            "of the source videos",
            hint="Or name columns of whole paths: --columns source=...,edited=...",
        )
    return found[0]
