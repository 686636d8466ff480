"""Drawn scenes as training clips: flat rooms and head-and-shoulders figures, with exact masks.

Real clips are few. A drawn figure teaches where a subject is by its shape, in any colour, at any
size, and flat surfaces teach edits that real texture would hide.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.edits.colours import hue_colour

HEIGHT_PX, WIDTH_PX, NUM_FRAMES = 216, 384, 24
Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]
Part = Callable[[Picture, float, float], None]
"""Draws one part of the figure, moved by so many pixels to the right and down."""

SKINS = ((236, 200, 176), (214, 164, 130), (176, 120, 88), (120, 78, 54), (78, 52, 40))


def drawn_clips(count: int, seed: int) -> list[Clip]:
    """``count`` scenes of 24 frames, 216x384, each with a swaying figure."""
    rng = random.Random(seed)
    return [_clip(rng, f"drawn-{index}") for index in range(count)]


def _clip(rng: random.Random, name: str) -> Clip:
    room = _room(rng)
    parts = _figure(rng)
    front = _table(rng) if rng.random() < 0.4 else None
    sway = (rng.gauss(0, 0.8), rng.gauss(0, 0.3))
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 3, room.shape)
    frames, masks = [], []
    for t in range(NUM_FRAMES):
        picture, mask = room.copy(), np.zeros_like(room)
        dx, dy = sway[0] * t + 3 * np.sin(t / 5), sway[1] * t
        for part in parts:
            part(picture, dx, dy)
        for part in parts:
            part(mask, dx, dy)
        mask = np.where(mask.any(axis=2, keepdims=True), 255, 0).astype(np.uint8)[..., 0]
        if front is not None:
            picture[front[0] :] = front[1]
            mask[front[0] :] = 0
        frames.append(np.clip(picture + grain, 0, 255).astype(np.uint8))
        masks.append(cv2.GaussianBlur(mask, (3, 3), 0))
    return Clip(name, np.stack(frames), np.stack(masks).astype(np.uint8), 24.0, True)


def _colour(rng: random.Random) -> Colour:
    """Any colour but pure black, which stands for "nothing drawn" in the mask."""
    pale = rng.random() < 0.35
    saturation = rng.uniform(0, 0.25) if pale else rng.uniform(0.2, 0.95)
    red, green, blue = hue_colour(rng.random(), saturation, rng.uniform(0.15, 1.0))
    return (max(1, int(255 * red)), int(255 * green), int(255 * blue))


def _room(rng: random.Random) -> Picture:
    """A wall from one colour to another, with a few windows, pictures and lamps."""
    ends = np.array([[_colour(rng)], [_colour(rng)]], np.float32)
    if rng.random() < 0.6:
        ends[1] = np.clip(ends[0] * rng.uniform(0.75, 1.1), 0, 255)
    room = cv2.resize(ends, (WIDTH_PX, HEIGHT_PX)).astype(np.uint8)
    for _ in range(rng.randint(1, 7)):
        x, y = rng.randrange(WIDTH_PX), rng.randrange(HEIGHT_PX)
        w, h = rng.randint(15, 110), rng.randint(15, 90)
        if rng.random() < 0.7:
            cv2.rectangle(room, (x, y), (x + w, y + h), _colour(rng), -1, cv2.LINE_AA)
            cv2.rectangle(
                room, (x, y), (x + w, y + h), _colour(rng), rng.randint(1, 4), cv2.LINE_AA
            )
        else:
            cv2.ellipse(room, (x, y), (w // 2, h // 2), 0, 0, 360, _colour(rng), -1, cv2.LINE_AA)
    return np.asarray(room, np.uint8)


def _table(rng: random.Random) -> tuple[int, Colour]:
    return rng.randint(int(0.72 * HEIGHT_PX), int(0.92 * HEIGHT_PX)), _colour(rng)


def _figure(rng: random.Random) -> list[Part]:
    """Hair, shoulders, neck, face, fringe, eyes: from back to front."""
    head = rng.uniform(0.10, 0.30) * HEIGHT_PX
    x, y = rng.uniform(0.2, 0.8) * WIDTH_PX, rng.uniform(0.15, 0.55) * HEIGHT_PX
    skin: Colour = rng.choice(SKINS)
    hair, shirt = _colour(rng), _colour(rng)
    wide, long = rng.uniform(1.3, 2.1) * head, rng.uniform(0.9, 2.4) * head
    shoulders = y + 1.5 * head

    def ellipse(
        cx: float, cy: float, rx: float, ry: float, colour: Colour, half: bool = False
    ) -> Part:
        def draw(picture: Picture, dx: float, dy: float) -> None:
            centre, axes = (int(cx + dx), int(cy + dy)), (max(1, int(rx)), max(1, int(ry)))
            start, end = (180, 360) if half else (0, 360)
            cv2.ellipse(picture, centre, axes, 0, start, end, colour, -1, cv2.LINE_AA)

        return draw

    def body(picture: Picture, dx: float, dy: float) -> None:
        half = [(0.5 * wide, shoulders), (0.9 * wide, shoulders + 0.5 * head)]
        half.append((wide, HEIGHT_PX + 9.0))
        outline = [*((-px, py) for px, py in reversed(half)), *half]
        points = np.array([(x + dx + px, py + dy) for px, py in outline], np.int32)
        cv2.fillPoly(picture, [points], shirt, cv2.LINE_AA)

    eye = (20, 20, 24)
    return [
        ellipse(x, y + 0.2 * long, 0.95 * head, long, hair),
        body,
        ellipse(x, y + 1.1 * head, 0.35 * head, 0.7 * head, skin),
        ellipse(x, y, 0.72 * head, head, skin),
        ellipse(x, y - 0.35 * head, 0.8 * head, 0.75 * head, hair, half=True),
        ellipse(x - 0.28 * head, y, 0.08 * head, 0.08 * head, eye),
        ellipse(x + 0.28 * head, y, 0.08 * head, 0.08 * head, eye),
    ]
