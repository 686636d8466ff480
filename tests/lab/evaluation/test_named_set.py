"""The second set: what counts as right, how much of an edit is seen, what is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.pictures import LabelledPicture
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.named import (
    NUM_PAIRS,
    PLAN,
    NamedPair,
    draw_named,
    measure_named,
    place,
    shown_share,
)
from liveedit_cam.lab.evaluation.named_report import named_markdown, named_means, named_tile

HAIR, FACE, UPPER, SKY = 2, 16, 4, 8
RED_HAIR = EditSpec(Family.RECOLOUR, Scope.NAMED, COLOURS["red"], region="hair")
PAIR = NamedPair(0, "someone", "hair", RED_HAIR, "taught", "unseen")
ABSENT = NamedPair(1, "someone", "absent", replace(RED_HAIR, region="absent"), "taught", "unseen")


def someone() -> LabelledPicture:
    """Hair above a face above a shirt before a grey wall, and a strip that nobody labelled."""
    labels = np.zeros((96, 160), np.uint8)
    labels[10:30, 60:100], labels[30:50, 64:96], labels[50:, 40:120] = HAIR, FACE, UPPER
    labels[:, :4] = 255
    pixels = np.full((96, 160, 3), 128, np.uint8)
    for label, colour in ((HAIR, (60, 50, 40)), (FACE, (200, 160, 140)), (UPPER, (50, 90, 160))):
        pixels[labels == label] = colour
    return LabelledPicture("someone", "generated", pixels, labels, None, {})


class Painter:
    """Stands in for EditStream: makes ``share`` of the red hair edit inside a mask per prompt."""

    chunk_frames = 4

    def __init__(self, masks: Mapping[str, NDArray[np.bool_]], share: float = 1.0) -> None:
        self.masks, self.share = masks, share

    def reset(self) -> None:
        """Nothing is kept."""

    def encode_text(self, prompt: str) -> NDArray[np.bool_]:
        return self.masks[prompt]

    def edit(self, frames: NDArray[np.uint8], mask: NDArray[np.bool_], /) -> NDArray[np.uint8]:
        source = torch.from_numpy(frames).float() / 255
        inside = torch.from_numpy(mask).float().expand(len(frames), -1, -1)
        spec = replace(RED_HAIR, strength=self.share)
        edited, _ = apply_edit(source, inside, spec)
        return (edited * 255).round().byte().numpy()


def measured(taught: str, unseen: str, pair: NamedPair = PAIR, share: float = 1.0):  # type: ignore[no-untyped-def]
    picture = someone()
    nothing = np.zeros_like(picture.labels, bool)
    hair, shirt = picture.labels == HAIR, picture.labels == UPPER
    masks = {"hair": hair, "shirt": shirt, "nothing": nothing, "both": hair | shirt}
    stream = Painter({"taught": masks[taught], "unseen": masks[unseen]}, share)
    (one,) = measure_named(stream, [pair], [picture])  # type: ignore[arg-type]
    return one


def test_the_exact_edit_is_right_and_exact() -> None:
    """Catches a metric that the perfect answer does not satisfy."""
    result = measured("hair", "hair").result
    assert result.is_right
    assert result.is_unseen_right
    assert result.iou == 1.0
    assert result.doubt == 0.0
    assert result.boundary is not None
    assert result.boundary < 1
    assert result.outside_db == 60.0
    assert result.psnr_db > 50 > result.source_db


@pytest.mark.parametrize(("answer", "iou"), [("shirt", 0.0), ("nothing", 0.0)])
def test_another_thing_or_nothing_is_wrong(answer: str, iou: float) -> None:
    """Catches a benchmark that any change satisfies; the unseen wording is judged by itself."""
    result = measured(answer, "hair").result
    assert not result.is_right
    assert result.is_unseen_right
    assert result.iou == iou


def test_too_much_lowers_the_iou_and_the_outside() -> None:
    """Catches an IoU of the wanted pixels alone."""
    result = measured("both", "both").result
    assert result.iou is not None
    assert result.iou < 0.4
    assert result.outside_db is not None
    assert result.outside_db < 30


def test_half_an_edit_is_doubt() -> None:
    """Catches doubt that is never counted."""
    result = measured("hair", "hair", share=0.45).result
    assert result.doubt > 0
    assert result.iou == 0.0


@pytest.mark.parametrize(("answer", "is_right"), [("nothing", True), ("shirt", False)])
def test_what_is_not_there_changes_nothing(answer: str, is_right: bool) -> None:
    """Catches a reward for painting something else."""
    result = measured(answer, answer, ABSENT).result
    assert result.is_right is is_right
    assert result.iou is None


def test_the_share_of_an_edit_is_measured_along_its_change() -> None:
    """Catches a share that noise across the change moves, or that counts where nothing shows."""
    source = torch.full((2, 2, 3), 0.5)
    full = source.clone()
    full[0, :, 0] = 1.0
    output = source.clone()
    output[0, 0, 0], output[0, 1, 1] = 0.75, 0.9
    share, tells = shown_share(output, source, full)
    assert share[0].tolist() == pytest.approx([0.5, 0.0])
    assert tells.tolist() == [[True, True], [False, False]]


def test_masks_leave_out_what_nobody_labelled() -> None:
    """Catches unknown pixels in the background."""
    picture = someone()
    background = place("background", picture)
    assert not background.mask[:, :4].any()
    assert not background.known[:, :4].any()
    rest = place("all but face", picture).mask
    assert np.array_equal(rest, background.known & (picture.labels != FACE))
    assert not place("absent", picture).mask.any()


def test_a_set_without_what_the_plan_names_is_refused() -> None:
    """Catches a shorter set that looks like the whole one."""
    assert NUM_PAIRS == 120
    with pytest.raises(UsageError, match="none of which shows"):
        draw_named([someone()])
    assert PLAN[0][0] == "background"


def test_the_report_names_every_thing_and_bar() -> None:
    """Catches means over pairs that have no such figure."""
    results = [measured("hair", "nothing").result, measured("nothing", "nothing", ABSENT).result]
    text = named_markdown(results)
    assert "| hair | 1 | 100% | 0% | 1.00 |" in text
    assert "| IoU of hair | at least 0.70 | 1.00 | met |" in text
    assert "| IoU of sky | at least 0.85 |  | not measured |" in text
    means = named_means(results)
    assert means["IoU hair"] == 1.0
    assert means["IoU absent"] is None
    assert means["right"] == 1.0


def test_a_tile_shows_source_output_and_target() -> None:
    """Catches a sheet of other pictures."""
    tile = named_tile(measured("hair", "hair"))
    assert tile.shape == (26 + 112, 600, 3)
    assert np.abs(tile[40, 250].astype(int) - tile[40, 450].astype(int)).max() <= 2
