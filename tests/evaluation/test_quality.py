"""The evaluation must tell a right edit from a wrong one and from none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from liveedit_cam.evaluation.cases import cases_for
from liveedit_cam.evaluation.quality import evaluate, summarise
from liveedit_cam.evaluation.report import as_json, contact_sheet, table, worst
from liveedit_cam.training.clips import Clip
from liveedit_cam.training.edits import apply_edit


def coloured_clip() -> Clip:
    """A disc, half red and half grey, on blue stripes; 12 frames of 48x64, the disc the subject."""
    y, x = np.mgrid[:48, :64]
    inside = (y - 24) ** 2 + (x - 32) ** 2 < 14**2
    stripes = np.where((x // 4 % 2)[..., None] > 0, (40, 80, 200), (170, 180, 220))
    disc = np.where((x < 32)[..., None], (200, 40, 40), (150, 150, 150))
    picture = np.where(inside[..., None], disc, stripes).astype(np.uint8)
    subject = np.where(inside, 255, 0).astype(np.uint8)
    return Clip("disc", np.stack([picture] * 12), np.stack([subject] * 12), 24.0, True)


class PerfectStream:
    """Stands in for EditStream: returns the exact target of the case whose prompt it was given."""

    chunk_frames = 4

    def __init__(self, clip: Clip, answer: dict[str, str] | None = None) -> None:
        self.subject = torch.from_numpy(clip.subject[:4]).float() / 255
        self.specs = {case.prompt: case.spec for case in cases_for(clip)}
        self.answer = answer or {}

    def reset(self) -> None:
        """Nothing to forget."""

    def encode_text(self, prompt: str) -> str:
        return self.answer.get(prompt, prompt)

    def edit(self, frames: NDArray[np.uint8], prompt: str) -> NDArray[np.uint8]:
        source = torch.from_numpy(frames).float() / 255
        target, _ = apply_edit(source, self.subject, self.specs[prompt])
        return (target * 255).round().byte().numpy()


def test_exact_targets_score_full_marks() -> None:
    """Catches a mask, a target or a chunk that is not the one the editor saw.

    8-bit rounding of the target leaves 58 dB; 50 is far above any wrong edit.
    """
    clip = coloured_clip()
    results = evaluate(PerfectStream(clip), [clip], lambda _: None)  # type: ignore[arg-type]
    assert {r.case.group for r in results} == {
        "identity",
        "whole",
        "subject",
        "background",
        "colour",
    }
    assert [r.case.prompt for r in results if not r.is_nearest] == []
    assert min(r.whole_db for r in results) > 50


def test_doing_nothing_gains_nothing_and_is_never_nearest() -> None:
    """Catches a gain that is measured against anything but the unedited source."""
    clip = coloured_clip()
    lazy = dict.fromkeys((case.prompt for case in cases_for(clip)), "leave it as it is")
    results = evaluate(PerfectStream(clip, lazy), [clip], lambda _: None)  # type: ignore[arg-type]
    edits = [r for r in results if r.case.group != "identity"]
    assert not any(r.is_nearest for r in edits)
    assert all(r.nearest_prompt == "leave it as it is" for r in edits)
    assert all(r.inside_db == pytest.approx(r.unedited_inside_db, abs=0.1) for r in edits)


def test_colours_are_asked_only_where_they_are() -> None:
    """Catches "change green to ..." on a clip without green."""
    asked = {c.spec.from_colour for c in cases_for(coloured_clip()) if c.group == "colour"}
    assert asked == {"red", "blue"}


def test_report_holds_every_group_and_the_worst_case_first() -> None:
    """Catches a table row or a JSON value that is lost or not a number."""
    clip = coloured_clip()
    wrong = {"make it night": "leave it as it is"}
    results = evaluate(PerfectStream(clip, wrong), [clip], lambda _: None)  # type: ignore[arg-type]
    rows = summarise(results)
    assert table(rows).count("\n") == 1 + len(rows)
    assert "make it night" in worst(results, 1)
    whole = next(g for g in as_json(rows, results)["groups"] if g["group"] == "whole")
    assert whole["nearest_share"] == pytest.approx(7 / 8, abs=0.01)
    assert whole["outside_db"] is None


def test_contact_sheet_is_a_full_grid() -> None:
    """Catches an odd number of pairs, and a portrait that is squeezed instead of cropped."""
    wide, tall = np.full((90, 160, 3), 9, np.uint8), np.full((160, 90, 3), 7, np.uint8)
    sheet = contact_sheet([(wide, wide, "a"), (tall, tall, "b"), (wide, tall, "c")], 2, 64)
    assert sheet.shape == (2 * (36 + 26), 4 * 64, 3)
    assert (sheet[26:62, 128:256] == 7).all()
