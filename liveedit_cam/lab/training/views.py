"""A labelled picture through a camera that moves: crops, motion, light. Knows no instruction."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.edits.pictures import (
    LabelledPicture,
    looked_up,
    parts_of,
    person_mask,
    region_mask,
    table_of,
)
from liveedit_cam.lab.edits.regions import UNKNOWN, Region
from liveedit_cam.lab.training.augment import Picture, low_light, noisy, power

MOVING_SHARE = 0.35
"""Share of the views in which the camera moves."""
SMALL = frozenset(("glasses", "hat", "tie", "scarf", "hair", "face", "skin", "cup", "bottle",
                   "bag", "book", "phone", "shoes", "belt", "bird"))  # fmt: skip
"""Things looked at from closer."""
NEAR = frozenset(("hair", "face", "skin", "glasses"))
NEAR_SHARE = 0.15
"""Share of the views of a head that are filled by it."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A few frames of one picture, or one that stands for all where the camera stands still."""

    num_frames: int
    """T."""
    frames: Picture
    """float32 (T, H, W, 3), or (1, H, W, 3), in [0, 1]."""
    labels: NDArray[np.uint8]
    """uint8 (T, 2H, 2W), coarse ids; (1, 2H, 2W) where the camera stands still."""
    fine: NDArray[np.uint8] | None
    picture: LabelledPicture

    def mask(self, *regions: Region) -> Picture:
        """Where any of ``regions`` is, 0..1, float32 (T, H, W) or (1, H, W) as ``labels``."""
        inside = np.zeros(self.labels.shape, np.bool_)
        for region in regions:
            table = table_of(region, self.picture)
            inside |= looked_up(table[0], self.labels)
            if self.fine is not None:
                inside |= looked_up(table[1], self.fine) & (self.labels != UNKNOWN)
        return halved(inside)

    def share(self, region: Region) -> float:
        """About how much of the first frame ``region`` is, 0..1."""
        table = table_of(region, self.picture)
        inside = table[0][self.labels[0, ::4, ::4]]
        if self.fine is not None:
            inside |= table[1][self.fine[0, ::4, ::4]]
        return float(inside.mean())

    def person(self) -> Picture:
        """Where people are, 0..1, float32, as many frames as ``labels``."""
        return halved(person_mask(self.labels))

    def parts(self) -> NDArray[np.uint8]:
        """Which part each pixel is, uint8 like ``labels``, as ``parts_of`` says."""
        return parts_of(self.labels, has_background=self.picture.has_background)

    def known(self) -> Picture:
        """Where somebody looked, 0..1, float32, as many frames as ``labels``."""
        return halved(self.labels != UNKNOWN)


def halved(mask: NDArray[np.bool_]) -> Picture:
    """Mean of 2 x 2 pixels: (T, 2H, 2W) to float32 (T, H, W)."""
    bytes_ = mask.view(np.uint8)
    sums = bytes_[:, ::2, ::2] + bytes_[:, 1::2, ::2] + bytes_[:, ::2, 1::2] + bytes_[:, 1::2, 1::2]
    return np.asarray(sums, np.float32) / np.float32(4)


