"""Seeded training pairs: a real clip, augmented; an instruction; its exact target. No model here.

One sample is a few frames of a clip, cropped, sometimes with its subject pasted over another
clip, sometimes with coloured shapes moving through it, with changed light and colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.clips import Clip, certainty, head_of
from liveedit_cam.lab.edits.colours import NAMES, colour_membership
from liveedit_cam.lab.edits.instructions import Palette, draw_spec, misspell
from liveedit_cam.lab.edits.spec import EditSpec
from liveedit_cam.lab.training.augment import (
    Picture,
    add_shapes,
    estrange,
    hang_folds,
    inside_bars,
    paste,
    redress,
    relight,
)
from liveedit_cam.lab.training.loop import Draws

LOOKS = (
    "black_and_white",
    "sepia",
    "invert",
    "invert",
    "night",
    "warm",
    "cold",
    "lavender",
    "golden",
    "sketch",
    "sketch",
    *("cartoon",) * 6,
    "neon",
    "neon",
    "thermal",
    "thermal",
    "vintage",
    "fog",
    "snow",
    "sunset",
    "sunset",
    "underwater",
    *("pixel_art",) * 3,
    *("spotlight",) * 3,
    *("light",) * 4,
    "darken",
    "brighten",
)
"""Looks that move the latents far, or that neighbours and places decide, are drawn more often."""
ON_SUBJECT = (
    *("recolour:subject", "recolour:background") * 4,
    *("blur:background",) * 4,
    *("gradient:background",) * 3,
    *("black_and_white:subject", "black_and_white:background") * 2,
    *("pixel_art:subject", "pixel_art:background") * 2,
    "brighten:subject",
    "darken:background",
    "invert:subject",
    "invert:background",
    "night:background",
)
SHARES_WITH_SUBJECT = (
    (ON_SUBJECT, 0.49),
    (("two",), 0.06),
    (("identity",), 0.02),
    (LOOKS, 0.18),
    (("strength",), 0.02),
    (("region",), 0.04),
)
SHARES_WITHOUT = (
    (("identity",), 0.03),
    (LOOKS, 0.36),
    (("strength",), 0.04),
    (("region",), 0.08),
    (("recolour",), 0.04),
)
"""Kinds of instruction and their share of the pairs; the rest changes a colour into another."""
INSTRUCTIONS_PER_SCENE = 2
"""A scene costs more to make than an instruction, and two tell what the words change."""
LEAST_WEIGHT = 0.01
"""Of a clip with a subject whose mask is nowhere certain; 1 = a mask that is everywhere."""
CLOTH_SHARE = 0.3
"""Share of the newly dressed subjects that wear what is seen in another clip."""
BARS_SHARE = 0.04
"""Share of pairs with black bars on two sides, which no edit touches: a phone in a call."""
CLOSE_SHARE = 0.25
"""Share of views of clips with a subject that show it as a webcam does: its head and shoulders."""
DRAWN_SHARE = 0.18
"""Share of pairs whose clip is a drawn one, where there are any."""

MISSPELT_SHARE = 0.6
"""Share of pairs whose instruction is written as the text encoder learnt to read it."""


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A source and an instruction; the exact target is made where and when it is asked for.

    A picture before a camera that stands still is one frame, which stands for all ``num_frames``.
    """

    num_frames: int
    """T."""
    source: Tensor
    """float32 (T, H, W, 3), or (1, H, W, 3), in [0, 1]."""
    subject: Tensor
    """float32 (T, H, W), or (1, H, W); the subject mask, for the auxiliary head."""
    has_subject: bool
    """Whether the subject mask means anything."""
    prompt: str
    spec: EditSpec
    known: Tensor | None = None
    """float32 (T, H, W), or (1, H, W); where the target is known, 0..1. None = everywhere."""
    parts: Tensor | None = None
    """uint8 (T, 2H, 2W), or (1, 2H, 2W); which of ``regions.PARTS`` each pixel is, 255 = unknown.
    None = all."""
    shown: Tensor | None = None
    """float32 (1, H, W), 0 where black bars are, which no edit touches; None = no bars."""

    def target(self) -> Tensor:
        """The exact target, float32 like ``source``, on its device."""
        subject = self.subject.expand(self.source.shape[:3])
        target, _ = apply_edit(self.source, subject, self.spec)
        return target if self.shown is None else target * self.shown[..., None]


