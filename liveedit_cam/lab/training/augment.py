"""Other light, other clothes, other places: how few clips become many. Knows no instruction.

Pictures are float32 (T, H, W, 3) in [0, 1], subject masks float32 (T, H, W).
"""

from __future__ import annotations

import math
import random

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.edits.colours import HUES, hue_colour

Picture = NDArray[np.float32]

LIKE_WALL_SHARE = 0.3
"""Share of the newly dressed subjects that wear the mean colour of what is behind them."""


def paste(
    frames: Picture, subject: Picture, behind: Picture, rng: random.Random
) -> tuple[Picture, Picture]:
    """Put the subject before ``behind``, maybe smaller, broader and elsewhere; its foot stays.

    Returns the picture and the mask that goes with it.
    """
    count, height, width = subject.shape
    scale = rng.choice((1.0, rng.uniform(0.55, 1.0)))
    broad = scale * rng.choice((1.0, rng.uniform(0.8, 1.35)))
    shift = rng.uniform(-0.3, 0.3) * width if scale < 1 else 0.0
    matrix = np.array(
        [[broad, 0, (1 - broad) * width / 2 + shift], [0, scale, (1 - scale) * height]], np.float32
    )
    frames, subject = relight(frames, rng), subject.copy()
    out = relight(behind, rng)
    for t in range(count):
        cut = cv2.warpAffine(frames[t], matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        subject[t] = cv2.warpAffine(subject[t], matrix, (width, height))
        out[t] += subject[t][..., None] * (cut - out[t])
    return out, subject


def low_light(frames: Picture, rng: random.Random) -> Picture:
    """A dark room: little light, a yellow or blue cast, coarse noise."""
    cast = np.array([rng.uniform(0.8, 1.1), 1.0, rng.uniform(0.6, 1.1)], np.float32)
    dark = power(frames, rng.uniform(1.0, 1.6))
    dark *= cast * np.float32(rng.uniform(0.2, 0.55))
    return noisy(dark, rng.uniform(0.01, 0.04), rng)


def power(frames: Picture, exponent: float) -> Picture:
    """``frames`` (T, H, W, 3), none below 0, to the power ``exponent``."""
    rows = frames.reshape(-1, 3 * frames.shape[2])
    return np.asarray(cv2.pow(rows, exponent), np.float32).reshape(frames.shape)


def noisy(frames: Picture, deviation: float, rng: random.Random) -> Picture:
    """``frames`` plus Gaussian noise, in [0, 1]."""
    out = np.random.default_rng(rng.getrandbits(32)).standard_normal(frames.shape, np.float32)
    out *= np.float32(deviation)
    out += frames
    return np.clip(out, 0, 1, out=out)


def redress(
    frames: Picture, subject: Picture, rng: random.Random, cloth: Picture | None = None
) -> Picture:
    """Dress the subject anew: bands of other colours from head to foot, its shading kept.

    Few clips hold few shirts; a subject must be told by its shape, not by what it wears: now and
    then it wears the colour of the wall, and where given the pattern of ``cloth`` (H, W, 3).
    """
    wall = _wall_colour(frames, subject) if rng.random() < LIKE_WALL_SHARE else None
    bands = []
    for _ in range(rng.randint(2, 5)):
        value = rng.choice((0.08, 0.95, rng.uniform(0.2, 1.0)))
        if wall is not None:
            bands.append([*(wall + rng.gauss(0, 0.06)), rng.uniform(0.6, 0.97)])
            continue
        colour = hue_colour(rng.random(), rng.choice((0.05, rng.uniform(0.1, 0.9))), value)
        bands.append([*colour, rng.choice((0.0, rng.uniform(0.4, 0.95)))])
    height = subject.shape[1]
    column = np.array(bands, np.float32)[:, None, :]
    field = cv2.resize(column, (1, height), interpolation=cv2.INTER_LINEAR)
    light = frames.mean(axis=3, keepdims=True)
    light = 0.75 + 0.8 * (light - float(light.mean()))
    colours = field[:, :, :3]
    if cloth is not None:
        colours = cloth + 0.4 * (colours - cloth)
    worn = np.clip(colours[None] * light, 0, 1)
    weight = subject[..., None] * field[None, :, :, 3:]
    return np.asarray(frames + weight * (worn - frames), np.float32)


def estrange(frames: Picture, rng: random.Random) -> Picture:
    """Make another place of a known one: closer, upside down, out of focus, each now and then."""
    _, height, width, _ = frames.shape
    if rng.random() < 0.4:
        share = rng.uniform(0.25, 0.7)
        h, w = max(8, int(share * height)), max(8, int(share * width))
        y, x = rng.randint(0, height - h), rng.randint(0, width - w)
        near = [cv2.resize(f[y : y + h, x : x + w], (width, height)) for f in frames]
        frames = np.stack(near).astype(np.float32)
    if rng.random() < 0.3:
        frames = frames[:, ::-1]
    if rng.random() < 0.25:
        sigma = rng.uniform(0.01, 0.05) * height
        frames = np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in frames])
    return np.ascontiguousarray(frames, np.float32)


