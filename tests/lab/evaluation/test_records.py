"""Pairs and results on disk: the same when read back, refused when they are of another run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_clips import NIGHT, RED_BEHIND, coloured_clip, exact_stream, pair

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.evaluation.benchmark import Result, measure
from liveedit_cam.lab.evaluation.pairs import Shelf, draw_pairs
from liveedit_cam.lab.evaluation.paper_metrics import PaperFigure
from liveedit_cam.lab.evaluation.records import (
    RunIdentity,
    append_result,
    open_results,
    read_pairs,
    write_pairs,
)

PAIRS = (pair(NIGHT), pair(replace(RED_BEHIND, then=NIGHT), 1))
IDENTITY = RunIdentity("nano", "w", "p", ())


@pytest.fixture(scope="module")
def results() -> list[Result]:
    clip = coloured_clip()
    return [m.result for m in measure(exact_stream(clip, PAIRS), PAIRS, Shelf([clip]))]


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    """Catches a field that JSON turns into another type: colours, second edits, sides."""
    pairs = (*PAIRS, *draw_pairs(Shelf([coloured_clip()]), 16))
    pairs = tuple(replace(one, number=number) for number, one in enumerate(pairs))
    write_pairs(tmp_path / "pairs.json", pairs)
    assert read_pairs(tmp_path / "pairs.json") == pairs


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda one: one.pop("start"), "start"),
        (lambda one: one.update(start=-1), "lacks"),
        (lambda one: one.update(wordings=[]), "lacks"),
        (lambda one: one.update(mood="good"), "mood"),
        (lambda one: one["spec"].update(family="rain"), "rain"),
        (lambda one: one["spec"].update(family="light"), "without a colour"),
        (lambda one: one["spec"].update(colour=[1, 2]), "unpack"),
    ],
)
def test_a_wrong_pair_is_named(tmp_path: Path, spoil: object, reason: str) -> None:
    """Catches a hand-written pair that fails hours later, or with a traceback."""
    path = tmp_path / "pairs.json"
    write_pairs(path, PAIRS[:1])
    values = json.loads(path.read_text())
    spoil(values[0])  # type: ignore[operator]
    path.write_text(json.dumps(values))
    with pytest.raises(UsageError, match=reason):
        read_pairs(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1]", "nonsense"])
def test_a_file_that_holds_no_pairs_is_refused(tmp_path: Path, text: str) -> None:
    """Catches an empty benchmark that reports success."""
    path = tmp_path / "pairs.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"pairs\.json"):
        read_pairs(path)


def test_finished_pairs_are_found_again(tmp_path: Path, results: list[Result]) -> None:
    """Catches a result that changes on its way through the file."""
    assert open_results(tmp_path, IDENTITY, PAIRS) == {}
    scored = replace(results[1], paper=(PaperFigure("text alignment", 0.25),))
    append_result(tmp_path / "results.jsonl", results[0])
    append_result(tmp_path / "results.jsonl", scored)
    assert open_results(tmp_path, IDENTITY, PAIRS) == {0: results[0], 1: scored}


def test_a_line_cut_short_is_measured_again(tmp_path: Path, results: list[Result]) -> None:
    """Catches a crash in mid-line that spoils all that was done, or the line appended next."""
    path = tmp_path / "results.jsonl"
    open_results(tmp_path, IDENTITY, PAIRS)
    append_result(path, results[0])
    whole = path.read_text()
    path.write_text(whole + whole[:40])
    assert list(open_results(tmp_path, IDENTITY, PAIRS)) == [0]
    append_result(path, results[1])
    assert list(open_results(tmp_path, IDENTITY, PAIRS)) == [0, 1]


def test_a_spoilt_line_in_the_middle_is_an_error(tmp_path: Path, results: list[Result]) -> None:
    """Catches results that vanish without a word."""
    open_results(tmp_path, IDENTITY, PAIRS)
    (tmp_path / "results.jsonl").write_text('{"number": 0}\n')
    with pytest.raises(UsageError, match="line 1 that is no result"):
        open_results(tmp_path, IDENTITY, PAIRS)


@pytest.mark.parametrize("field", ["weights", "pairs"])
def test_results_of_another_run_are_not_mixed_in(tmp_path: Path, field: str) -> None:
    """Catches a table half of which is of the former weights."""
    open_results(tmp_path, IDENTITY, PAIRS)
    with pytest.raises(UsageError, match=f"other {field}.*--fresh"):
        open_results(tmp_path, replace(IDENTITY, **{field: "x"}), PAIRS)
    with pytest.raises(UsageError, match="metrics of the paper"):
        open_results(tmp_path, replace(IDENTITY, paper=("text alignment",)), PAIRS)
    assert open_results(tmp_path, replace(IDENTITY, model="models/nano"), PAIRS) == {}