class PairMaker:
    """Draws augmented pairs from clips; one seed, one sequence."""

    def __init__(
        self, clips: Sequence[Clip], palette: Palette, seed: int, drawn: Sequence[Clip] = ()
    ) -> None:
        """``clips`` are the training split; ``drawn`` are extra, all with a subject."""
        self.clips = list(clips)
        self.with_subject = [clip for clip in clips if clip.has_subject] or self.clips
        self._weights = [
            max(LEAST_WEIGHT, certainty(clip.subject) ** 2) for clip in self.with_subject
        ]
        self.drawn = list(drawn)
        self.palette = palette
        self.draws = Draws(seed)
        self.rng = self.draws.rng

    def pairs(
        self, count: int, num_latents: int, frames_per_latent: int, height_px: int, width_px: int
    ) -> list[Pair]:
        """Draw ``count`` pairs, each scene with ``INSTRUCTIONS_PER_SCENE`` instructions.

        The first of several latents may lie further back in the clip, as sinks do.
        """
        made: list[Pair] = []
        while len(made) < count:
            scene = self._scene(num_latents, frames_per_latent, (height_px, width_px))
            made += [self._pair(*scene) for _ in range(INSTRUCTIONS_PER_SCENE)]
        return made[:count]

    def _pair(self, source: Tensor, subject: Tensor, has_subject: bool) -> Pair:
        spec, prompt = self._instruction(source, has_subject)
        if self.rng.random() < MISSPELT_SHARE:
            prompt = misspell(prompt, self.rng)
        shown = None
        if self.rng.random() < BARS_SHARE:
            _, height, width = subject.shape
            shown = torch.from_numpy(inside_bars(height, width, self.rng))[None]
            source, subject = source * shown[..., None], subject * shown
        return Pair(len(source), source, subject, has_subject, prompt, spec, shown=shown)

    def _scene(
        self, num_latents: int, frames_per_latent: int, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, bool]:
        """Source (T, H, W, 3), its subject mask (T, H, W), and whether that means anything."""
        rng = self.rng
        needs_subject = rng.random() < 0.7
        clip = rng.choice(self.clips)
        if needs_subject:
            (clip,) = rng.choices(self.with_subject, self._weights)
        if self.drawn and rng.random() < DRAWN_SHARE:
            clip = rng.choice(self.drawn)
        offsets = self._frame_offsets(num_latents, frames_per_latent)
        frames, subject = self.view(clip, offsets, size)
        if needs_subject and rng.random() < 0.5:
            frames, subject = self._over_other_clip(frames, subject, offsets, size)
        if rng.random() < 0.4:
            frames = redress(frames, subject, rng, self._cloth(size))
        if rng.random() < 0.15:
            frames = hang_folds(frames, subject, rng)
        frames = relight(frames, rng)
        has_subject = clip.has_subject and 0.015 < float(subject.mean()) < 0.9
        if rng.random() < (0.15 if has_subject else 0.7):
            add_shapes(frames, subject, rng)
        return torch.from_numpy(frames), torch.from_numpy(subject), has_subject

    def _cloth(self, size: tuple[int, int]) -> Picture | None:
        """Now and then something of a clip to wear, (H, W, 3)."""
        if self.rng.random() > CLOTH_SHARE:
            return None
        view, _ = self.view(self.rng.choice(self.clips), np.zeros(1, np.int64), size)
        cloth: Picture = estrange(view, self.rng)[0]
        return cloth

    def _frame_offsets(self, num_latents: int, frames_per_latent: int) -> NDArray[np.int64]:
        offsets = np.arange(num_latents * frames_per_latent)
        if num_latents > 1:
            offsets[frames_per_latent:] += frames_per_latent * self.rng.randint(0, 12)
        return offsets

    def _instruction(self, source: Tensor, has_subject: bool) -> tuple[EditSpec, str]:
        rng, kind = self.rng, self.rng.random()
        shares = SHARES_WITH_SUBJECT if has_subject else SHARES_WITHOUT
        for kinds, share in shares:
            if kind < share:
                return draw_spec(rng, self.palette, kinds)
            kind -= share
        return self._colour_change(source)

    def _colour_change(self, source: Tensor) -> tuple[EditSpec, str]:
        """REPLACE_COLOUR of a colour that is there; now and then of one that is not."""
        small = source[:, ::4, ::4]
        shares = {name: float(colour_membership(small, name).mean()) for name in NAMES}
        present = [name for name, share in shares.items() if share > 0.01]
        while True:
            spec, prompt = draw_spec(self.rng, self.palette, ("replace_colour",))
            if spec.from_colour in present or not present or self.rng.random() < 0.05:
                return spec, prompt

    def view(
        self, clip: Clip, offsets: NDArray[np.int64], size: tuple[int, int]
    ) -> tuple[Picture, Picture]:
        """A random crop with a slow pan, maybe mirrored; float32 (T, H, W, 3) and (T, H, W)."""
        rng, (height, width) = self.rng, size
        count, full_h, full_w = clip.subject.shape
        stride = 1 if clip.fps < 22 or rng.random() < 0.7 else 2
        stride = stride if int(offsets[-1]) * stride < count else 1
        start = rng.randrange(max(1, count - int(offsets[-1]) * stride))
        index = np.minimum(start + stride * offsets, count - 1)
        top, left, crop_h, crop_w = self._window(clip, int(index[0]), size)
        pan_y, pan_x = (rng.gauss(0, 0.6) if rng.random() < 0.4 else 0.0 for _ in range(2))
        flip = rng.random() < 0.5
        frames = np.empty((len(index), height, width, 3), np.float32)
        subject = np.empty((len(index), height, width), np.float32)
        for t, i in enumerate(index):
            y = int(np.clip(top + pan_y * t, 0, full_h - crop_h))
            x = int(np.clip(left + pan_x * t, 0, full_w - crop_w))
            window = (i, slice(y, y + crop_h), slice(x, x + crop_w))
            frames[t] = cv2.resize(
                clip.frames[window], (width, height), interpolation=cv2.INTER_AREA
            )
            subject[t] = cv2.resize(clip.subject[window], (width, height))
        if flip:
            frames, subject = frames[:, :, ::-1], subject[:, :, ::-1]
        return frames / np.float32(255), subject / np.float32(255)

    def _window(
        self, clip: Clip, frame: int, size: tuple[int, int]
    ) -> tuple[float, float, int, int]:
        """Top, left, height and width of a crop: anywhere, or around the subject's head."""
        rng, (height, width) = self.rng, size
        _, full_h, full_w = clip.subject.shape
        largest = min(full_h / height, full_w / width)
        scale = largest * rng.uniform(0.5, 1.0) ** 0.7
        is_close = clip.has_subject and rng.random() < CLOSE_SHARE
        head = head_of(clip.subject[frame]) if is_close else None
        if head is not None:
            scale = min(largest, max(0.35 * largest, head[2] * rng.uniform(0.4, 0.9) / height))
        crop_h, crop_w = min(full_h, round(height * scale)), min(full_w, round(width * scale))
        top, left = rng.uniform(0, full_h - crop_h), rng.uniform(0, full_w - crop_w)
        if head is not None:
            top = head[0] - rng.uniform(0.02, 0.3) * crop_h
            left = head[1] - rng.uniform(0.25, 0.75) * crop_w
        return top, left, crop_h, crop_w

    def _over_other_clip(
        self,
        frames: Picture,
        subject: Picture,
        offsets: NDArray[np.int64],
        size: tuple[int, int],
    ) -> tuple[Picture, Picture]:
        """Paste the subject over a view of another clip that shows little of its own subject."""
        for _ in range(3):
            behind, other = self.view(self.rng.choice(self.clips), offsets, size)
            if float(other.mean()) < 0.12:
                return paste(frames, subject, estrange(behind, self.rng), self.rng)
        return frames, subject
