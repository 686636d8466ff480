"""``bench quality`` as a user runs it, with the tiny model on drawn scenes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_folder
from typer.testing import CliRunner

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.evaluation.commands import app
from liveedit_cam.lab.evaluation.records import read_pairs, weights_digest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("bench") / "tiny")


def run(*arguments: str | Path) -> str:
    """Run ``bench quality``; what it printed. Raises what the command raises."""
    command = ["quality", "--threads", "1", *(str(argument) for argument in arguments)]
    result = CliRunner().invoke(app, command)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_a_run_is_reported_and_goes_on_where_it_stopped(model: Path, tmp_path: Path) -> None:
    """Catches a report without one of its parts, and a resumed run that measures all again.

    The third line is taken away, as after a crash; the two others must stay as they are.
    """
    out = tmp_path / "bench"
    shown = run("--model", model, "--out", out, "--count", "3")
    figures = json.loads(shown.splitlines()[-1])
    assert figures["overall"]["num_pairs"] == 3
    assert figures["bars"] == 7
    names = {path.name for path in out.iterdir()}
    assert {"report.md", "report.json", "pairs.json", "results.jsonl", "sheet-1.jpg"} <= names
    assert {"families.png", "right-target.png", "misses.jpg"} <= names
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    marked = [line.replace('"whole_db": ', '"whole_db": 1') for line in lines[:2]]
    (out / "results.jsonl").write_text("".join(marked))
    run("--model", model, "--out", out, "--count", "3")
    again = (out / "results.jsonl").read_text().splitlines(keepends=True)
    assert again == [*marked, lines[2]]


@pytest.mark.slow
def test_pairs_of_another_run_can_be_taken(model: Path, tmp_path: Path) -> None:
    """Catches --pairs that is read but not used: two models must meet the same pairs."""
    first, second = tmp_path / "a", tmp_path / "b"
    run("--model", model, "--out", first, "--count", "1", "--seed", "9")
    run("--model", model, "--out", second, "--pairs", first / "pairs.json")
    assert read_pairs(second / "pairs.json") == read_pairs(first / "pairs.json")
    assert (second / "results.jsonl").read_text() == (first / "results.jsonl").read_text()
    with pytest.raises(UsageError, match="other pairs"):
        run("--model", model, "--out", first, "--count", "1", "--seed", "8")


@pytest.mark.slow
def test_metrics_without_their_models_say_what_they_need(model: Path, tmp_path: Path) -> None:
    """Catches a number that comes from anything but the named model."""
    empty = tmp_path / "weights"
    empty.mkdir()
    run("--model", model, "--out", tmp_path, "--count", "1", "--paper", "--clip", empty)
    paper = json.loads((tmp_path / "report.json").read_text())["paper"]
    assert len(paper) == 6
    assert all(text.startswith("not run: needs ") for text in paper.values())
    assert "clip-vit-base-patch32" in paper["text alignment"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--media", "nowhere"), "without clips.json"),
        (("--pairs", "nowhere.json"), "cannot be read"),
        (("--clip", "nowhere"), "expected a folder"),
    ],
)
def test_wrong_values_are_refused(
    model: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    """Catches a traceback, or a run that begins with what the user did not ask for."""
    with pytest.raises(UsageError, match=message):
        run("--model", model, "--out", tmp_path / "bench", *arguments)
    assert not (tmp_path / "bench").exists()


def test_a_copy_has_the_same_digest_and_other_weights_another(model: Path, tmp_path: Path) -> None:
    """Catches a digest of dates or paths, and one that ignores the weights' values."""
    copy = write_folder(tmp_path / "copy")
    assert weights_digest(str(copy)) == weights_digest(str(model))
    file = copy / "codec.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    (copy / "model.safetensors").write_bytes(b"x" + (copy / "model.safetensors").read_bytes())
    assert weights_digest(str(copy)) != weights_digest(str(model))
