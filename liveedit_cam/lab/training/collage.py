"""Pictures put together of others: what few pictures show is learnt before many places.

A thing is cut out by its labels and pasted elsewhere (Ghiasi et al., "Simple Copy-Paste", CVPR
2021); a sky is drawn behind people, vehicles among things. Labels come along, so masks stay exact.
Knows no instruction.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.edits.pictures import (
    PLAIN_GROUND,
    STREET,
    LabelledPicture,
    person_mask,
    region_mask,
)
from liveedit_cam.lab.edits.regions import BY_NAME, REGIONS, Region
from liveedit_cam.lab.training.faces import box_of
from liveedit_cam.lab.training.vehicles import KINDS, drawn_vehicle

FEW = 20
"""Fewer pictures than this of a thing, and it is pasted into others."""
SHARE = 0.6
"""Of the views of such a thing that are put together."""
DRAWN_SHARE = 0.6
"""Of these, vehicles that are drawn; the others are cut out of another picture."""
SKY = BY_NAME["sky"]
SKIES = (
    ((40, 90, 180), (150, 190, 230)),
    ((80, 140, 210), (200, 220, 240)),
    ((120, 170, 225), (225, 235, 245)),
    ((20, 60, 140), (90, 140, 200)),
    ((150, 155, 165), (205, 208, 212)),
    ((215, 218, 222), (250, 250, 250)),
    ((90, 95, 110), (150, 150, 160)),
    ((80, 90, 150), (250, 170, 110)),
    ((120, 80, 130), (250, 130, 90)),
    ((15, 20, 45), (60, 60, 100)),
)
"""Colours of a sky at its top and at the horizon, sRGB bytes."""


Head = tuple[float, float, float]
"""Middle (x, y) of a face and its height, pixels."""


class Collage:
    """Puts a picture together that shows a thing which few pictures show."""

    def __init__(
        self, pictures: Sequence[LabelledPicture], shown: Mapping[str, Sequence[LabelledPicture]]
    ) -> None:
        """``shown`` are the pictures that show each thing, by its name."""
        self.shown = shown
        places = [picture for picture in pictures if picture.set != PLAIN_GROUND]
        self.people = [p for p in places if p.has_background and person_mask(p.labels).any()]
        self.street = [picture for picture in places if picture.set == STREET]
        self.labelled = [picture for picture in places if picture.set != STREET]
        """A street shows cars that nobody labelled."""
        few = {name for name, those in shown.items() if 0 < len(those) < FEW}
        self.rare = {region.name for region in REGIONS if region.name in few and not region.is_own}

    def can_show(self, region: Region) -> bool:
        """Whether ``region`` is rare, nothing that a person wears, and there is a place for it."""
        places = self.people if region is SKY else self.labelled
        return region.name in self.rare and bool(places)

    def picture(self, region: Region, rng: random.Random) -> LabelledPicture:
        """A new picture that shows ``region``."""
        if region is SKY:
            return with_sky(rng.choice(self.people), rng)
        place = rng.choice(self.labelled)
        if region.name in KINDS and rng.random() < DRAWN_SHARE:
            return with_vehicle(place, region, rng)
        return with_thing(place, rng.choice(self.shown[region.name]), region, rng)


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece of a picture: what of it counts is ``where``, bool (h, w)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    where: NDArray[np.bool_]
    fine: NDArray[np.uint8] | None = None
    """Ids of garments; None = nothing of it is worn."""

    def moved(self, matrix: NDArray[np.float64], size: tuple[int, int]) -> Cut:
        """The piece in a picture of ``size`` (height, width), where ``matrix`` (2, 3) puts it."""

        def to(ids: NDArray[np.uint8], flags: int = cv2.INTER_NEAREST) -> NDArray[np.uint8]:
            whole = np.ascontiguousarray(ids)
            return np.asarray(cv2.warpAffine(whole, matrix, size[::-1], flags=flags), np.uint8)

        where = to(self.where.astype(np.uint8)).view(np.bool_)
        fine = None if self.fine is None else to(self.fine)
        return Cut(to(self.pixels, cv2.INTER_LINEAR), to(self.labels), where, fine)


def with_sky(picture: LabelledPicture, rng: random.Random) -> LabelledPicture:
    """``picture`` under a drawn sky: it ends at hills or roofs, and people stand before it."""
    height, width = picture.labels.shape
    above = np.arange(height)[:, None] < _horizon(height, width, rng)[None]
    labels = np.full_like(picture.labels, SKY.labels[0])
    return _covered(picture, Cut(_sky(height, width, rng), labels, above))


def _horizon(height: int, width: int, rng: random.Random) -> NDArray[np.float64]:
    """The row where the sky ends, for each column."""
    level, knots = rng.uniform(0.25, 1.0), rng.randint(2, 9)
    rows = level + rng.uniform(0, 0.12) * np.array([rng.gauss(0, 1) for _ in range(knots)])
    at = np.linspace(0, knots - 1, width)
    is_town = rng.random() < 0.5
    line = rows[np.rint(at).astype(int)] if is_town else np.interp(at, np.arange(knots), rows)
    if rng.random() < 0.3:  # leaves
        line = line + 0.02 * np.random.default_rng(rng.getrandbits(32)).normal(size=width)
    return np.asarray(line * height, np.float64)


def _sky(height: int, width: int, rng: random.Random) -> NDArray[np.uint8]:
    """A sky from one colour to another with clouds of several sizes; uint8 (H, W, 3)."""
    top, bottom = (np.array(colour, np.float32) for colour in rng.choice(SKIES))
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.6, 1.6)
    sky = (top + (bottom - top) * down) * np.ones((1, width, 1), np.float32)
    if rng.random() < 0.65:
        noise = np.random.default_rng(rng.getrandbits(32))
        cloud = np.zeros((height, width), np.float32)
        for octave in range(5):
            cells = (2 + 2**octave, 2 + 2 ** (octave + rng.randint(0, 1)))
            grid = noise.random(cells, dtype=np.float32)
            cloud += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
        cover, soft = np.quantile(cloud, rng.uniform(0.2, 0.9)), rng.uniform(0.1, 0.6)
        alpha = rng.uniform(0.3, 1.0) * np.clip((cloud - cover) / soft, 0, 1)[..., None]
        bright = np.float32(rng.uniform(0.75, 1.0) * 255)
        sky += alpha * (np.maximum(0.5 * (sky + bright), 0.9 * bright) - sky)
    return np.clip(sky, 0, 255).astype(np.uint8)


def with_thing(
    picture: LabelledPicture, other: LabelledPicture, region: Region, rng: random.Random
) -> LabelledPicture:
    """``picture`` with ``region`` of ``other`` pasted in, mostly behind its people.

    The thing may come mirrored, in another size and in another colour.
    """
    height, width = picture.labels.shape
    inside = region_mask(region, other)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    cut_h, cut_w = inside[box].shape
    scale = min(min(width / cut_w, height / cut_h) * rng.uniform(0.3, 1.0), 3.0)
    x = rng.uniform(0, max(0.0, width - scale * cut_w))
    y = rng.uniform(0.3, 1.0) * max(0.0, height - scale * cut_h)
    mirror = -1 if rng.random() < 0.5 else 1
    left = x if mirror > 0 else x + scale * cut_w
    matrix = np.array([[mirror * scale, 0, left], [0, scale, y]])
    cut = Cut(_tinted(np.ascontiguousarray(other.pixels[box]), rng), other.labels[box], inside[box])
    return _covered(picture, cut.moved(matrix, (height, width)), behind=rng.random() < 0.7)


def with_vehicle(picture: LabelledPicture, region: Region, rng: random.Random) -> LabelledPicture:
    """``picture`` with a drawn vehicle of ``region`` and its shadow, mostly behind its people."""
    height, width = picture.labels.shape
    pixels, where = drawn_vehicle(region.name, (height, width), rng)
    label = region.labels[0] if len(region.labels) == 1 else BY_NAME["car"].labels[0]
    below = cv2.warpAffine(
        where.view(np.uint8) * np.float32(1), np.array([[1, 0, 0], [0, 1, 0.02 * height]]),
        (width, height))  # fmt: skip
    shadow = rng.uniform(0.2, 0.7) * cv2.GaussianBlur(below, (0, 0), 0.012 * height)
    shadow *= ~person_mask(picture.labels)
    dark = (picture.pixels * (1 - shadow[..., None])).astype(np.uint8)
    cut = Cut(pixels, np.full_like(picture.labels, label), where)
    return _covered(replace(picture, pixels=dark), cut, behind=rng.random() < 0.7)


def with_company(
    picture: LabelledPicture, others: Sequence[LabelledPicture], rng: random.Random
) -> LabelledPicture:
    """``picture`` of a person with the people of ``others`` beside, before or behind that one.

    All belong to one set, whose ids of garments they share. As large as the first, about, and
    their heads at one height, about; who has no head, or would hang in the air, stays away.
    """
    to, crowd = _head(picture), picture
    for other in others:
        at = _head(other)
        if to is not None and at is not None:
            crowd = _joined(crowd, to, other, at, rng)
    return crowd


def _joined(
    picture: LabelledPicture, to: Head, other: LabelledPicture, at: Head, rng: random.Random
) -> LabelledPicture:
    """``picture``, its first head ``to``, with the person of ``other``, whose head is ``at``."""
    height, width = picture.labels.shape
    inside = person_mask(other.labels)
    scale = to[2] / at[2] * rng.uniform(0.75, 1.3)
    mirror = -1 if rng.random() < 0.5 else 1
    x = to[0] + rng.choice((-1, 1)) * rng.uniform(1.2, 4.5) * to[2]
    y = to[1] + rng.gauss(0, 0.4) * to[2]
    if inside[-1].any() and y + scale * (len(inside) - at[1]) < height:
        return picture  # cut off there, and hanging in the air here
    left, top = x - mirror * scale * at[0], y - scale * at[1]
    matrix = np.array([[mirror * scale, 0, left], [0, scale, top]])
    cut = Cut(other.pixels, other.labels, inside, other.fine)
    return _covered(picture, cut.moved(matrix, (height, width)), behind=rng.random() < 0.6)


def _head(picture: LabelledPicture) -> Head | None:
    """The face of ``picture``; None where it is too small."""
    box = box_of(picture.labels)
    if box is None:
        return None
    rows, columns = box
    return (columns.start + columns.stop) / 2, (rows.start + rows.stop) / 2, rows.stop - rows.start


def _tinted(pixels: NDArray[np.uint8], rng: random.Random) -> NDArray[np.uint8]:
    """Half of the time another hue: a car is a car in any colour."""
    if rng.random() < 0.5:
        return pixels
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(int) + rng.randrange(180)) % 180
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


def _covered(picture: LabelledPicture, cut: Cut, *, behind: bool = True) -> LabelledPicture:
    """``picture`` under a piece of its own size; people stay in front of what is ``behind``."""
    where = cut.where & ~person_mask(picture.labels) if behind else cut.where
    soft = cv2.GaussianBlur(where.astype(np.float32), (0, 0), 0.7)[..., None]
    mixed = picture.pixels + soft * (cut.pixels.astype(np.float32) - picture.pixels)
    fine = picture.fine
    if fine is not None:
        fine = np.where(where, 0 if cut.fine is None else cut.fine, fine).astype(np.uint8)
    return replace(
        picture,
        name=f"{picture.name} put together",
        pixels=np.clip(mixed, 0, 255).astype(np.uint8),
        labels=np.where(where, cut.labels, picture.labels).astype(np.uint8),
        fine=fine,
    )
