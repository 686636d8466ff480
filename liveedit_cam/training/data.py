"""Seeded training pairs: a real clip, augmented; an instruction; its exact target. No model here.

One sample is a few frames of a clip, cropped, sometimes with its subject pasted over another
clip, sometimes with coloured shapes moving through it, with changed light and colours.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.training.clips import Clip
from liveedit_cam.training.edits import (
    HUES,
    EditSpec,
    apply_edit,
    colour_membership,
    hue_colour,
)
from liveedit_cam.training.instructions import Palette, draw_spec

WHOLE_FAMILIES = (
    "black_and_white",
    "sepia",
    "invert",
    "invert",
    "invert",
    "night",
    "warm",
    "cold",
    "lavender",
    "golden",
)
"""Inverting moves every latent value furthest, so it is drawn three times as often."""
SUBJECT_FAMILIES = (
    "recolour:subject",
    "recolour:subject",
    "recolour:background",
    "recolour:background",
    "blur:background",
    "black_and_white:subject",
    "black_and_white:background",
)
DRAWN_SHARE = 0.18
"""Share of pairs whose clip is a drawn one, where there are any."""
Picture = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """A source, an instruction and the exact target."""

    source: Tensor
    """float32 (T, H, W, 3) in [0, 1]."""
    target: Tensor
    subject: Tensor
    """float32 (T, H, W); the subject mask, for the auxiliary head."""
    has_subject: bool
    """Whether the subject mask means anything."""
    prompt: str
    spec: EditSpec


class PairMaker:
    """Draws augmented pairs from clips; one seed, one sequence."""

    def __init__(
        self, clips: Sequence[Clip], palette: Palette, seed: int, drawn: Sequence[Clip] = ()
    ) -> None:
        """``clips`` are the training split, one of them with a subject; ``drawn`` are extra."""
        self.clips = list(clips)
        self.with_subject = [clip for clip in clips if clip.has_subject]
        self.drawn = list(drawn)
        self.palette = palette
        self.rng = random.Random(seed)

    def pair(self, num_latents: int, frames_per_latent: int, height_px: int, width_px: int) -> Pair:
        """Draw one pair; the first of several latents may lie further back, as sinks do."""
        rng = self.rng
        needs_subject = rng.random() < 0.7
        clip = rng.choice(self.with_subject if needs_subject else self.clips)
        if self.drawn and rng.random() < DRAWN_SHARE:
            clip = rng.choice(self.drawn)
        size = (height_px, width_px)
        offsets = self._frame_offsets(num_latents, frames_per_latent)
        frames, subject = self._view(clip, offsets, size)
        if needs_subject and rng.random() < 0.5:
            frames = self._over_other_clip(frames, subject, offsets, size)
        if rng.random() < 0.4:
            frames = self._redress(frames, subject)
        frames = self._relight(frames)
        has_subject = clip.has_subject and 0.015 < float(subject.mean()) < 0.9
        if rng.random() < (0.15 if has_subject else 0.7):
            self._add_shapes(frames, subject)
        source, mask = torch.from_numpy(frames), torch.from_numpy(subject)
        spec, prompt = self._instruction(source, has_subject)
        target, _ = apply_edit(source, mask, spec)
        return Pair(source, target, mask, has_subject, prompt, spec)

    def _frame_offsets(self, num_latents: int, frames_per_latent: int) -> NDArray[np.int64]:
        offsets = np.arange(num_latents * frames_per_latent)
        if num_latents > 1:
            offsets[frames_per_latent:] += frames_per_latent * self.rng.randint(0, 12)
        return offsets

    def _instruction(self, source: Tensor, has_subject: bool) -> tuple[EditSpec, str]:
        rng, kind = self.rng, self.rng.random()
        if has_subject and kind < 0.50:
            return draw_spec(rng, self.palette, SUBJECT_FAMILIES)
        if kind < 0.53:
            return draw_spec(rng, self.palette, ("identity",))
        if kind < 0.73:
            return draw_spec(rng, self.palette, WHOLE_FAMILIES)
        if kind < 0.75:
            return draw_spec(rng, self.palette, ("recolour",))
        return self._colour_change(source)

    def _colour_change(self, source: Tensor) -> tuple[EditSpec, str]:
        """REPLACE_COLOUR of a colour that is there; now and then of one that is not."""
        small = source[:, ::4, ::4]
        shares = {name: float(colour_membership(small, hue).mean()) for name, hue in HUES.items()}
        present = [name for name, share in shares.items() if share > 0.01]
        while True:
            spec, prompt = draw_spec(self.rng, self.palette, ("replace_colour",))
            if spec.from_colour in present or not present or self.rng.random() < 0.05:
                return spec, prompt

    def _view(
        self, clip: Clip, offsets: NDArray[np.int64], size: tuple[int, int]
    ) -> tuple[Picture, Picture]:
        """A random crop with a slow pan, maybe mirrored; float32 (T, H, W, 3) and (T, H, W)."""
        rng, (height, width) = self.rng, size
        count, full_h, full_w = clip.subject.shape
        stride = 1 if clip.fps < 22 or rng.random() < 0.7 else 2
        stride = stride if int(offsets[-1]) * stride < count else 1
        start = rng.randrange(max(1, count - int(offsets[-1]) * stride))
        index = np.minimum(start + stride * offsets, count - 1)
        largest = min(full_h / height, full_w / width)
        scale = largest * rng.uniform(0.5, 1.0) ** 0.7
        crop_h, crop_w = min(full_h, round(height * scale)), min(full_w, round(width * scale))
        top, left = rng.uniform(0, full_h - crop_h), rng.uniform(0, full_w - crop_w)
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

    def _over_other_clip(
        self,
        frames: Picture,
        subject: Picture,
        offsets: NDArray[np.int64],
        size: tuple[int, int],
    ) -> Picture:
        """Paste the subject over a view of another clip, relit on its own."""
        for _ in range(3):
            behind, other = self._view(self.rng.choice(self.clips), offsets, size)
            if float(other.mean()) < 0.12:
                break
        else:
            return frames
        weight = subject[..., None]
        return self._relight(frames) * weight + self._relight(behind) * (1 - weight)

    def _redress(self, frames: Picture, subject: Picture) -> Picture:
        """Dress the subject anew: bands of other colours from head to foot, its shading kept.

        Few clips hold few shirts; a subject must be told by its shape, not by what it wears.
        """
        rng = self.rng
        bands = []
        for _ in range(rng.randint(2, 5)):
            value = rng.choice((0.08, 0.95, rng.uniform(0.2, 1.0)))
            colour = hue_colour(rng.random(), rng.choice((0.05, rng.uniform(0.1, 0.9))), value)
            bands.append([*colour, rng.choice((0.0, rng.uniform(0.4, 0.95)))])
        height = subject.shape[1]
        column = np.array(bands, np.float32)[:, None, :]
        field = cv2.resize(column, (1, height), interpolation=cv2.INTER_LINEAR)
        light = frames.mean(axis=3, keepdims=True)
        light = 0.75 + 0.8 * (light - float(light.mean()))
        cloth = np.clip(field[None, :, :, :3] * light, 0, 1)
        weight = subject[..., None] * field[None, :, :, 3:]
        return np.asarray(frames + weight * (cloth - frames), np.float32)

    def _relight(self, frames: Picture) -> Picture:
        """Change colour mix, saturation, exposure and noise as another camera would."""
        rng = self.rng
        if rng.random() < 0.25:
            return frames
        mix = np.eye(3, dtype=np.float32)
        if rng.random() < 0.3:
            mix = _hue_rotation(rng.uniform(-math.pi, math.pi))
        saturation = rng.uniform(0.5, 1.5)
        grey = np.full((3, 3), 1 / 3, np.float32)
        mix = (saturation * np.eye(3) + (1 - saturation) * grey).astype(np.float32) @ mix
        gain = np.array([rng.uniform(0.85, 1.15) for _ in range(3)], np.float32)
        exposure = math.exp(rng.gauss(0, 0.25))
        out = np.clip(
            frames @ (mix * (gain * exposure)[:, None]).T + rng.uniform(-0.05, 0.05), 0, 1
        )
        if rng.random() < 0.4:
            out = out ** rng.uniform(0.7, 1.4)
        if rng.random() < 0.3:
            noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(
                out.shape, np.float32
            )
            out = np.clip(out + noise * rng.uniform(0.005, 0.03), 0, 1)
        return np.asarray(out, np.float32)

    def _add_shapes(self, frames: Picture, subject: Picture) -> None:
        """Draw one to three shaded, moving shapes behind the subject, in place."""
        rng = self.rng
        count, height, width = subject.shape
        for _ in range(rng.randint(1, 3)):
            hue = (rng.choice(list(HUES.values())) + rng.gauss(0, 0.025)) % 1.0
            colour = np.array(hue_colour(hue, rng.uniform(0.5, 1), rng.uniform(0.4, 1)), np.float32)
            size = rng.uniform(0.12, 0.4) * height
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            dx, dy = rng.gauss(0, 1.5), rng.gauss(0, 1.0)
            aspect, angle, is_box = rng.uniform(0.5, 1.8), rng.uniform(0, 180), rng.random() < 0.4
            light = np.linspace(
                rng.uniform(0.6, 1.0), rng.uniform(0.7, 1.15), width, dtype=np.float32
            )
            for t in range(count):
                shape = np.zeros((height, width), np.float32)
                box = ((x + dx * t, y + dy * t), (size * aspect, size / aspect), angle)
                if is_box:
                    cv2.fillConvexPoly(shape, cv2.boxPoints(box).astype(np.int32), 1.0, cv2.LINE_AA)
                else:
                    cv2.ellipse(shape, box, 1.0, -1, cv2.LINE_AA)
                weight = (np.clip(shape, 0, 1) * (1 - subject[t]))[..., None]
                painted = np.clip(colour * light[None, :, None], 0, 1)
                detail = frames[t] - cv2.blur(frames[t], (9, 9))
                frames[t] = np.clip(
                    frames[t] * (1 - weight) + (painted + 0.4 * detail) * weight, 0, 1
                )


def _hue_rotation(angle: float) -> Picture:
    """Matrix that turns colours about the grey axis by ``angle`` radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    third, root = (1 - cos) / 3, math.sqrt(1 / 3) * sin
    a, b, c = cos + third, third - root, third + root
    return np.array([[a, b, c], [c, a, b], [b, c, a]], np.float32)
