"""The figures of the synthetic scene. Knows shapes and colours, not time.

Everything is drawn at twice its size and averaged down, which makes smooth edges cheap.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.types import Pixels

Colour = tuple[int, int, int]
Point = tuple[float, float]

_SCALE = 2
TABLE_TOP = 560
"""Row where the table of ``background`` begins; who sits behind it ends there."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A figure with soft edges."""

    rgba: Pixels
    """uint8 (H, W, 4): RGB already multiplied by the alpha in the fourth channel."""


def paste(canvas: Pixels, sprite: Sprite, x: float, y: float, degrees: float = 0.0) -> None:
    """Lay ``sprite`` onto ``canvas`` (H, W, 3) with its centre at (x, y), turned by ``degrees``.

    Positions are exact to a fraction of a pixel; what lies outside the canvas is cut off.
    """
    height, width = sprite.rgba.shape[:2]
    left, top = int(np.floor(x - width / 2)), int(np.floor(y - height / 2))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += (x - width / 2 - left, y - height / 2 - top)
    moved = cv2.warpAffine(sprite.rgba, matrix, (width + 1, height + 1), flags=cv2.INTER_LINEAR)
    y0, y1 = max(0, top), min(canvas.shape[0], top + height + 1)
    x0, x1 = max(0, left), min(canvas.shape[1], left + width + 1)
    if y0 >= y1 or x0 >= x1:
        return
    part = moved[y0 - top : y1 - top, x0 - left : x1 - left]
    clear = cv2.cvtColor(cv2.bitwise_not(part[..., 3]), cv2.COLOR_GRAY2RGB)
    below = cv2.multiply(canvas[y0:y1, x0:x1], clear, scale=1 / 255)
    canvas[y0:y1, x0:x1] = cv2.add(below, part[..., :3])


