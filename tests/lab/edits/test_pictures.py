"""Labelled pictures: what is read, and what is skipped and named."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled import FACE, HAIR, SIZE, UPPER, read_index, write_index, write_pictures

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.pictures import (
    load_pictures,
    looked_up,
    person_mask,
    region_mask,
    shares_of,
)
from liveedit_cam.lab.edits.regions import BY_NAME, REGIONS, UNKNOWN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path)
    return tmp_path


def test_the_split_is_kept_and_share_alike_left_out(folder: Path) -> None:
    """Catches a test picture, or one with a stricter licence, in the training set."""
    index = read_index(folder)
    index["items"][0]["split"] = "test"
    index["items"][1]["use"] = "sharealike"
    write_index(folder, index)
    assert [p.name for p in load_pictures(folder, "train")] == ["person-2", "scene"]
    assert [p.name for p in load_pictures(folder, "test")] == ["person-0"]


@pytest.mark.parametrize("flaw", ["no label", "wrong size", "unknown class", "corrupt JPEG"])
def test_a_picture_that_cannot_be_used_is_skipped_and_named(
    folder: Path, flaw: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a training that dies of one bad file, and one that hides it."""
    label, image = folder / "labels" / "person-1.png", folder / "images" / "person-1.jpg"
    if flaw == "no label":
        label.unlink()
    elif flaw == "wrong size":
        cv2.imwrite(str(label), np.zeros((10, 20), np.uint8))
    elif flaw == "unknown class":
        cv2.imwrite(str(label), np.full(SIZE, 200, np.uint8))
    else:
        image.write_bytes(image.read_bytes()[:20])
    pictures = load_pictures(folder, "train")
    assert [p.name for p in pictures] == ["person-0", "person-2", "scene"]
    said = capsys.readouterr().out
    assert said.startswith("skipped picture person-1: got ")
    assert said.count("\n") == 1


def test_a_folder_without_an_index_is_a_users_mistake(tmp_path: Path) -> None:
    """Catches a traceback for a wrong folder."""
    with pytest.raises(UsageError, match=r"index\.json"):
        load_pictures(tmp_path, "train")


def test_masks_are_the_labels(folder: Path) -> None:
    """Catches coarse and fine labels mixed up, and unknown pixels in a mask."""
    picture = load_pictures(folder, "train")[0]
    hair = region_mask(BY_NAME["hair"], picture)
    assert np.array_equal(hair, picture.labels == HAIR)
    jacket, shirt = (region_mask(BY_NAME[name], picture) for name in ("jacket", "shirt"))
    assert np.array_equal(jacket | shirt, picture.labels == UPPER)
    assert not (jacket & shirt).any()
    people = person_mask(picture.labels)
    assert np.array_equal(people, np.isin(picture.labels, (HAIR, FACE, UPPER)))


def test_shares_are_those_of_the_masks(folder: Path) -> None:
    """Catches a count of pairs of ids that is not its slow twin's, with unknown pixels in it."""
    rng = np.random.default_rng(0)
    for picture in load_pictures(folder, "train"):
        picture.labels[rng.random(picture.labels.shape) < 0.2] = UNKNOWN
        shares = shares_of(REGIONS, picture)
        masks = [float(region_mask(region, picture).mean()) for region in REGIONS]
        assert max(masks) > 0.05
        assert shares == pytest.approx(masks)


def test_a_table_is_looked_up_as_by_an_index() -> None:
    """Catches rows that are mixed up, and bools that come back as bytes."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 256, (2, 5, 7), np.uint8)
    for table in (rng.integers(0, 256, 256, np.uint8), rng.random(256) < 0.5):
        found = looked_up(table, ids)
        assert found.dtype == table.dtype
        assert np.array_equal(found, table[ids])
