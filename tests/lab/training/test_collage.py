"""Pictures put together of others: exact labels, people in front, only what few pictures show."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from labelled import CAR, FACE, HAIR, SKY, UPPER, write_pictures

from liveedit_cam.lab.edits.pictures import LabelledPicture, load_pictures, person_mask
from liveedit_cam.lab.edits.regions import REGIONS
from liveedit_cam.lab.training.collage import (
    Collage,
    with_company,
    with_sky,
    with_thing,
    with_vehicle,
)

BY_NAME = {region.name: region for region in REGIONS}
BORDER_PX = 3
"""How far the soft border reaches."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LabelledPicture]:
    folder: Path = tmp_path_factory.mktemp("pictures")
    write_pictures(folder, 2)
    return {picture.name: picture for picture in load_pictures(folder, "train")}


def far_from(mask: np.ndarray) -> np.ndarray:
    """Where nothing of ``mask`` is within BORDER_PX."""
    span = 2 * BORDER_PX + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((span, span))) == 0


@pytest.mark.parametrize("seed", range(8))
def test_a_sky_covers_no_person_and_its_label_is_where_it_is(
    pictures: dict[str, LabelledPicture], seed: int
) -> None:
    """Catches a person painted over, and a label that lags behind the pixels."""
    before = pictures["person-0"]
    after = with_sky(before, random.Random(seed))
    sky, people = after.labels == SKY, person_mask(before.labels)
    assert sky.any()
    assert not (sky & people).any()
    assert np.array_equal(after.labels[~sky], before.labels[~sky])
    unchanged = far_from(sky)
    assert np.array_equal(after.pixels[unchanged], before.pixels[unchanged])
    inner = far_from(~sky)
    assert inner.any()
    assert (after.pixels[inner] != before.pixels[inner]).any(1).mean() > 0.9


def test_a_thing_comes_with_its_labels(pictures: dict[str, LabelledPicture]) -> None:
    """Catches a thing without its label, one pasted with its surroundings, and people hidden."""
    person, scene = pictures["person-0"], pictures["scene"]
    was_behind = was_before = False
    for seed in range(20):
        after = with_thing(person, scene, BY_NAME["car"], random.Random(seed))
        assert set(np.unique(after.labels)) <= {*np.unique(person.labels), CAR}
        car = after.labels == CAR
        unchanged = far_from(car)
        assert np.array_equal(after.pixels[unchanged], person.pixels[unchanged])
        assert after.fine is not None
        assert not after.fine[car].any()
        rows, columns = np.nonzero(car)
        box = car[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        hides = bool((car & person_mask(person.labels)).any())
        assert box.all() or not hides  # the scene's car is a rectangle: whole before people
        was_before |= hides
        was_behind |= not box.all()
    assert was_behind
    assert was_before


def test_company_comes_with_face_hair_and_garments(pictures: dict[str, LabelledPicture]) -> None:
    """Catches a second person without labels, one in place of the first, and garments mixed up."""
    person, other = pictures["person-0"], pictures["person-1"]
    assert person.fine is not None
    inside = person_mask(person.labels)
    num_before = num_beside = 0
    for seed in range(40):
        after = with_company(person, [other], random.Random(seed))
        if after is person:
            continue
        added = after.labels != person.labels
        assert after.fine is not None
        assert set(np.unique(after.labels[added])) <= {HAIR, FACE, UPPER}
        assert np.array_equal(after.fine[~added & ~inside], person.fine[~added & ~inside])
        assert not after.fine[after.labels != UPPER].any()  # what is worn is worn on clothes
        unchanged = far_from((after.labels != person.labels) | (after.fine != person.fine))
        kept = unchanged & (after.pixels == person.pixels).all(2)
        assert kept.any()
        num_beside += bool((added & ~inside).any())
        num_before += bool((added & inside).any())
    assert num_beside > 10
    assert num_before > 2


def test_a_crowd_stands_about_the_first_one(pictures: dict[str, LabelledPicture]) -> None:
    """Catches a third person measured by the second, who walks away from the first."""
    person = replace(pictures["person-0"], fine=None)
    other = replace(pictures["person-1"], fine=None)
    inside = person_mask(person.labels)

    def added(count: int, seed: int) -> int:
        crowd = with_company(person, [other] * count, random.Random(seed))
        return int((person_mask(crowd.labels) & ~inside).sum())

    alone, crowds = ([added(count, seed) for seed in range(40)] for count in (1, 4))
    assert sum(crowds) > 1.5 * sum(alone)
    first = [with_company(person, [other], random.Random(seed)) for seed in range(40)]
    both = [with_company(person, [other, other], random.Random(seed)) for seed in range(40)]
    one_there = sum(person_mask(p.labels)[~inside].any() for p in first)
    assert sum(person_mask(p.labels)[~inside].any() for p in both) >= one_there


def test_a_vehicle_is_drawn_with_its_label_and_a_shadow(
    pictures: dict[str, LabelledPicture],
) -> None:
    """Catches a car over people always or never, a label of another kind, and a bright shadow."""
    person = pictures["person-0"]
    inside = person_mask(person.labels)
    before = 0
    for name, label in (("car", CAR), ("vehicle", CAR), ("bus", BY_NAME["bus"].labels[0])):
        for seed in range(12):
            after = with_vehicle(person, BY_NAME[name], random.Random(seed))
            there = after.labels == label
            assert set(np.unique(after.labels)) <= {*np.unique(person.labels), label}
            if not there.any():
                continue
            beside = far_from(there)
            assert (after.pixels[beside].astype(int) <= person.pixels[beside]).all()
            assert np.array_equal(after.pixels[beside & inside], person.pixels[beside & inside])
            before += bool((there & inside).any())
    assert 0 < before < 36


def test_nobody_hangs_in_the_air(pictures: dict[str, LabelledPicture]) -> None:
    """Catches a person cut off at the chest whose cut can be seen."""
    person = pictures["person-0"]
    for seed in range(40):
        after = with_company(person, [pictures["person-1"]], random.Random(seed))
        added = person_mask(after.labels) & ~person_mask(person.labels)
        columns = np.flatnonzero(added.any(0))
        assert all(
            person_mask(after.labels)[-1, column] for column in columns if added[60:, column].any()
        )


def test_without_a_face_there_is_no_company(pictures: dict[str, LabelledPicture]) -> None:
    """Catches a size told from nothing."""
    person = pictures["person-0"]
    faceless = replace(person, labels=np.where(person.labels == FACE, HAIR, person.labels))
    assert with_company(person, [faceless], random.Random(0)) is person
    assert with_company(faceless, [person], random.Random(0)) is faceless


def test_only_what_few_pictures_show_is_put_together(
    pictures: dict[str, LabelledPicture],
) -> None:
    """Catches clothes cut off their wearer, and a thing that no picture shows."""
    people = [pictures["person-0"], pictures["person-1"]]
    shown = {"car": [pictures["scene"]], "hair": people, "sky": [pictures["scene"]], "dog": []}
    collage = Collage(list(pictures.values()), shown)
    able = {name for name in BY_NAME if collage.can_show(BY_NAME[name])}
    assert able == {"car", "sky"}
    assert not Collage(people, shown).can_show(BY_NAME["car"])
    for name in able:
        assert (CAR if name == "car" else SKY) in collage.picture(
            BY_NAME[name], random.Random(1)
        ).labels
