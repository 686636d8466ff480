"""Pairs and results on disk: ``pairs.json``, and ``results.jsonl`` to resume from.

A result is one line, appended and flushed when its pair is done; a line cut short by a crash is
dropped and its pair measured again. Knows no model.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.colours import NAMES
from liveedit_cam.lab.edits.spec import RGB, EditSpec, Family, Scope, Side
from liveedit_cam.lab.evaluation.benchmark import Result, Understood
from liveedit_cam.lab.evaluation.flow import MotionFigures
from liveedit_cam.lab.evaluation.metrics import PictureFigures
from liveedit_cam.lab.evaluation.pairs import VideoPair, Wording
from liveedit_cam.lab.evaluation.paper_metrics import PaperFigure
from liveedit_cam.model.config import PRESETS
from liveedit_cam.model.weights import named_folder

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError)
"""What reading a wrong shape of JSON raises, json.JSONDecodeError among them."""
SAMPLE_BYTES = 1 << 16
"""Read from the end of each model file to tell weights from others of the same size."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """What results belong to; those of another are not mixed in."""

    model: str
    """Name or folder as given."""
    weights: str
    """Digest of the model's files."""
    pairs: str
    """Digest of the list of pairs."""
    paper: tuple[str, ...]
    """The paper's own metrics that are run beside ours."""


def write_pairs(path: Path, pairs: Sequence[VideoPair]) -> None:
    """Write ``pairs`` as a JSON list, one pair a line."""
    lines = ",\n".join(json.dumps(asdict(pair)) for pair in pairs)
    path.write_text(f"[\n{lines}\n]\n")


def read_pairs(path: Path) -> tuple[VideoPair, ...]:
    """Inverse of ``write_pairs``. Raises UsageError, naming what is wrong."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"got pairs file {path}, which cannot be read ({error})",
            hint="Leave --pairs out to have them drawn.",
        ) from error
    try:
        pairs = tuple(_pair(values) for values in json.loads(text))
    except _MALFORMED as error:
        raise UsageError(
            f"got {path}, which is no list of pairs ({type(error).__name__}: {error})",
            hint="Leave --pairs out to have them drawn and written.",
        ) from error
    numbers = [pair.number for pair in pairs]
    if not pairs or len(set(numbers)) != len(numbers):
        raise UsageError(
            f"got {path} with {len(pairs)} pairs, {len(set(numbers))} of them with a number of "
            "their own, expected at least one and no number twice"
        )
    return pairs


def append_result(path: Path, result: Result) -> None:
    """Add one line to ``results.jsonl``."""
    line = {
        "number": result.pair.number,
        "clip": result.pair.clip,
        "prompt": result.pair.prompt,
        "picture": asdict(result.picture),
        "motion": asdict(result.motion),
        "understood": [asdict(one) for one in result.understood],
        "paper": [asdict(one) for one in result.paper],
    }
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def open_results(
    folder: Path, identity: RunIdentity, pairs: Sequence[VideoPair]
) -> dict[int, Result]:
    """The finished results in ``folder`` by their pair's number; {} in a new one.

    Raises UsageError where the folder holds results of other weights or pairs, or unreadable ones.
    """
    mark, path = folder / "run.json", folder / "results.jsonl"
    if not mark.is_file():
        mark.write_text(json.dumps(asdict(identity)) + "\n")
        path.write_text("")
        return {}
    try:
        values = json.loads(mark.read_text())
        before = RunIdentity(**{**values, "paper": tuple(values["paper"])})
    except _MALFORMED as error:
        raise UsageError(
            f"got {mark}, which is no mark of a run ({error})", hint="Give another --out."
        ) from error
    differing = [
        name
        for name, is_same in (
            ("weights", before.weights == identity.weights),
            ("pairs", before.pairs == identity.pairs),
            ("metrics of the paper", before.paper == identity.paper),
        )
        if not is_same
    ]
    if differing:
        raise UsageError(
            f"got {folder}, which holds results of {before.model} with other "
            f"{' and '.join(differing)}",
            hint="Give another --out, or --fresh to measure everything again in this one.",
        )
    return _read_results(path, {pair.number: pair for pair in pairs})


def _read_results(path: Path, pairs: Mapping[int, VideoPair]) -> dict[int, Result]:
    lines = path.read_text().splitlines(keepends=True) if path.is_file() else []
    if lines and not lines[-1].endswith("\n"):  # cut short while it was written
        path.write_text("".join(lines[:-1]))
        del lines[-1]
    found = {}
    for number, line in enumerate(lines, start=1):
        try:
            result = _result(json.loads(line), pairs)
        except _MALFORMED as error:
            raise UsageError(
                f"got {path} with a line {number} that is no result ({error})",
                hint="Give another --out, or --fresh to measure everything again.",
            ) from error
        found[result.pair.number] = result
    return found


def _result(values: Any, pairs: Mapping[int, VideoPair]) -> Result:
    understood = tuple(
        Understood(**{**one, "wording": Wording(**one["wording"])}) for one in values["understood"]
    )
    return Result(
        pairs[values["number"]],
        PictureFigures(**values["picture"]),
        MotionFigures(**values["motion"]),
        understood,
        tuple(PaperFigure(**one) for one in values["paper"]),
    )


def _pair(values: Any) -> VideoPair:
    wordings = tuple(Wording(**one) for one in values["wordings"])
    pair = VideoPair(**{**values, "spec": _spec(values["spec"]), "wordings": wordings})
    texts = (pair.clip, *(wording.text for wording in wordings))
    counts = (pair.number, pair.start, pair.num_chunks)
    is_counted = all(type(count) is int and count >= 0 for count in counts) and pair.num_chunks > 0
    if not wordings or not is_counted or not all(isinstance(t, str) and t for t in texts):
        raise ValueError(f"pair {pair.number!r} lacks a clip, a wording, a start or its chunks")
    return pair


def _spec(values: Any) -> EditSpec:
    side, then = values["side"], values["then"]
    spec = EditSpec(
        family=Family(values["family"]),
        scope=Scope(values["scope"]),
        colour=_colour(values["colour"]),
        from_colour=values["from_colour"],
        second_colour=_colour(values["second_colour"]),
        side=None if side is None else Side(side),
        strength=float(values["strength"]),
        region=values.get("region"),
        then=None if then is None else _spec(then),
    )
    _check(spec)
    return spec


def _check(spec: EditSpec) -> None:
    """Raise ValueError for an edit that lacks what its family needs."""
    coloured = (Family.RECOLOUR, Family.REPLACE_COLOUR, Family.GRADIENT, Family.LIGHT)
    if spec.family in coloured and spec.colour is None:
        raise ValueError(f"{spec.family} without a colour")
    if spec.family is Family.REPLACE_COLOUR and spec.from_colour not in NAMES:
        raise ValueError(f"from_colour {spec.from_colour!r}, expected one of {', '.join(NAMES)}")
    if spec.family is Family.LIGHT and spec.side is None:
        raise ValueError("light without a side")


def _colour(values: Any) -> RGB | None:
    if values is None:
        return None
    red, green, blue = (float(value) for value in values)
    return (red, green, blue)


def weights_digest(model: str) -> str:
    """Tells the weights of a model (name or folder) from others; fast, and the same for a copy.

    Of each file its name, its size and its last 64 KiB.
    """
    folder = named_folder(model) if model in PRESETS else Path(model)
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix in (".md", ".toml", ".txt"):  # what is said of the weights
            continue
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SAMPLE_BYTES))
            digest.update(f"{path.relative_to(folder)} {size} ".encode() + file.read())
    return digest.hexdigest()
