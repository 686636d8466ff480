"""Blurred faces get features: eyes, brows and lips of the few sharp ones, in the tones they have.

The pictures' faces are blurred for privacy, so a model that has seen only those takes a clear face
for something else. What is put on is detail, the ratio of a sharp face to its own blur, per
channel: light and colour of the skin stay, and labels stay exact.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.edits.pictures import LabelledPicture
from liveedit_cam.lab.edits.regions import BY_NAME

SHARP, BLURRED = "clip", ("ccp", "cocop")
"""Sets whose faces can be seen, and those whose faces cannot."""
FACE = BY_NAME["face"].labels[0]
SHARE = 0.7
"""Of the blurred faces that get detail."""
SIDE = 96
"""Pixels a side of a piece of detail."""
LEAST_PX = 14
"""A face of less height or width shows no features."""
SIGMA = 0.11 * SIDE
"""Of the blur that detail is told from: what remains is smaller than an eye's distance."""
LOWEST, HIGHEST = 0.3, 2.2
"""Bounds of a ratio: teeth and pupils, not a lamp on a wet nose."""

Detail = NDArray[np.float32]
"""(SIDE, SIDE, 3): logarithm of the ratio, 0 where no face is."""


def box_of(labels: NDArray[np.uint8]) -> tuple[slice, slice] | None:
    """Rows and columns of the face in ``labels`` (H, W); None where it is too small."""
    inside = labels == FACE
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if min(len(rows), len(columns)) < LEAST_PX:
        return None
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def detail_of(picture: LabelledPicture) -> Detail | None:
    """Features of the picture's face; None where it is too small."""
    box = box_of(picture.labels)
    if box is None:
        return None
    pixels = cv2.resize(picture.pixels[box], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    inside = cv2.resize((picture.labels[box] == FACE).astype(np.float32), (SIDE, SIDE))
    light = pixels.astype(np.float32) + 8  # dark noise is no feature
    weight = cv2.GaussianBlur(inside, (0, 0), SIGMA) + np.float32(1e-3)
    blurred = cv2.GaussianBlur(light * inside[..., None], (0, 0), SIGMA) / weight[..., None]
    ratio = np.clip(light / np.maximum(blurred, 1), LOWEST, HIGHEST)
    soft = cv2.GaussianBlur(cv2.erode(inside, np.ones((5, 5), np.uint8)), (0, 0), 2)
    return np.asarray(np.log(ratio) * soft[..., None], np.float32)


class Faces:
    """Detail of sharp faces, and how it is put on blurred ones."""

    def __init__(self, pictures: Sequence[LabelledPicture]) -> None:
        """``pictures`` whose sharp faces lend their detail."""
        found = [detail_of(picture) for picture in pictures if picture.set == SHARP]
        self.details = [detail for detail in found if detail is not None]

    def draw(self, rng: random.Random) -> Detail:
        """Eyes of one face over the mouth of another, turned or mirrored, weaker or stronger."""
        upper, lower = rng.choice(self.details), rng.choice(self.details)
        seam = SIDE * rng.uniform(0.45, 0.6)
        below = np.clip((np.arange(SIDE, dtype=np.float32) - seam) / 8 + 0.5, 0, 1)[:, None, None]
        mixed = upper * (1 - below) + lower * below
        if rng.random() < 0.5:
            mixed = mixed[:, ::-1]
        middle = SIDE / 2
        matrix = cv2.getRotationMatrix2D((middle, middle), rng.gauss(0, 6), rng.uniform(0.85, 1.1))
        matrix[:, 2] += np.array((rng.gauss(0, 0.04), rng.gauss(0, 0.04))) * SIDE
        turned = cv2.warpAffine(np.ascontiguousarray(mixed), matrix, (SIDE, SIDE))
        return np.asarray(turned * np.float32(rng.uniform(0.6, 1.5)), np.float32)

    def sharpened(self, picture: LabelledPicture, rng: random.Random) -> LabelledPicture:
        """``picture`` with features where its face is blurred; else itself."""
        if not self.details or picture.set not in BLURRED or rng.random() >= SHARE:
            return picture
        box = box_of(picture.labels)
        if box is None:
            return picture
        under = picture.pixels[box]
        detail = cv2.resize(self.draw(rng), under.shape[1::-1], interpolation=cv2.INTER_AREA)
        detail *= (picture.labels[box] == FACE)[..., None]
        pixels = picture.pixels.copy()
        pixels[box] = np.clip(under * np.exp(detail) + 0.5, 0, 255).astype(np.uint8)
        return replace(picture, pixels=pixels)
