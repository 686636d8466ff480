"""Features for blurred faces: on the face alone, in its own tones, and only where it is blurred."""

from __future__ import annotations

import random
from dataclasses import replace

import cv2
import numpy as np
import pytest

from liveedit_cam.lab.edits.pictures import STREET, LabelledPicture
from liveedit_cam.lab.training.faces import BLURRED, FACE, LEAST_PX, SHARP, Faces, box_of

HEIGHT, WIDTH = 120, 90
SKIN = (200, 150, 120)


def portrait(set_: str, *, has_features: bool, height_px: int = 70) -> LabelledPicture:
    """A face of SKIN on grey, with two eyes and a mouth or without."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    middle, axes = (WIDTH // 2, HEIGHT // 2), (height_px * 2 // 5, height_px // 2)
    cv2.ellipse(labels, middle, axes, 0, 0, 360, FACE, -1)
    pixels[labels == FACE] = SKIN
    if has_features:
        for x in (-12, 12):
            cv2.circle(pixels, (middle[0] + x, middle[1] - 10), 4, (30, 20, 15), -1)
        cv2.ellipse(pixels, (middle[0], middle[1] + 16), (12, 4), 0, 0, 360, (150, 40, 50), -1)
    return LabelledPicture("portrait", set_, pixels, labels, None, {})


@pytest.fixture(scope="module")
def faces() -> Faces:
    return Faces([portrait(SHARP, has_features=True), portrait(STREET, has_features=False)])


@pytest.mark.parametrize("set_", BLURRED)
def test_a_blurred_face_gets_features_and_keeps_its_tone(faces: Faces, set_: str) -> None:
    """Catches detail beside the face, a face of another colour, and labels that are lost."""
    blurred = portrait(set_, has_features=False)
    made = [faces.sharpened(blurred, random.Random(seed)) for seed in range(40)]
    changed = [picture for picture in made if picture is not blurred]
    assert 20 < len(changed) < 40  # SHARE of them
    for picture in changed:
        inside = picture.labels == FACE
        assert np.array_equal(picture.labels, blurred.labels)
        assert np.array_equal(picture.pixels[~inside], blurred.pixels[~inside])
        skin = picture.pixels[inside].astype(float)
        assert skin.min() < 110  # eyes
        assert np.abs(np.median(skin, 0) - SKIN).max() < 20
    assert not np.array_equal(changed[0].pixels, changed[1].pixels)


def test_a_sharp_face_stays_as_it_is(faces: Faces) -> None:
    """Catches features over features."""
    sharp = portrait(SHARP, has_features=True)
    assert all(faces.sharpened(sharp, random.Random(seed)) is sharp for seed in range(20))


def test_a_face_too_small_for_features_stays(faces: Faces) -> None:
    """Catches noise on the faces of passers-by, and a picture without one."""
    small = portrait(STREET, has_features=False, height_px=LEAST_PX - 2)
    nobody = replace(small, labels=np.zeros_like(small.labels))
    assert box_of(small.labels) is None
    for picture in (small, nobody):
        assert all(faces.sharpened(picture, random.Random(seed)) is picture for seed in range(20))


def test_without_a_sharp_face_nothing_is_made_up() -> None:
    """Catches a choice from an empty list."""
    blurred = portrait(STREET, has_features=False)
    none = Faces([blurred])
    assert all(none.sharpened(blurred, random.Random(seed)) is blurred for seed in range(20))
