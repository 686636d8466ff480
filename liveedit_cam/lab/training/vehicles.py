"""Drawn cars, vans, buses and lorries: shapes from all sides where few pictures show any.

A vehicle is two convex pieces, a body and a cabin, whose faces turned to the camera are filled in
perspective; windows, wheels and lamps lie on faces. Lengths in metres: x to the front, y to the
left, z up. Knows no instruction.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(N, 3) corners of a face in order, metres."""
Colour = NDArray[np.float64]
"""(3,) sRGB bytes."""

GLASS, RUBBER, STEEL = (28.0, 34.0, 42.0), (24.0, 24.0, 26.0), (150.0, 152.0, 156.0)
HEADLAMP, TAIL_LAMP, PLATE = (238.0, 238.0, 225.0), (185.0, 22.0, 20.0), (225.0, 225.0, 215.0)
PAINTS = (
    *((235, 236, 238), (190, 194, 198), (120, 124, 130), (60, 63, 68), (22, 23, 26)) * 2,
    *((160, 24, 28), (28, 60, 130), (70, 110, 160), (200, 160, 40), (30, 90, 60), (120, 70, 40)),
)
"""What cars are painted in, grey ones most often."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The measures of a kind of vehicle, metres; parts of the length for the cabin."""

    length: float
    width: float
    height: float
    belt: float
    """Where the windows begin."""
    cabin: tuple[float, float, float, float]
    """Where the cabin stands at its foot's back, roof's back, roof's front and foot's front."""
    wheel: float
    """Radius."""
    windows: int
    """Along a side."""
    bonnet: float
    """Height of the front end's upper edge."""


CARS = (
    Kind(4.6, 1.80, 1.45, 0.92, (0.12, 0.27, 0.57, 0.74), 0.32, 2, 0.78),
    Kind(4.0, 1.75, 1.50, 0.95, (0.01, 0.10, 0.58, 0.76), 0.31, 2, 0.82),
    Kind(4.7, 1.90, 1.75, 1.08, (0.01, 0.07, 0.60, 0.74), 0.38, 3, 1.00),
    Kind(4.3, 1.80, 1.28, 0.82, (0.20, 0.38, 0.54, 0.72), 0.33, 1, 0.68),
    Kind(4.8, 1.90, 2.10, 1.15, (0.00, 0.02, 0.72, 0.88), 0.33, 3, 1.05),
)
BUSES = (
    Kind(11.0, 2.5, 3.0, 1.25, (0.00, 0.01, 0.98, 1.00), 0.48, 7, 1.25),
    Kind(9.0, 2.4, 2.9, 1.40, (0.00, 0.01, 0.97, 1.00), 0.45, 6, 1.40),
)
LORRIES = (
    Kind(7.5, 2.4, 3.0, 1.30, (0.70, 0.72, 0.94, 0.99), 0.46, 1, 1.25),
    Kind(6.0, 2.2, 2.5, 1.20, (0.62, 0.64, 0.86, 0.96), 0.40, 1, 1.15),
)
KINDS = {"car": CARS, "vehicle": CARS, "bus": BUSES, "truck": LORRIES}
"""By the name of the region."""


class Canvas:
    """A picture seen by a camera at ``eye`` that looks at ``target``; focal length in pixels."""

    def __init__(self, size: tuple[int, int], eye: Points, target: Points, focal: float) -> None:
        self.size, self.eye, self.focal = size, eye, focal
        ahead = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(ahead, (0.0, 0.0, 1.0))
        right /= np.linalg.norm(right)
        self.axes = np.stack((right, -np.cross(right, ahead), ahead))
        self.pixels = np.zeros((*size, 3), np.float32)
        self.where = np.zeros(size, np.uint8)

    def seen(self, points: Points) -> NDArray[np.float64]:
        """Where ``points`` fall in the picture, (N, 2) pixels right and down."""
        turned = (points - self.eye) @ self.axes.T
        depth = np.maximum(turned[:, 2:], 0.2)
        centre = np.array((self.size[1] / 2, self.size[0] / 2))
        return np.asarray(centre + self.focal * turned[:, :2] / depth, np.float64)

    def fill(self, points: Points, colour: Colour) -> None:
        """Fill a face, whatever was there."""
        corners = np.rint(8 * self.seen(points)).astype(np.int32)
        cv2.fillPoly(self.pixels, [corners], colour.tolist(), cv2.LINE_AA, 3)
        cv2.fillPoly(self.where, [corners], 1, shift=3)


