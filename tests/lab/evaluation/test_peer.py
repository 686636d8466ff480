"""Another program's person masks: which pixels count, what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.pictures import LabelledPicture
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.evaluation.named import NamedPair
from liveedit_cam.lab.evaluation.peer import peer_iou

SPEC = EditSpec(Family.RECOLOUR, Scope.SUBJECT, (1.0, 0.0, 0.0))
PAIRS = [
    NamedPair(n, "someone", thing, SPEC, "", "")
    for n, thing in enumerate(("person", "background", "hair"))
]


@pytest.fixture
def picture() -> LabelledPicture:
    """A person on the right half, and a strip at the left that nobody labelled."""
    labels = np.zeros((40, 80), np.uint8)
    labels[:, 40:] = 4
    labels[:, :20] = 255
    return LabelledPicture(
        "someone", "generated", np.zeros((40, 80, 3), np.uint8), labels, None, {}
    )


def write(folder: Path, mask: np.ndarray) -> None:
    cv2.imwrite(str(folder / "someone.png"), mask)


def test_iou_is_over_what_is_labelled(tmp_path: Path, picture: LabelledPicture) -> None:
    """Catches unknown pixels that count, and person and background taken for each other."""
    mask = np.zeros((40, 80), np.uint8)
    mask[:, 30:] = 255  # ten columns too many of the twenty that are background
    mask[:, :10] = 255  # where nobody looked
    write(tmp_path, mask)
    assert peer_iou(tmp_path, PAIRS, [picture]) == {
        "person": pytest.approx(40 / 50),
        "background": pytest.approx(10 / 20),
    }


@pytest.mark.parametrize("shape", [None, (20, 40)])
def test_a_mask_that_cannot_be_used_is_named(
    tmp_path: Path, picture: LabelledPicture, shape: tuple[int, int] | None
) -> None:
    """Catches a missing mask counted as nobody, and a small one stretched in silence."""
    if shape is not None:
        write(tmp_path, np.zeros(shape, np.uint8))
    with pytest.raises(UsageError, match=r"someone\.png"):
        peer_iou(tmp_path, PAIRS, [picture])