def photograph(
    picture: LabelledPicture,
    region: Region,
    count: int,
    size: tuple[int, int],
    rng: random.Random,
) -> View:
    """A random view of ``count`` frames of ``size`` (height, width), mostly with ``region``."""
    height, width = size
    matrices = camera(picture, region, count, 2 * height, 2 * width, rng)
    big_size = (2 * width, 2 * height)
    pixels, labels, fine = [], [], []
    for matrix in matrices:
        big = cv2.warpAffine(
            picture.pixels,
            matrix,
            big_size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        pixels.append(cv2.resize(big, (width, height), interpolation=cv2.INTER_AREA))
        flags, border = cv2.INTER_NEAREST, cv2.BORDER_REPLICATE
        labels.append(
            cv2.warpAffine(picture.labels, matrix, big_size, flags=flags, borderMode=border)
        )
        if picture.fine is not None:
            fine.append(
                cv2.warpAffine(picture.fine, matrix, big_size, flags=flags, borderMode=border)
            )
    return View(
        count,
        np.stack(pixels).astype(np.float32) / np.float32(255),
        np.stack(labels).astype(np.uint8),
        np.stack(fine).astype(np.uint8) if fine else None,
        picture,
    )


def camera(
    picture: LabelledPicture,
    region: Region,
    count: int,
    height: int,
    width: int,
    rng: random.Random,
) -> list[NDArray[np.float64]]:
    """From the picture to (height, width), one matrix per frame, or one for all."""
    full_h, full_w = picture.labels.shape
    largest = min(full_h / height, full_w / width)
    closest, farthest = 0.3 if region.name in SMALL and rng.random() < 0.5 else 0.5, 1.0
    off = 0.4
    if region.name in NEAR and rng.random() < NEAR_SHARE:
        closest, farthest, off = 0.2, 0.4, 0.2
    scale = largest * rng.uniform(closest, farthest)
    crop_h, crop_w = height * scale, width * scale
    x = rng.uniform(0, full_w - crop_w) + crop_w / 2
    y = rng.uniform(0, full_h - crop_h) + crop_h / 2
    inside = np.argwhere(region_mask(region, picture))
    if len(inside) and rng.random() < 0.8:  # where it is, somewhere in the view
        at_y, at_x = inside[rng.randrange(len(inside))]
        x = at_x + rng.uniform(-off, off) * crop_w
        y = at_y + rng.uniform(-off, off) * crop_h
        x = min(max(x, crop_w / 2), full_w - crop_w / 2)
        y = min(max(y, crop_h / 2), full_h - crop_h / 2)
    flip = -1 if rng.random() < 0.5 else 1
    angle = rng.gauss(0, 0.06) if rng.random() < 0.4 else 0.0
    moves = rng.random() < MOVING_SHARE
    steps = count if moves else 1
    pan = (rng.gauss(0, 0.9), rng.gauss(0, 0.5))
    zoom, turn = rng.gauss(0, 0.004), rng.gauss(0, 0.003)
    matrices = []
    for t in range(steps):
        factor = math.exp(zoom * t) / scale
        a = angle + turn * t
        cos, sin = factor * math.cos(a), factor * math.sin(a)
        rotation = np.array([[flip * cos, -sin], [flip * sin, cos]])
        centre = np.array([x + pan[0] * t, y + pan[1] * t])
        shift = np.array([width / 2, height / 2]) - rotation @ centre
        matrices.append(np.hstack((rotation, shift[:, None])))
    return matrices


def exposed(frames: Picture, count: int, rng: random.Random) -> Picture:
    """Another camera: gamma, tint, saturation, exposure, noise, blur; colours keep their names.

    One frame stays one, but for half of the noise: that changes from frame to ``count`` frames.
    """
    if rng.random() < 0.15:
        return frames
    out = power(frames, rng.uniform(0.7, 1.35))
    tint = np.array([rng.uniform(0.85, 1.15) for _ in range(3)], np.float32)
    out *= tint * np.float32(math.exp(rng.gauss(0, 0.15)))
    if rng.random() < 0.4:
        grey = np.float32(1 / 3) * (out[..., :1] + out[..., 1:2] + out[..., 2:])
        out = np.asarray(grey + np.float32(rng.uniform(0.4, 1.4)) * (out - grey), np.float32)
    if rng.random() < 0.15:
        sigma = rng.uniform(0.4, 1.2)
        out = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in out])
    out = np.clip(out, 0, 1)
    is_noisy = rng.random() < 0.45
    if is_noisy and len(out) == 1 and rng.random() < 0.5:
        out = np.repeat(out, count, axis=0)
    if is_noisy and rng.random() < 0.17:
        out = low_light(out, rng)
    elif is_noisy:
        out = noisy(out, rng.uniform(0.005, 0.03), rng)
    return np.asarray(out, np.float32)