def hang_folds(frames: Picture, subject: Picture, rng: random.Random) -> Picture:
    """Curtain folds, blinds or boards behind the subject: light and dark stripes, mostly upright.

    Plain walls teach that stripes and shadows are the subject's; they are often the room's.
    """
    _, height, width = subject.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    angle = rng.choice((0.0, 0.0, math.pi / 2, rng.uniform(0, math.pi))) + rng.gauss(0, 0.05)
    across = x * math.cos(angle) + y * math.sin(angle)
    across += rng.uniform(0, 0.03) * np.sin(y * rng.uniform(2, 9) + rng.uniform(0, 6))
    waves = np.sin(2 * math.pi * (rng.uniform(2.5, 14) * across + rng.random()))
    waves = np.sign(waves) * np.abs(waves) ** rng.uniform(0.3, 1.5)
    stripes = 1 + rng.uniform(0.08, 0.4) * waves[None, ..., None]
    return np.asarray(np.clip(frames * (subject[..., None] * (1 - stripes) + stripes), 0, 1))


def inside_bars(height: int, width: int, rng: random.Random) -> Picture:
    """Where a picture with black bars left and right, or above and below, shows something.

    float32 (height, width), 1 or 0; the bars are of equal size, as video players draw them.
    """
    seen = np.ones((height, width), np.float32)
    if rng.random() < 0.7:
        bar = round(rng.uniform(0.06, 0.36) * width)
        seen[:, :bar] = seen[:, width - bar :] = 0
    else:
        bar = round(rng.uniform(0.04, 0.2) * height)
        seen[:bar] = seen[height - bar :] = 0
    return seen


def _wall_colour(frames: Picture, subject: Picture) -> Picture | None:
    """Mean colour (3,) of what is behind the subject; None where nothing is."""
    behind = frames[subject < 0.1]
    return behind.mean(axis=0) if len(behind) else None


def relight(frames: Picture, rng: random.Random) -> Picture:
    """Change colour mix, saturation, exposure and noise as another camera would."""
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
    offset = np.full((3, 1), rng.uniform(-0.05, 0.05), np.float32)
    matrix = np.hstack((mix * (gain * exposure)[:, None], offset))
    rows = frames.reshape(-1, frames.shape[2], 3)
    out = np.asarray(cv2.transform(rows, matrix), np.float32).reshape(frames.shape)
    np.clip(out, 0, 1, out=out)
    if rng.random() < 0.4:
        out = power(out, rng.uniform(0.7, 1.4))
    if rng.random() < 0.12:
        out = low_light(out, rng)
    elif rng.random() < 0.3:
        out = noisy(out, rng.uniform(0.005, 0.03), rng)
    return out


def add_shapes(frames: Picture, subject: Picture, rng: random.Random) -> None:
    """Draw one to three shaded, moving shapes behind the subject, in place."""
    count, height, width = subject.shape
    for _ in range(rng.randint(1, 3)):
        hue = (rng.choice(list(HUES.values())) + rng.gauss(0, 0.025)) % 1.0
        colour = np.array(hue_colour(hue, rng.uniform(0.5, 1), rng.uniform(0.4, 1)), np.float32)
        size = rng.uniform(0.12, 0.4) * height
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        dx, dy = rng.gauss(0, 1.5), rng.gauss(0, 1.0)
        aspect, angle, is_box = rng.uniform(0.5, 1.8), rng.uniform(0, 180), rng.random() < 0.4
        light = np.linspace(rng.uniform(0.6, 1.0), rng.uniform(0.7, 1.15), width, dtype=np.float32)
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
            frames[t] = np.clip(frames[t] * (1 - weight) + (painted + 0.4 * detail) * weight, 0, 1)


def _hue_rotation(angle: float) -> Picture:
    """Matrix that turns colours about the grey axis by ``angle`` radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    third, root = (1 - cos) / 3, math.sqrt(1 / 3) * sin
    a, b, c = cos + third, third - root, third + root
    return np.array([[a, b, c], [c, a, b], [b, c, a]], np.float32)
