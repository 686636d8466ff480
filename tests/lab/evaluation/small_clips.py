"""A small clip and stand-ins for EditStream, for the tests of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.pairs import VideoPair, Wording, window

NIGHT = EditSpec(Family.NIGHT)
RED_BEHIND = EditSpec(Family.RECOLOUR, Scope.BACKGROUND, COLOURS["red"])


def coloured_clip(name: str = "disc", num_frames: int = 20) -> Clip:
    """A drifting disc, half red and half grey, the subject, on blue stripes; frames of 48x64."""
    y, x = np.mgrid[:48, :64]
    frames, masks = [], []
    stripes = np.where((x // 4 % 2)[..., None] > 0, (40, 80, 200), (170, 180, 220))
    for t in range(num_frames):
        middle = 26 + t / 2
        inside = (y - 24) ** 2 + (x - middle) ** 2 < 14**2
        disc = np.where((x < middle)[..., None], (200, 40, 40), (150, 150, 150))
        frames.append(np.where(inside[..., None], disc, stripes).astype(np.uint8))
        masks.append(np.where(inside, 255, 0).astype(np.uint8))
    return Clip(name, np.stack(frames), np.stack(masks), 24.0, True)


def pair(spec: EditSpec, number: int = 0, start: int = 2, clip: str = "disc") -> VideoPair:
    """Three chunks, asked for in one taught and one unseen wording."""
    wordings = (Wording(f"taught {number}", False), Wording(f"unseen {number}", True))
    return VideoPair(number, clip, True, start, 3, spec, wordings)


class ExactStream:
    """Stands in for EditStream: makes the exact edit that ``answers`` gives for a prompt."""

    chunk_frames = 4

    def __init__(self, clip: Clip, start: int, answers: Mapping[str, EditSpec]) -> None:
        self.clip = clip
        self.start = start
        self.answers = answers
        self.done = 0

    def reset(self) -> None:
        self.done = 0

    def encode_text(self, prompt: str) -> EditSpec:
        return self.answers[prompt]

    def edit(self, frames: NDArray[np.uint8], spec: EditSpec, /) -> NDArray[np.uint8]:
        subject = window(self.clip.subject, self.start + self.done, len(frames))
        self.done += len(frames)
        target, _ = apply_edit(tensor(frames), tensor(subject), spec)
        return (target * 255).round().byte().numpy()


def exact_stream(clip: Clip, pairs: Sequence[VideoPair]) -> ExactStream:
    """A stream that understands every wording of ``pairs``, all of one start."""
    answers = {wording.text: one.spec for one in pairs for wording in one.wordings}
    return ExactStream(clip, pairs[0].start, answers)


def tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(pixels).float() / 255
