"""The 120 video-instruction pairs: a seeded plan over families and scopes. Knows no model.

A pair is a clip, where it begins, an exact edit, and the wordings that ask for it. Half of them
are on real clips where those are present, else all are on drawn scenes, each a scene of its own.
Both halves follow the same plan, so that the two can be compared; the first N pairs of any run are
a fair sample of the plan. One seed and one set of clips, one list of pairs.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from liveedit_cam.errors import UsageError, shown
from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.edits.colours import colour_membership
from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import draw_spec, plain_palette
from liveedit_cam.lab.edits.spec import REGIONS, EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.phrasing import kind_of, taught_wording, unseen_wordings
from liveedit_cam.lab.evaluation.unseen import UNSEEN

NUM_PAIRS = 120
NUM_CHUNKS = 3
LEAST_FRAMES = 12
"""Three chunks of nano; larger chunks go on from the same start, forwards and backwards."""
MIN_COLOUR_SHARE = 0.015
"""Share of the picture that must be of a colour before changing it is asked."""
SUBJECT_SHARES = (0.02, 0.85)
"""Share of the picture that a subject takes where an edit is of it or of what is behind it."""
FIRST_SCENE_SEED = 1_000_000
"""Drawn scenes of the benchmark; training's begin at its own small seeds."""
DRAWN_NAME = "drawn-"
MAX_TRIES = 400


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to ask for an edit."""

    text: str
    is_unseen: bool
    """Whether it took no part in training."""


@dataclass(frozen=True, slots=True)
class VideoPair:
    """A video and an instruction, with the exact edit it asks for."""

    number: int
    clip: str
    """Name of a real clip, or "drawn-SEED"."""
    is_real: bool
    start: int
    """First frame."""
    num_chunks: int
    spec: EditSpec
    wordings: tuple[Wording, ...]
    """The first is measured in full, the others only for whether they are understood."""

    @property
    def prompt(self) -> str:
        """The instruction that is measured in full."""
        return self.wordings[0].text


@dataclass(frozen=True, slots=True)
class Slot:
    """One line of the plan: what kind of edit a pair has."""

    kind: str
    """As ``draw_spec`` names it."""
    scope: Scope | None = None
    """The region of kind "region"; None = the kind says it."""


WHOLE = (
    *("identity", "black_and_white", "sepia", "invert", "night", "warm", "cold", "lavender"),
    *("golden", "recolour", "sketch", "cartoon", "neon", "thermal", "vintage", "fog", "snow"),
    *("sunset", "underwater", "pixel_art", "spotlight", "light", "darken", "brighten"),
)
SUBJECT = (
    *("recolour:subject",) * 4,
    *("black_and_white:subject", "pixel_art:subject", "brighten:subject", "invert:subject"),
)
BACKGROUND = (
    *("recolour:background",) * 4,
    *("blur:background",) * 2,
    *("gradient:background",) * 2,
    *("black_and_white:background", "darken:background", "invert:background"),
    *("night:background", "pixel_art:background"),
)
PLAN: tuple[Slot, ...] = (
    *(Slot(kind) for kind in (*WHOLE, *SUBJECT, *BACKGROUND)),
    *(Slot("replace_colour"),) * 6,
    *(Slot("region", scope) for scope in REGIONS),
    *(Slot("strength"),) * 2,
    *(Slot("two"),) * 2,
)
"""The 60 edits of one half: every family, every scope."""


class Shelf:
    """The clips of a run by name; a drawn scene is drawn when it is asked for."""

    def __init__(self, real: Sequence[Clip]) -> None:
        """``real`` are the clips of the test split; none = drawn scenes alone."""
        self.real = tuple(real)
        self._by_name = {clip.name: clip for clip in real}

    def get(self, name: str) -> Clip:
        """The clip of that name. Raises UsageError."""
        seed = name.removeprefix(DRAWN_NAME)
        if name.startswith(DRAWN_NAME) and seed.isdecimal():
            return replace(drawn_clips(1, int(seed))[0], name=name)
        if name not in self._by_name:
            known = ", ".join(sorted(self._by_name)) or "no real clip"
            raise UsageError(
                f"got a pair on clip {shown(name)}, expected {DRAWN_NAME}SEED or one of: {known}",
                hint="Give the folder that holds it with --media, or draw the pairs anew.",
            )
        return self._by_name[name]


def window(frames: NDArray[np.uint8], start: int, count: int) -> NDArray[np.uint8]:
    """``count`` frames from ``start`` on; a clip that ends before is played back and forth."""
    last = len(frames) - 1
    if last == 0:
        return np.repeat(frames, count, axis=0)
    steps = np.arange(start, start + count) % (2 * last)
    return frames[np.where(steps <= last, steps, 2 * last - steps)]


def draw_pairs(shelf: Shelf, count: int = NUM_PAIRS, seed: int = 0) -> Iterator[VideoPair]:
    """Draw ``count`` pairs; each depends on its number, the seed and the clips alone."""
    for number in range(count):
        slot, wants_unseen = planned(number, seed)
        yield _draw_pair(shelf, number, slot, wants_unseen=wants_unseen, seed=seed)


def planned(number: int, seed: int) -> tuple[Slot, bool]:
    """The slot of a pair, and whether its first wording is to be an unseen one.

    Even numbers are one half and odd ones the other, each in an order of its own.
    """
    half, turn = number % 2, number // 2
    places = list(range(len(PLAN)))
    random.Random(f"{seed}/order {half}").shuffle(places)
    place = places[turn % len(PLAN)]
    is_odd = (place + half + turn // len(PLAN)) % 2 == 1  # each edit once unseen, once not
    return PLAN[place], is_odd


def _draw_pair(
    shelf: Shelf, number: int, slot: Slot, *, wants_unseen: bool, seed: int
) -> VideoPair:
    rng = random.Random(f"{seed}/{number}")
    is_real = number % 2 == 0 and bool(shelf.real)
    for attempt in range(MAX_TRIES):
        spec, prompt = _draw_edit(slot, rng, wants_unseen=wants_unseen)
        if is_real:  # the next clip in turn; another one where the edit makes no sense on it
            clip = shelf.real[(number // 2 + attempt) % len(shelf.real)]
        else:
            clip = shelf.get(f"{DRAWN_NAME}{FIRST_SCENE_SEED + rng.getrandbits(30)}")
        start = rng.randrange(max(1, len(clip.frames) - LEAST_FRAMES + 1))
        if _makes_sense(spec, clip, start):
            wordings = _wordings(spec, prompt, rng)
            return VideoPair(number, clip.name, is_real, start, NUM_CHUNKS, spec, wordings)
    raise UsageError(
        f"got {len(shelf.real)} real clips, on none of which {slot.kind} makes sense in "
        f"{MAX_TRIES} tries",
        hint="Give a media folder whose test clips show a subject and colours, or leave it out.",
    )


def _draw_edit(slot: Slot, rng: random.Random, *, wants_unseen: bool) -> tuple[EditSpec, Wording]:
    """An edit of the slot, asked for in a wording of the grammar or, where there is one, unseen."""

    def fits(spec: EditSpec) -> bool:
        is_region = slot.scope is None or spec.scope is slot.scope
        return kind_of(spec) == slot.kind and is_region and not _is_idle(spec)

    unseen = [(text, spec) for text, spec in UNSEEN if fits(spec)]
    if wants_unseen and unseen:
        text, spec = rng.choice(unseen)
        return spec, Wording(text, is_unseen=True)
    while True:
        spec, text = draw_spec(rng, plain_palette(), (slot.kind,))
        if fits(spec):
            return spec, Wording(text, is_unseen=False)


def _is_idle(spec: EditSpec) -> bool:
    """Whether it changes a colour into itself."""
    return spec.from_colour is not None and COLOURS.get(spec.from_colour) == spec.colour


def _wordings(spec: EditSpec, first: Wording, rng: random.Random) -> tuple[Wording, ...]:
    """``first``, another one of the grammar, and an unseen one where the list has one more."""
    taught = first.text
    while taught == first.text:
        taught = taught_wording(spec, rng)
    others = [text for text in unseen_wordings(spec) if text != first.text]
    unseen = (Wording(rng.choice(others), is_unseen=True),) if others else ()
    return (first, Wording(taught, is_unseen=False), *unseen)


def _makes_sense(spec: EditSpec, clip: Clip, start: int) -> bool:
    """Whether ``clip`` shows, from ``start`` on, what ``spec`` wants to change."""
    if spec.then is not None and not _makes_sense(spec.then, clip, start):
        return False
    if spec.scope in (Scope.SUBJECT, Scope.BACKGROUND):
        share = float(window(clip.subject, start, LEAST_FRAMES).mean()) / 255
        return clip.has_subject and SUBJECT_SHARES[0] <= share <= SUBJECT_SHARES[1]
    if spec.family is Family.REPLACE_COLOUR:
        assert spec.from_colour is not None, "REPLACE_COLOUR without from_colour"
        frames = window(clip.frames, start, LEAST_FRAMES)[:: LEAST_FRAMES - 1, ::2, ::2]
        of_colour = colour_membership(torch.from_numpy(frames).float() / 255, spec.from_colour)
        return float(of_colour.mean()) >= MIN_COLOUR_SHARE
    return True
