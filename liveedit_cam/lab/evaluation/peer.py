"""Another program's person masks on the pictures of the second set. Knows files, no model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.pictures import LabelledPicture
from liveedit_cam.lab.evaluation.named import BACKGROUND, PERSON, Mask, NamedPair, place

EDGE = 128
"""Grey from which a pixel of a mask is a person, of 0..255."""


def peer_iou(
    folder: Path, pairs: Sequence[NamedPair], pictures: Sequence[LabelledPicture]
) -> dict[str, float]:
    """Mean IoU of "person" and "background" over the pairs that name them, 0..1.

    ``folder`` holds ``NAME.png`` per picture, grey (H, W), 255 = a person. Counted over every
    labelled pixel; the model's own IoU leaves out those that a colour would hardly change.
    Raises UsageError for a mask that is missing or of another size.
    """
    by_name = {picture.name: picture for picture in pictures}
    means = {}
    for thing in (PERSON, BACKGROUND):
        chosen = [by_name[pair.picture] for pair in pairs if pair.thing == thing]
        values = [_iou(_read(folder, picture), thing, picture) for picture in chosen]
        if values:
            means[thing] = float(np.mean(values))
    return means


def _iou(person: Mask, thing: str, picture: LabelledPicture) -> float:
    where = place(thing, picture)
    got = (person if thing == PERSON else ~person) & where.known
    return float((got & where.mask).sum() / (got | where.mask).sum())


def _read(folder: Path, picture: LabelledPicture) -> Mask:
    path = folder / f"{picture.name}.png"
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise UsageError(
            f"got no readable {path}, expected a grey mask of that picture",
            hint="benchmarks/person_masks.py writes them all.",
        )
    if grey.shape != picture.labels.shape:
        height, width = picture.labels.shape
        raise UsageError(
            f"got {path} of {grey.shape[1]}x{grey.shape[0]}, expected {width}x{height} like "
            "the picture"
        )
    return np.asarray(grey >= EDGE)
