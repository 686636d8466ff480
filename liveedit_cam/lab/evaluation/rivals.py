"""The edits an output is compared with: was what was asked for made, and nothing else?

Two lists: what can be asked of any clip, and the near misses of the edit itself (elsewhere, in
another colour, from another side, only one of two).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.colours import HUES, colour_membership
from liveedit_cam.lab.edits.spec import REGIONS, EditSpec, Family, Scope, Side
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.phrasing import kind_of

PAINTS = ("red", "blue", "green", "purple", "gold", "white")
COMPARED_HEIGHT_PX = 144
"""Outputs and targets are compared at this height, or the picture's own where that is less."""
COMPARED_FRAMES = 4
MIN_COLOUR_SHARE = 0.015
SAME_MSE = 10 ** (-40 / 10)
"""A rival within 40 dB of the target is the same edit on this clip (a colour hardly there)."""

_NOT_LOOKS = (Family.RECOLOUR, Family.REPLACE_COLOUR, Family.BLUR, Family.GRADIENT, Family.LIGHT)
_SCOPED = (
    EditSpec(Family.BLACK_AND_WHITE, Scope.SUBJECT),
    EditSpec(Family.BLACK_AND_WHITE, Scope.BACKGROUND),
    EditSpec(Family.PIXEL_ART, Scope.SUBJECT),
    EditSpec(Family.PIXEL_ART, Scope.BACKGROUND),
    EditSpec(Family.INVERT, Scope.SUBJECT),
    EditSpec(Family.INVERT, Scope.BACKGROUND),
    EditSpec(Family.BRIGHTEN, Scope.SUBJECT),
    EditSpec(Family.DARKEN, Scope.BACKGROUND),
    EditSpec(Family.NIGHT, Scope.BACKGROUND),
    EditSpec(Family.BLUR, Scope.BACKGROUND),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an output turned out to be."""

    is_right: bool
    """Whether the target of its own instruction is the nearest of all."""
    nearest: EditSpec
    num_rivals: int
    """Edits it was compared with besides its own."""


class Judge:
    """The targets of one instruction and of all others on the same frames, made once."""

    def __init__(
        self, frames: Tensor, subject: Tensor, spec: EditSpec, *, has_subject: bool
    ) -> None:
        """``frames`` float32 (T, H, W, 3) in [0, 1] and ``subject`` (T, H, W) of the source.

        ``has_subject``: whether edits of subject and background can be asked for.
        """
        self._spec = spec
        frames, subject = shrink(frames), shrink(subject.unsqueeze(-1)).squeeze(-1)
        self._target, _ = apply_edit(frames, subject, spec)
        self._rivals: dict[EditSpec, Tensor] = {}
        for rival in rivals(spec, frames, has_subject=has_subject):
            picture, _ = apply_edit(frames, subject, rival)
            if float((picture - self._target).square().mean()) > SAME_MSE:
                self._rivals[rival] = picture

    def answer(self, output: Tensor) -> Answer:
        """Find the nearest target of ``output`` (T, H, W, 3), the edit of the same frames."""
        small = shrink(output)
        pictures = {self._spec: self._target, **self._rivals}
        nearest = min(pictures, key=lambda s: float((pictures[s] - small).square().mean()))
        return Answer(nearest == self._spec, nearest, len(self._rivals))


def shrink(frames: Tensor) -> Tensor:
    """A few of the frames (T, H, W, C), evenly spread, at the height of comparison."""
    index = torch.linspace(0, len(frames) - 1, min(COMPARED_FRAMES, len(frames))).round().long()
    planes = frames[index].permute(0, 3, 1, 2)
    height = min(COMPARED_HEIGHT_PX, frames.shape[1])
    width = round(height * frames.shape[2] / frames.shape[1])
    return F.interpolate(planes, (height, width), mode="area").permute(0, 2, 3, 1)


def rivals(spec: EditSpec, frames: Tensor, *, has_subject: bool) -> tuple[EditSpec, ...]:
    """Every other edit that can be asked for on ``frames`` (T, H, W, 3), each once."""
    found = (*_common(has_subject), *_colour_changes(frames), *_near_misses(spec, has_subject))
    return tuple(dict.fromkeys(other for other in found if other != spec))


def _common(has_subject: bool) -> Iterator[EditSpec]:
    """What can be asked of any clip."""
    yield from (EditSpec(family) for family in Family if family not in _NOT_LOOKS)
    scopes = (Scope.WHOLE, Scope.SUBJECT, Scope.BACKGROUND) if has_subject else (Scope.WHOLE,)
    for name in PAINTS:
        yield from (EditSpec(Family.RECOLOUR, scope, COLOURS[name]) for scope in scopes)
    if has_subject:
        yield from _SCOPED
        for upper, lower in pairwise(PAINTS):
            behind = EditSpec(Family.GRADIENT, Scope.BACKGROUND, COLOURS[upper])
            yield from (behind, replace(behind, second_colour=COLOURS[lower]))
    for side in Side:
        yield from (EditSpec(Family.LIGHT, colour=COLOURS[n], side=side) for n in ("red", "blue"))


def _colour_changes(frames: Tensor) -> Iterator[EditSpec]:
    """Each colour of ``frames`` (T, H, W, 3) into the two furthest from it on the wheel."""
    for name, hue in HUES.items():
        if float(colour_membership(frames, name).mean()) < MIN_COLOUR_SHARE:
            continue

        def nearness(other: str, hue: float = hue) -> float:
            return -abs((HUES[other] - hue + 0.5) % 1.0 - 0.5)

        for target in sorted(HUES, key=nearness)[:2]:
            yield EditSpec(Family.REPLACE_COLOUR, colour=COLOURS[target], from_colour=name)


def _near_misses(spec: EditSpec, has_subject: bool) -> Iterator[EditSpec]:
    """``spec`` with one thing wrong."""
    if spec.then is not None:
        yield from (replace(spec, then=None), spec.then)
        for part in (replace(spec, then=None), spec.then):
            yield from _near_misses(part, has_subject)
        return
    if kind_of(spec) == "region":
        yield from (replace(spec, scope=scope) for scope in (Scope.WHOLE, *REGIONS))
    elif has_subject and spec.scope in (Scope.SUBJECT, Scope.BACKGROUND):
        others = (Scope.WHOLE, Scope.SUBJECT, Scope.BACKGROUND)
        yield from (replace(spec, scope=scope) for scope in others)
    if spec.strength != 1.0:
        yield replace(spec, strength=1.0)
    if spec.colour is not None:
        yield from (replace(spec, colour=COLOURS[name]) for name in PAINTS)
    if spec.second_colour is not None:
        yield replace(spec, colour=spec.second_colour, second_colour=spec.colour)
    if spec.side is not None:
        yield from (replace(spec, side=side) for side in Side)