@dataclass(frozen=True, slots=True)
class Paint:
    """How a face of a colour looks in a light from a direction, and from where it is seen."""

    canvas: Canvas
    sun: Points
    """(3,) of length 1, towards the light."""
    ambient: float

    def face(self, points: Points, colour: Colour, middle: Points) -> None:
        """Fill ``points`` if they face the eye, away from ``middle``."""
        normal = np.cross(points[1] - points[0], points[2] - points[1])
        normal /= np.linalg.norm(normal) + 1e-9
        centre = points.mean(0)
        if normal @ (centre - middle) < 0:
            normal = -normal
        if normal @ (self.canvas.eye - centre) <= 0:
            return
        light = self.ambient + (1 - self.ambient) * max(0.0, float(normal @ self.sun))
        sky = 30.0 * max(0.0, float(normal[2])) ** 2
        self.canvas.fill(points, np.clip(colour * light + sky, 0, 255))


def drawn_vehicle(
    name: str, size: tuple[int, int], rng: random.Random
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A vehicle of region ``name`` in a picture of ``size`` (height, width): pixels, and where."""
    kind = rng.choice(KINDS[name])
    colour = np.array(rng.choice(PAINTS), np.float64) + rng.gauss(0, 8)
    if rng.random() < 0.25 or name == "bus":
        colour = np.array([rng.uniform(15, 240) for _ in range(3)])
    paint = Paint(_camera(kind, size, rng), _sun(rng), rng.uniform(0.45, 0.8))
    _draw(paint, kind, colour, rng)
    canvas = paint.canvas
    tall, wide = size
    noise = np.random.default_rng(rng.getrandbits(32)).normal(1, 0.16, (5, 9)).astype(np.float32)
    shine = cv2.resize(noise, (wide, tall), interpolation=cv2.INTER_CUBIC)
    pixels = np.clip(canvas.pixels * shine[..., None], 0, 255)
    return pixels.astype(np.uint8), canvas.where.view(np.bool_)


def _sun(rng: random.Random) -> Points:
    sun = np.array((rng.gauss(0, 1), rng.gauss(0, 1), rng.uniform(0.5, 2.5)))
    return np.asarray(sun / np.linalg.norm(sun), np.float64)


def _camera(kind: Kind, size: tuple[int, int], rng: random.Random) -> Canvas:
    """From any side, mostly at a height of eyes, so near that the vehicle fills some of it."""
    yaw, distance = rng.uniform(0, 2 * math.pi), kind.length * rng.uniform(0.9, 2.1)
    height = rng.uniform(0.9, 2.2) if rng.random() < 0.75 else rng.uniform(2.2, 6.0)
    eye = np.array((distance * math.cos(yaw), distance * math.sin(yaw), height))
    focal = size[1] * rng.uniform(0.7, 1.3)
    reach = 0.5 * distance / focal * np.array((size[1], size[0]))
    target = np.array((0.0, 0.0, 0.5 * kind.height))
    target[:2] += rng.uniform(-0.7, 0.7) * reach[0] * np.array((-math.sin(yaw), math.cos(yaw)))
    target[2] += rng.uniform(-0.2, 0.8) * reach[1]
    return Canvas(size, eye, target, focal)


def _draw(paint: Paint, kind: Kind, colour: Colour, rng: random.Random) -> None:
    """Body, load, cabin and wheels: from far to near as a standing eye sees them."""
    _body(paint, kind, colour)
    is_front_near = paint.canvas.eye[0] > 0
    if kind in LORRIES and is_front_near:
        _load(paint, kind, rng)
    _cabin(paint, kind, colour)
    if kind in LORRIES and not is_front_near:
        _load(paint, kind, rng)
    for at in (0.2, 0.8):
        for side in (-1, 1):
            _wheel(paint, kind, (at - 0.5) * kind.length, side)


def _load(paint: Paint, kind: Kind, rng: random.Random) -> None:
    """The box behind a lorry's cabin."""
    end, foot = kind.cabin[0] - 0.02, 0.75
    faces = _prism(kind, ((0, foot), (0, kind.height), (end, kind.height), (end, foot)), 1.0)
    middle, colour = _middle(faces), np.full(3, rng.uniform(60, 240))
    for face in faces:
        paint.face(face, colour, middle)


def _prism(kind: Kind, profile: tuple[tuple[float, float], ...], top_width: float) -> list[Points]:
    """Faces of a side view (part of the length, height) as broad as the vehicle; the part of it
    above the belt narrows to ``top_width`` of that."""
    rows = np.array(profile, np.float64)
    narrow = (rows[:, 1] - kind.belt) / max(kind.height - kind.belt, 1e-6)
    half = 0.5 * kind.width * (1 - (1 - top_width) * np.clip(narrow, 0, 1))
    x, z = (rows[:, 0] - 0.5) * kind.length, rows[:, 1]
    left, right = np.stack((x, half, z), 1), np.stack((x, -half, z), 1)
    strips = np.stack((left, np.roll(left, -1, 0), np.roll(right, -1, 0), right), axis=1)
    return [*strips, left, right]


def _middle(faces: list[Points]) -> Points:
    return np.asarray(np.concatenate(faces).mean(0), np.float64)


def _inset(face: Points, low: float, high: float, start: float, end: float) -> Points:
    """A part of a face of four corners (back foot, back top, front top, front foot)."""
    a, b, c, d = face

    def at(along: float, up: float) -> Points:
        return np.asarray((a + (d - a) * along) * (1 - up) + (b + (c - b) * along) * up, np.float64)

    return np.stack((at(start, low), at(start, high), at(end, high), at(end, low)))


def _body(paint: Paint, kind: Kind, colour: Colour) -> None:
    belt, foot = kind.belt, 0.55 * kind.wheel
    profile = ((0, foot), (0, belt - 0.08), (0.03, belt), (kind.cabin[3], belt),
               (0.97, kind.bonnet), (1, kind.bonnet - 0.15), (1, foot))  # fmt: skip
    faces = _prism(kind, profile, 1.0)
    middle = _middle(faces)
    for face in faces:
        paint.face(face, colour, middle)
    half, ends = 0.5 * kind.width, ((-0.5, TAIL_LAMP), (0.5, HEADLAMP))
    for end, lamp in ends:
        x, top = end * kind.length * 1.001, (belt if end < 0 else kind.bonnet) - 0.16
        for y in (-0.95, 0.55):
            _panel(paint, x, (y * half, (y + 0.4) * half), (top - 0.16, top), lamp, middle)
        _panel(paint, x, (-0.3 * half, 0.3 * half), (top - 0.3, top - 0.16), PLATE, middle)
        _panel(paint, x, (-half, half), (foot, foot + 0.16), RUBBER, middle)


def _panel(
    paint: Paint,
    x: float,
    across: tuple[float, float],
    up: tuple[float, float],
    colour: tuple[float, float, float],
    middle: Points,
) -> None:
    """A rectangle on the front or the back."""
    corners = [(x, across[0], up[0]), (x, across[0], up[1]), (x, across[1], up[1]),
               (x, across[1], up[0])]  # fmt: skip
    paint.face(np.array(corners), np.array(colour), middle)


def _cabin(paint: Paint, kind: Kind, colour: Colour) -> None:
    back, roof_back, roof_front, front = kind.cabin
    profile = ((back, kind.belt), (roof_back, kind.height), (roof_front, kind.height),
               (front, kind.belt))  # fmt: skip
    faces = _prism(kind, profile, 0.82 if kind in CARS else 0.97)
    middle, glass = _middle(faces), np.array(GLASS)
    for face in faces:
        paint.face(face, colour, middle)
    for pane in (faces[0], faces[2]):  # behind and before the driver, from its left corners on
        paint.face(_inset(pane, 0.06, 0.94, 0.1, 0.9), glass, middle)
    for side in faces[4:]:
        for number in range(kind.windows):
            start = 0.06 + 0.88 * number / kind.windows
            end = 0.06 + 0.88 * (number + 0.9) / kind.windows
            paint.face(_inset(side, 0.1, 0.88, start, end), glass, middle)


def _wheel(paint: Paint, kind: Kind, x: float, side: int) -> None:
    """A tyre, its rim and the dark arch above, on one side; nothing where that is turned away."""
    if side * paint.canvas.eye[1] < 0.5 * kind.width:
        return
    around = np.linspace(0, 2 * math.pi, 20, endpoint=False)
    circle = np.stack((np.cos(around), np.zeros(20), np.sin(around)), 1)
    centre = np.array((x, side * 0.5 * kind.width, kind.wheel))
    for radius, colour in ((1.0, RUBBER), (0.62, STEEL), (0.2, RUBBER)):
        paint.canvas.fill(centre + radius * kind.wheel * circle, np.array(colour) * paint.ambient)
