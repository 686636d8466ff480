"""What the ablations edit: few clips, few instructions, exact targets. Knows no model.

Local edits (the subject, one colour) are where the mask cache can save something; edits of the
whole picture are where it must not, and an instruction to change nothing is its easiest case.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.clips import Clip, load_clips
from liveedit_cam.lab.edits.colours import HUES, colour_membership
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.benchmark import Video, as_tensor
from liveedit_cam.lab.evaluation.pairs import (
    DRAWN_NAME,
    FIRST_SCENE_SEED,
    LEAST_FRAMES,
    MIN_COLOUR_SHARE,
    SUBJECT_SHARES,
    Shelf,
    window,
)
from liveedit_cam.lab.evaluation.phrasing import taught_wording

SHORT_SIDE_PX = 256
"""Clips are edited at this short side: compositing costs little, the network is what counts."""
MAX_FRAMES = 64
LARGEST_SHARE = 0.5
"""Share of the picture above which changing a subject or a colour is no local edit."""
LOCAL, WHOLE, NOTHING = "local", "whole picture", "nothing"


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One instruction on one clip."""

    clip: Clip
    edits: str
    """LOCAL, WHOLE or NOTHING."""
    spec: EditSpec
    prompt: str

    def source(self, first: int, count: int) -> Video:
        """``count`` frames from ``first`` on; the clip plays back and forth."""
        return window(self.clip.frames, first, count)

    def exact(self, first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Source and exact target (T, H, W, 3), and edit mask (T, H, W), float32 in [0, 1]."""
        source = as_tensor(self.source(first, count))
        subject = as_tensor(window(self.clip.subject, first, count))
        target, mask = apply_edit(source, subject, self.spec)
        return source, target, mask


def choose_clips(media: Path | None, count: int) -> tuple[Clip, ...]:
    """``count`` clips with a subject of the split test, or drawn scenes without ``media``.

    Raises UsageError where the folder has fewer.
    """
    if media is None:
        shelf = Shelf(())
        return tuple(shelf.get(f"{DRAWN_NAME}{FIRST_SCENE_SEED + i}") for i in range(count))
    clips = load_clips(media, "test", None, SHORT_SIDE_PX, MAX_FRAMES)
    usable = [clip for clip in clips if _shows_subject(clip)]
    if len(usable) < count:
        raise UsageError(
            f"got {len(usable)} test clips that show a subject in {media}, expected {count}",
            hint="Lower --clips, or leave --media out for drawn scenes.",
        )
    return tuple(usable[:count])


def draw_cases(clips: Sequence[Clip], edits: Sequence[str], per_clip: int = 2) -> tuple[Case, ...]:
    """Up to ``per_clip`` cases of each kind of ``edits`` on each clip; always the same ones."""
    cases = []
    for clip in clips:
        for kind in edits:
            for spec in _specs(clip, kind)[:per_clip]:
                prompt = taught_wording(spec, random.Random(f"{clip.name}/{spec}"))
                cases.append(Case(clip, kind, spec, prompt))
    return tuple(cases)


def _specs(clip: Clip, edits: str) -> list[EditSpec]:
    if edits == NOTHING:
        return [EditSpec(Family.IDENTITY)]
    if edits == WHOLE:
        return [EditSpec(Family.NIGHT), EditSpec(Family.BLACK_AND_WHITE)]
    assert edits == LOCAL, f"got edits {edits!r}"
    found = []
    if _shows_subject(clip) and _subject_share(clip) <= LARGEST_SHARE:
        found.append(EditSpec(Family.RECOLOUR, Scope.SUBJECT, COLOURS["gold"]))
    colour = _largest_colour(clip)
    if colour is not None:
        others = sorted(HUES, key=lambda name: abs(_wheel_distance(colour, name) - 0.33))
        found.append(EditSpec(Family.REPLACE_COLOUR, colour=COLOURS[others[0]], from_colour=colour))
    return found


def _shows_subject(clip: Clip) -> bool:
    return clip.has_subject and SUBJECT_SHARES[0] <= _subject_share(clip) <= SUBJECT_SHARES[1]


def _subject_share(clip: Clip) -> float:
    return float(window(clip.subject, 0, LEAST_FRAMES).mean()) / 255


def _largest_colour(clip: Clip) -> str | None:
    """The colour that most of the picture has, but no more than half of it; None = no colour."""
    frame = torch.from_numpy(np.ascontiguousarray(clip.frames[:1, ::2, ::2])).float() / 255
    shares = {name: float(colour_membership(frame, name).mean()) for name in HUES}
    local = {n: s for n, s in shares.items() if MIN_COLOUR_SHARE <= s <= LARGEST_SHARE}
    return max(local, key=lambda name: local[name]) if local else None


def _wheel_distance(one: str, other: str) -> float:
    """How far two hues are from each other on the wheel, 0..0.5."""
    return abs((HUES[one] - HUES[other] + 0.5) % 1.0 - 0.5)