class _Pen:
    """Draws on a see-through sheet; coordinates are pixels of the finished figure."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self._rgb: Pixels = np.zeros((height * _SCALE, width * _SCALE, 3), np.uint8)
        self._alpha: Pixels = np.zeros((height * _SCALE, width * _SCALE), np.uint8)

    def ellipse(self, centre: Point, axes: Point, colour: Colour, arc: Point = (0, 360)) -> None:
        where, radii = _ints(centre), _ints(axes)
        cv2.ellipse(self._rgb, where, radii, 0, arc[0], arc[1], colour, -1)
        cv2.ellipse(self._alpha, where, radii, 0, arc[0], arc[1], 255, -1)

    def polygon(self, points: list[Point], colour: Colour) -> None:
        corners = np.array([_ints(point) for point in points], np.int32)
        cv2.fillPoly(self._rgb, [corners], colour)
        cv2.fillPoly(self._alpha, [corners], 255)

    def line(self, start: Point, end: Point, colour: Colour, thickness: float) -> None:
        width = max(1, round(thickness * _SCALE))
        cv2.line(self._rgb, _ints(start), _ints(end), colour, width)
        cv2.line(self._alpha, _ints(start), _ints(end), 255, width)

    def ring(self, centre: Point, axes: Point, colour: Colour, thickness: float) -> None:
        width = max(1, round(thickness * _SCALE))
        cv2.ellipse(self._rgb, _ints(centre), _ints(axes), 0, 0, 360, colour, width)
        cv2.ellipse(self._alpha, _ints(centre), _ints(axes), 0, 0, 360, 255, width)

    def shade(self, dark: float, seed: int, grain: float = 5.0) -> None:
        """Darken towards the right and the bottom by ``dark`` (0..1) and add a fixed grain."""
        height, width = self._alpha.shape
        across = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
        down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        noise = _noise(height, width, seed) * grain
        lit = self._rgb * (1 + dark / 2 - dark * (0.65 * across + 0.35 * down)) + noise[..., None]
        self._rgb = np.clip(lit, 0, 255).astype(np.uint8)

    def sprite(self) -> Sprite:
        alpha = self._alpha[..., None].astype(np.float32)
        sheet = np.concatenate([self._rgb * (alpha / 255), alpha], axis=2)
        small = cv2.resize(sheet, self.size, interpolation=cv2.INTER_AREA)
        return Sprite(rgba=np.rint(small).astype(np.uint8))


def person() -> Sprite:
    """Head, hair, neck and shirt down to the table, 430 x 440 pixels, facing the viewer."""
    pen = _Pen(430, 440)
    skin, hair, shirt = (226, 178, 148), (74, 48, 34), (64, 126, 138)
    pen.ellipse((215, 150), (98, 122), hair)
    pen.ellipse((215, 474), (186, 178), shirt)
    pen.ellipse((215, 319), (62, 34), (46, 100, 112))
    pen.polygon([(180, 225), (250, 225), (256, 309), (215, 338), (174, 309)], (204, 154, 126))
    pen.ellipse((137, 172), (13, 25), (214, 164, 136))
    pen.ellipse((293, 172), (13, 25), (214, 164, 136))
    pen.ellipse((215, 170), (78, 100), skin)
    pen.ellipse((215, 112), (84, 66), hair, (180, 360))
    pen.ellipse((176, 112), (46, 30), hair, (0, 180))
    for side in (-1, 1):
        eye = (215 + side * 32, 172)
        pen.ellipse(eye, (13, 8), (250, 248, 244))
        pen.ellipse(eye, (6.5, 7), (58, 74, 88))
        pen.line((eye[0] - 15, 152), (eye[0] + 15, 151), (92, 62, 46), 4)
        pen.ellipse((215 + side * 46, 210), (15, 9), (230, 164, 140))
    pen.polygon([(215, 180), (206, 212), (224, 212)], (208, 156, 128))
    pen.ellipse((215, 232), (27, 13), (186, 88, 84), (0, 180))
    for y in (364, 400):
        pen.ellipse((215, y), (5, 5), (228, 236, 238))
    pen.shade(0.22, seed=1)
    return pen.sprite()


def cup() -> Sprite:
    """A red cup with a handle, 130 x 120 pixels."""
    pen = _Pen(130, 120)
    pen.ring((98, 60), (19, 24), (176, 34, 34), 9)
    pen.polygon([(16, 18), (98, 18), (88, 104), (26, 104)], (206, 44, 40))
    pen.ellipse((57, 104), (31, 10), (206, 44, 40))
    pen.ellipse((57, 18), (41, 12), (232, 92, 84))
    pen.ellipse((57, 20), (34, 8), (70, 40, 28))
    pen.line((31, 42), (35, 88), (238, 126, 116), 6)
    pen.shade(0.35, seed=2)
    return pen.sprite()


def ball() -> Sprite:
    """A blue ball with a pale stripe, so that one sees it turn, 116 x 116 pixels."""
    pen = _Pen(116, 116)
    pen.ellipse((58, 58), (50, 50), (38, 92, 206))
    pen.ellipse((58, 58), (50, 16), (196, 214, 246))
    pen.ellipse((58, 58), (50, 8), (38, 92, 206))
    pen.ellipse((40, 32), (12, 8), (150, 186, 250))
    pen.shade(0.3, seed=3)
    return pen.sprite()


def book() -> Sprite:
    """A yellow book standing a little open, 150 x 130 pixels."""
    pen = _Pen(150, 130)
    pen.polygon([(18, 16), (122, 10), (134, 16), (134, 116), (30, 122), (18, 116)], (236, 232, 220))
    pen.polygon([(14, 18), (118, 12), (118, 112), (14, 120)], (240, 192, 44))
    pen.polygon([(14, 18), (28, 17), (28, 119), (14, 120)], (202, 152, 26))
    pen.polygon([(42, 40), (104, 36), (104, 54), (42, 58)], (252, 240, 198))
    pen.line((42, 74), (92, 71), (202, 152, 26), 4)
    pen.line((42, 86), (82, 84), (202, 152, 26), 4)
    pen.shade(0.2, seed=4)
    return pen.sprite()


def plant() -> Sprite:
    """A green plant in a clay pot, 230 x 340 pixels."""
    pen = _Pen(230, 340)
    greens: tuple[Colour, ...] = ((46, 128, 62), (62, 152, 74), (38, 108, 54), (84, 168, 88))
    tips = ((30, 96), (66, 40), (116, 16), (168, 44), (204, 104), (52, 160), (180, 164), (114, 88))
    for number, (x, y) in enumerate(tips):
        colour = greens[number % len(greens)]
        mid = ((x + 115) / 2, (y + 240) / 2)
        wide = 15 if abs(x - 115) < 60 else 19
        pen.polygon([(x, y), (mid[0] + wide, mid[1]), (117, 246), (mid[0] - wide, mid[1])], colour)
        pen.line((x, y), (115, 240), (30, 84, 44), 1.5)
    pen.polygon([(66, 240), (164, 240), (150, 328), (80, 328)], (184, 104, 66))
    pen.polygon([(60, 232), (170, 232), (170, 254), (60, 254)], (200, 118, 78))
    pen.shade(0.28, seed=5, grain=7)
    return pen.sprite()


def background(width: int, height: int) -> Pixels:
    """A room with a window onto a sky, a picture and a wooden table: uint8 (H, W, 3) RGB.

    Laid out for 1280x720.
    """
    assert (width, height) == (1280, 720), (
        f"the room is laid out for 1280x720, not {width}x{height}"
    )
    room = _gradient(height, width, (214, 204, 190), (176, 164, 152))
    room += _noise(height, width, 11)[..., None] * 3.0
    room[60:360, 90:430] = (240, 238, 232)
    room[72:348, 102:418] = _sky(276, 316)
    room[72:348, 256:264] = (240, 238, 232)
    room[206:214, 102:418] = (240, 238, 232)
    room[360:374, 76:444] = (226, 222, 214)
    room[96:270, 850:1010] = (92, 74, 60)
    room[106:260, 860:1000] = _gradient(154, 140, (242, 206, 150), (188, 92, 96))
    cv2.circle(room, (930, 190), 30, (252, 236, 196), -1, cv2.LINE_AA)
    room[TABLE_TOP:] = _wood(height - TABLE_TOP, width)
    room[TABLE_TOP : TABLE_TOP + 5] += 22
    return np.clip(room, 0, 255).astype(np.uint8)


def _sky(height: int, width: int) -> NDArray[np.float32]:
    """Colours 0..255, shape (H, W, 3); so are those of the two below."""
    sky = _gradient(height, width, (98, 164, 226), (214, 232, 244))
    for x, y, size in ((60, 60, 26), (92, 70, 34), (128, 66, 22), (230, 104, 24), (258, 110, 18)):
        cv2.ellipse(sky, (x, y), (size, size // 2), 0, 0, 360, (250, 250, 250), -1, cv2.LINE_AA)
    cv2.ellipse(sky, (70, height + 20), (190, 90), 0, 0, 360, (110, 158, 98), -1, cv2.LINE_AA)
    cv2.ellipse(sky, (280, height + 30), (170, 80), 0, 0, 360, (86, 136, 82), -1, cv2.LINE_AA)
    return sky


def _wood(height: int, width: int) -> NDArray[np.float32]:
    """Boards with streaks, shape (H, W, 3)."""
    table = _gradient(height, width, (152, 104, 66), (110, 72, 44))
    streaks = cv2.GaussianBlur(_noise(height, width, 12), (0, 0), sigmaX=40, sigmaY=1.2)
    return table + (streaks * 130)[..., None] + _noise(height, width, 13)[..., None] * 2.5


def _gradient(height: int, width: int, top: Colour, bottom: Colour) -> NDArray[np.float32]:
    """From one colour down to the other, shape (H, W, 3)."""
    share = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share
    return np.repeat(column, width, axis=1)


def _noise(height: int, width: int, seed: int) -> NDArray[np.float32]:
    """Normal numbers, the same for a seed, shape (H, W)."""
    return np.random.default_rng(seed).standard_normal((height, width), dtype=np.float32)


def _ints(point: Point) -> tuple[int, int]:
    return round(point[0] * _SCALE), round(point[1] * _SCALE)
