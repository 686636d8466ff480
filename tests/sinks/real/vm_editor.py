"""An editor for the machine: paints known colours and a counter, and notes what the camera showed.

``model`` is the path of the note, a JSON list of colours at ``CAMERA_POINTS``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from liveedit_cam.model.field import fields_of
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

SIZE = (640, 480)
"""Width and height; the camera is 16:9, so black bars of 60 rows lie above and below."""
BARS = slice(60, 420)
SCALE = 2
"""Pixels of the sink's picture per pixel of a small frame."""
PAINTED = ((200, 40, 40), (40, 200, 90), (40, 40, 200), (224, 64, 32))
"""RGB of the four bands of the left half."""
PAINTED_POINTS = ((105, 160), (195, 160), (285, 160), (375, 160))
"""(y, x) in the middle of each band."""
CAMERA_POINTS = ((300, 360), (300, 440), (300, 520), (300, 600))
"""(y, x) in the middle of four of the test camera's eight colour bars, in the untouched half."""
BLACK_POINT = (30, 320)
COUNTER_POINT = (402, 480)
"""(y, x) in a patch of the right half, whose grey counts the edits."""


def create(options: EditorOptions) -> PaintingEditor:
    """The editor; only ``options.model`` is read."""
    return PaintingEditor(Path(options.model))


class PaintingEditor:
    """Paints each frame by itself."""

    name = "painting"
    chunk_frames = 1
    size = ModelSize(token_px=4, num_tokens=80 * 45)  # half of the 640x360 between the bars

    def __init__(self, note: Path) -> None:
        self._note = note
        self._count = 0

    def encode(self, instruction: EditInstruction) -> Conditioning:
        return Conditioning(instruction, payload=None)

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        pictures = np.stack([self._paint(frame.pixels) for frame in frames])
        return fields_of(frames, pictures, conditioning.instruction.revision)

    def report(self) -> EditorReport:
        return EditorReport()

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to free."""

    def _paint(self, camera: np.ndarray) -> np.ndarray:
        if self._count % 10 == 0:
            colours = [[int(value) for value in camera[at(y), at(x, 0)]] for y, x in CAMERA_POINTS]
            self._note.write_text(json.dumps(colours))
        self._count += 1
        return paint(camera, self._count)


def at(place: int, bar: int = BARS.start) -> int:
    """Row (or column, with ``bar`` 0) of the small frame where the sink's picture has ``place``."""
    return (place - bar) // SCALE


def paint(camera: np.ndarray, count: int) -> np.ndarray:
    """The small picture that readers must see large: ``camera`` with bands and the counter."""
    picture = camera.copy()
    for (y, _), colour in zip(PAINTED_POINTS, PAINTED, strict=True):
        picture[at(y - 45) : at(y + 45), : at(SIZE[0] // 2, 0)] = colour
    picture[at(384) :, at(400, 0) : at(560, 0)] = 16 + count * 8 % 224
    return picture
