"""The second set: 120 edits of things by their name, on labelled pictures nobody trained on.

A pair is a picture, what is named in it, an exact edit and two wordings, one of them in words that
took no part in training. Measured is how much of the edit each pixel shows. Writes no file.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.pictures import LabelledPicture, person_mask, region_mask
from liveedit_cam.lab.edits.regions import BY_NAME, UNKNOWN
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.benchmark import Stream, as_pixels, as_tensor
from liveedit_cam.lab.evaluation.metrics import capped_psnr

Mask = NDArray[np.bool_]

PERSON, BACKGROUND, VEHICLE = "person", "background", "vehicle"
PLAN: tuple[tuple[str, int], ...] = (
    ("background", 20),
    ("person", 16),
    ("hair", 22),
    ("upper clothes", 24),
    ("sky", 6),
    ("vehicle", 4),
    ("face", 4),
    ("trousers", 3),
    ("dress", 3),
    ("hat", 3),
    ("glasses", 3),
    ("bag", 2),
    ("all but face", 3),
    ("all but hair", 2),
    ("absent", 5),
)
"""What is named, and how many of the 120 pairs name it."""
NUM_PAIRS = sum(count for _, count in PLAN)
PAINTS = ("red", "blue", "green", "purple", "orange", "gold", "teal", "pink")
LOOKS = {Family.BLACK_AND_WHITE: "black and white", Family.DARKEN: "darker"}
LOOK_SHARE = 0.15
"""Share of the pairs that ask for a look instead of a colour."""
TAUGHT = ("make {target} {how}", "turn {target} {how}")
UNSEEN = (
    "would you mind turning {target} {how}",
    "{target} ought to be {how}",
    "i'd love {target} to look {how}",
    "please get me {how} for {target}",
)
"""Wordings of these pairs that no template has."""
CALLED: dict[str, tuple[str, ...]] = {
    "background": ("the background", "the wall behind me"),
    "person": ("the person", "me"),
    "hair": ("my hair", "the hair", "her hair"),
    "upper clothes": ("my shirt", "my top", "the shirt"),
    "jacket": ("my jacket", "the jacket", "my coat"),
    "sky": ("the sky",),
    "vehicle": ("the {name}",),
    "face": ("my face", "the face"),
    "trousers": ("my pants", "the trousers"),
    "dress": ("my dress", "the dress"),
    "hat": ("my hat", "the hat"),
    "glasses": ("my glasses", "the sunglasses"),
    "bag": ("my bag", "the bag"),
    "all but face": ("everything except my face",),
    "all but hair": ("everything but my hair",),
}
ABSENT = ("the dog", "the car", "the cat", "my hat", "the bottle")
"""Things asked for on pictures that show none of them, each with the region that must be missing"""
ABSENT_REGIONS = ("dog", "car", "cat", "hat", "bottle")
LEAST_SHARE, LEAST_OF_GLASSES = 0.01, 0.003
"""Share of a picture that something must take to be in the set."""
SOME, MOST = 0.25, 0.75
"""A pixel that shows between these shares of the edit is in doubt."""
ABSENT_MSE = 1e-3
"""What is not there may change the picture by 30 dB, no more."""
LEAST_CHANGE = 0.08
"""Length of the full change (RGB, 0..1) below which a pixel tells nothing about the edit."""
BAND_PX = 5
NUM_CHUNKS = 2


@dataclass(frozen=True, slots=True)
class NamedPair:
    """A picture, what is named, and the edit asked for."""

    number: int
    picture: str
    thing: str
    """As ``PLAN`` calls it."""
    spec: EditSpec
    taught: str
    unseen: str


@dataclass(frozen=True, slots=True)
class NamedResult:
    """Figures of one pair; of the taught wording where nothing else is said."""

    pair: NamedPair
    is_right: bool
    """Nearer to its own target than to that of every rival."""
    is_unseen_right: bool
    iou: float | None
    """Of pixels that show more than half of the edit with those that should; None = absent."""
    doubt: float
    """Share of the pixels that show a quarter to three quarters of the edit."""
    outside_db: float | None
    boundary: float | None
    """Mean error in levels of 255 within ``BAND_PX`` pixels of the mask's border."""
    psnr_db: float
    source_db: float


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a thing is in a picture, and what else there is."""

    mask: Mask
    known: Mask
    others: dict[str, Mask]
    """Masks of other things that the same edit could have landed on."""


def draw_named(pictures: Sequence[LabelledPicture], seed: int = 0) -> tuple[NamedPair, ...]:
    """The pairs of ``PLAN``, spread over ``pictures``. Raises UsageError where none fits a line."""
    pairs: list[NamedPair] = []
    for thing, count in PLAN:
        rng = random.Random(f"{seed}/{thing}")
        fitting = [p for p in pictures if _fits(thing, p)]
        if not fitting:
            raise UsageError(
                f"got {len(pictures)} test pictures, none of which shows {thing}",
                hint="Give the whole pictures folder, or leave --pictures out.",
            )
        rng.shuffle(fitting)
        for turn in range(count):
            picture = fitting[turn % len(fitting)]
            pairs.append(_pair(len(pairs), thing, picture, rng, turn))
    return tuple(pairs)


def _fits(thing: str, picture: LabelledPicture) -> bool:
    if thing == "absent":
        labels = set(np.unique(picture.labels).tolist())
        return picture.set == "generated" and not any(
            label in labels for name in ABSENT_REGIONS for label in BY_NAME[name].labels
        )
    mask = place(thing.removeprefix("all but "), picture).mask
    least = LEAST_OF_GLASSES if thing == "glasses" else LEAST_SHARE
    return least < float(mask.mean()) < 0.95


def place(thing: str, picture: LabelledPicture) -> Place:
    """Where ``thing`` is in ``picture``; an absent one is nowhere."""
    known = picture.labels != UNKNOWN
    person = person_mask(picture.labels)
    masks = {"person": person, "background": ~person & known}
    for name in ("hair", "upper clothes", "face", "sky", "vehicle", "dress", "trousers", "hat",
                 "glasses", "bag"):  # fmt: skip
        masks[name] = region_mask(BY_NAME[name], picture)
    if not picture.has_background:
        del masks["background"], masks["person"]
    if thing.startswith("all but "):
        mask = known & ~masks[thing.removeprefix("all but ")]
        if not masks[thing.removeprefix("all but ")].any():
            mask = np.zeros_like(known)
    else:
        mask = masks.get(thing, np.zeros_like(known))
    others = {name: one for name, one in masks.items() if name != thing and one.any()}
    others["everything"] = known
    return Place(mask, known, others)


def _pair(
    number: int, thing: str, picture: LabelledPicture, rng: random.Random, turn: int
) -> NamedPair:
    scope = {"background": Scope.BACKGROUND, "person": Scope.SUBJECT}.get(thing, Scope.NAMED)
    colour = PAINTS[rng.randrange(len(PAINTS))]
    how, spec = colour, EditSpec(Family.RECOLOUR, scope, COLOURS[colour], region=thing)
    if rng.random() < LOOK_SHARE:
        family, how = rng.choice(list(LOOKS.items()))
        spec = EditSpec(family, scope, region=thing)
    names = ABSENT if thing == "absent" else CALLED[thing]
    target = names[turn % len(names)]
    if thing == "upper clothes" and _is_jacket(picture):
        target = CALLED["jacket"][turn % 3]
    if thing == VEHICLE:
        target = f"the {_vehicle(picture)}"
    values = {"target": target, "how": how}
    taught, unseen = rng.choice(TAUGHT), UNSEEN[turn % len(UNSEEN)]
    return NamedPair(
        number, picture.name, thing, spec, taught.format(**values), unseen.format(**values)
    )


def _is_jacket(picture: LabelledPicture) -> bool:
    """Whether most of the upper clothes are a jacket or coat."""
    if picture.fine is None:
        return False
    upper = region_mask(BY_NAME["upper clothes"], picture)
    jacket = region_mask(BY_NAME["jacket"], picture)
    return int((upper & jacket).sum()) > 0.7 * int(upper.sum())


def _vehicle(picture: LabelledPicture) -> str:
    """The name of the largest vehicle."""
    names = ("car", "bus", "truck", "train", "bicycle", "motorcycle", "airplane", "boat")
    return max(names, key=lambda name: int(region_mask(BY_NAME[name], picture).sum()))


@dataclass(frozen=True, slots=True, eq=False)
class NamedMeasured:
    """A result and the pictures it was measured on, uint8 (H, W, 3)."""

    result: NamedResult
    source: NDArray[np.uint8]
    output: NDArray[np.uint8]
    target: NDArray[np.uint8]


def measure_named(
    stream: Stream, pairs: Sequence[NamedPair], pictures: Sequence[LabelledPicture]
) -> Iterator[NamedMeasured]:
    """Measure one pair after the other, each from a fresh stream on a picture that stands still."""
    by_name = {picture.name: picture for picture in pictures}
    for pair in pairs:
        picture = by_name[pair.picture]
        taught = _edited(stream, picture, pair.taught)
        unseen = _edited(stream, picture, pair.unseen)
        yield _judge(pair, picture, taught, unseen)


def _edited(stream: Stream, picture: LabelledPicture, prompt: str) -> NDArray[np.uint8]:
    stream.reset()
    conditioning = stream.encode_text(prompt)
    for _ in range(NUM_CHUNKS):
        frames = np.repeat(picture.pixels[None], stream.chunk_frames, axis=0)
        out = stream.edit(frames, conditioning)
    return np.asarray(out[-1], np.uint8)


def _judge(
    pair: NamedPair,
    picture: LabelledPicture,
    taught: NDArray[np.uint8],
    unseen: NDArray[np.uint8],
) -> NamedMeasured:
    where = place(pair.thing, picture)
    source = as_tensor(picture.pixels)
    full = _apply(source, np.ones_like(where.mask), pair.spec)

    def target_in(mask: Mask) -> Tensor:
        return torch.where(torch.from_numpy(mask)[..., None], full, source)

    target = target_in(where.mask)
    output = as_tensor(taught)
    known = torch.from_numpy(where.known)
    shown, tells = shown_share(output, source, full)
    counted = where.known & tells
    wanted = where.mask & counted
    got = (shown > 0.5) & counted
    union = int((wanted | got).sum())
    near = _band(where.mask) & where.known
    is_doubt = (shown > SOME) & (shown < MOST) & counted & ~_band(where.mask)
    outside = torch.from_numpy(where.known & ~where.mask & ~_band(where.mask, 1)).float()
    figures = NamedResult(
        pair,
        _is_right(pair, output, source, target, where, target_in),
        _is_right(pair, as_tensor(unseen), source, target, where, target_in),
        int((wanted & got).sum()) / union if union and wanted.any() else None,
        float(is_doubt.sum()) / max(1, int(counted.sum())),
        capped_psnr(output, source, outside) if float(outside.mean()) > 0.02 else None,
        255 * float((output - target).abs().mean(-1)[near].mean()) if near.any() else None,
        capped_psnr(output, target, known.float()),
        capped_psnr(source, target, known.float()),
    )
    return NamedMeasured(figures, picture.pixels, taught, as_pixels(target))


def _apply(source: Tensor, mask: Mask, spec: EditSpec) -> Tensor:
    """The edit where ``mask`` is, by the formula of the spec's own scope; (H, W, 3)."""
    inside = torch.from_numpy(mask).float()[None]
    subject = 1 - inside if spec.scope is Scope.BACKGROUND else inside
    return apply_edit(source[None], subject, spec)[0][0]


