"""What is measured: every instruction on every test clip, with its exact target. No model here."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from liveedit_cam.training.clips import Clip
from liveedit_cam.training.colours import HUES, colour_membership
from liveedit_cam.training.spec import EditSpec, Family, Scope
from liveedit_cam.training.wordings import COLOURS

LOOKS = (
    (Family.BLACK_AND_WHITE, "make it black and white"),
    (Family.SEPIA, "give it a sepia tone"),
    (Family.INVERT, "invert the colors"),
    (Family.NIGHT, "make it night"),
    (Family.WARM, "make it warmer"),
    (Family.COLD, "add cold light"),
    (Family.LAVENDER, "bathe it in lavender light"),
    (Family.GOLDEN, "golden light"),
)
PAINTS = ("red", "blue", "green", "purple", "gold", "white")
MIN_COLOUR_SHARE = 0.015
"""Share of the picture that must be of a colour before "change it into" is asked."""


@dataclass(frozen=True, slots=True)
class Case:
    """One instruction for one clip."""

    group: str
    """Row of the table: whole, subject, background, colour, identity."""
    prompt: str
    spec: EditSpec


def cases_for(clip: Clip) -> tuple[Case, ...]:
    """The instructions that make sense on ``clip``."""
    cases = [Case("identity", "leave it as it is", EditSpec(Family.IDENTITY))]
    cases += [Case("whole", prompt, EditSpec(family)) for family, prompt in LOOKS]
    if clip.has_subject:
        for name in PAINTS:
            colour = COLOURS[name]
            subject = EditSpec(Family.RECOLOUR, Scope.SUBJECT, colour)
            background = EditSpec(Family.RECOLOUR, Scope.BACKGROUND, colour)
            cases.append(Case("subject", f"paint the subject {name}", subject))
            cases.append(Case("background", f"make the background {name}", background))
        bw, blur = Family.BLACK_AND_WHITE, Family.BLUR
        cases += [
            Case("subject", "make the subject black and white", EditSpec(bw, Scope.SUBJECT)),
            Case(
                "background", "make the background black and white", EditSpec(bw, Scope.BACKGROUND)
            ),
            Case("background", "blur the background", EditSpec(blur, Scope.BACKGROUND)),
        ]
    return (*cases, *_colour_changes(clip))


def _colour_changes(clip: Clip) -> list[Case]:
    """Each colour the clip shows into the two that are furthest from it on the wheel."""
    middle = torch.from_numpy(clip.frames[len(clip.frames) // 2]).float().unsqueeze(0) / 255
    found = []
    for name, hue in HUES.items():
        if float(colour_membership(middle, name).mean()) < MIN_COLOUR_SHARE:
            continue
        by_distance = sorted(HUES, key=lambda other: -_hue_distance(hue, HUES[other]))
        for target in by_distance[:2]:
            spec = EditSpec(Family.REPLACE_COLOUR, Scope.WHOLE, COLOURS[target], name)
            found.append(Case("colour", f"change {name} to {target}", spec))
    return found


def _hue_distance(a: float, b: float) -> float:
    return abs((a - b + 0.5) % 1.0 - 0.5)


def as_tensors(clip: Clip, start: int, count: int) -> tuple[Tensor, Tensor]:
    """Frames (T, H, W, 3) and subject mask (T, H, W) from ``start``, float32 in [0, 1]."""
    frames = torch.from_numpy(clip.frames[start : start + count]).float() / 255
    return frames, torch.from_numpy(clip.subject[start : start + count]).float() / 255
