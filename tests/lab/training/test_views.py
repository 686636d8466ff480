"""Views of labelled pictures: what is named is seen, and a head may fill the picture."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from labelled import write_pictures

from liveedit_cam.lab.edits.pictures import LabelledPicture, load_pictures
from liveedit_cam.lab.edits.regions import BY_NAME
from liveedit_cam.lab.training.views import NEAR_SHARE, camera, photograph

HEIGHT, WIDTH = 48, 80


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> LabelledPicture:
    folder: Path = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    return next(p for p in load_pictures(folder, "train") if p.name == "person-0")


def crops(picture: LabelledPicture, name: str) -> list[float]:
    """How large a part of the largest crop each of many views takes, along a side."""
    full_h, full_w = picture.labels.shape
    largest = min(full_h / HEIGHT, full_w / WIDTH)
    parts = []
    for seed in range(400):
        (matrix, *_) = camera(picture, BY_NAME[name], 1, HEIGHT, WIDTH, random.Random(seed))
        parts.append(1 / float(np.hypot(matrix[0, 0], matrix[1, 0])) / largest)
    return parts


@pytest.mark.parametrize(("name", "is_near"), [("hair", True), ("hat", False)])
def test_a_head_fills_some_of_its_views(picture: LabelledPicture, name: str, is_near: bool) -> None:
    """Catches a share that is drawn for every thing, or for none."""
    parts = crops(picture, name)
    very_near = float(np.mean(np.array(parts) < 0.3))
    assert min(parts) >= 0.19
    assert max(parts) <= 1.0 + 1e-6
    assert (0.2 * NEAR_SHARE < very_near < NEAR_SHARE) if is_near else very_near == 0


def test_what_is_asked_for_is_mostly_in_the_view(picture: LabelledPicture) -> None:
    """Catches a view beside the thing, which teaches that nothing changes."""
    hair = BY_NAME["hair"]
    shares = [
        photograph(picture, hair, 2, (HEIGHT, WIDTH), random.Random(seed)).share(hair)
        for seed in range(60)
    ]
    assert np.mean(np.array(shares) > 0) > 0.8