def shown_share(output: Tensor, source: Tensor, full: Tensor) -> tuple[NDArray[np.float32], Mask]:
    """How much of the full edit each pixel shows, and where that can be told; (H, W) both."""
    change = full - source
    size = change.square().sum(-1)
    share = ((output - source) * change).sum(-1) / size.clamp_min(1e-6)
    return share.numpy(), (size.sqrt() > LEAST_CHANGE).numpy()


def _band(mask: Mask, px: int = BAND_PX) -> Mask:
    """Pixels within ``px`` of the mask's border."""
    kernel = np.ones((2 * px + 1, 2 * px + 1), np.uint8)
    inside = mask.astype(np.uint8)
    return np.asarray(cv2.dilate(inside, kernel) != cv2.erode(inside, kernel))


def _is_right(
    pair: NamedPair,
    output: Tensor,
    source: Tensor,
    target: Tensor,
    where: Place,
    target_in: Callable[[Mask], Tensor],
) -> bool:
    """Whether ``target`` is the nearest: of the edit elsewhere, in other colours, not at all."""
    known = torch.from_numpy(where.known).float()[..., None]
    rivals = [target_in(mask) for mask in where.others.values()]
    if where.mask.any():
        rivals.append(source)
        inside = torch.from_numpy(where.mask)[..., None]
        for name in PAINTS:
            if pair.spec.colour in (None, COLOURS[name]):
                continue
            other = _apply(
                source, np.ones_like(where.mask), replace(pair.spec, colour=COLOURS[name])
            )
            rivals.append(torch.where(inside, other, source))

    def distance(picture: Tensor) -> float:
        return float(((picture - output).square() * known).mean())

    own = distance(target)
    if not where.mask.any() and own > ABSENT_MSE:
        return False
    return all(distance(rival) > own for rival in rivals if not _is_same(rival, target))


def _is_same(rival: Tensor, target: Tensor) -> bool:
    return float((rival - target).square().mean()) < 1e-4
