"""An editor for the machine: paints known colours and a counter, and notes what the camera showed.

``model`` is the path of the note, a JSON list of colours at ``CAMERA_POINTS``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditInstruction, Frame

SIZE = (640, 480)
"""Width and height; the camera is 16:9, so black bars of 60 rows lie above and below."""
BARS = slice(60, 420)
PAINTED = ((200, 40, 40), (40, 200, 90), (40, 40, 200), (224, 64, 32))
"""RGB of the four bands of the left half."""
PAINTED_POINTS = ((105, 160), (195, 160), (285, 160), (375, 160))
"""(y, x) in the middle of each band."""
CAMERA_POINTS = ((300, 360), (300, 440), (300, 520), (300, 600))
"""(y, x) in the middle of four of the test camera's eight colour bars, in the untouched half."""
BLACK_POINT = (30, 320)
COUNTER_POINT = (450, 320)


def create(options: EditorOptions) -> PaintingEditor:
    """The editor; only ``options.model`` is read."""
    return PaintingEditor(Path(options.model))


class PaintingEditor:
    """Paints each frame by itself."""

    name = "painting"
    chunk_frames = 1

    def __init__(self, note: Path) -> None:
        self._note = note
        self._count = 0

    def encode(self, instruction: EditInstruction) -> Conditioning:
        return Conditioning(instruction, payload=None)

    def edit(self, frames: Sequence[Frame], conditioning: Conditioning) -> list[Frame]:
        revision = conditioning.instruction.revision
        return [replace(f, pixels=self._paint(f.pixels), revision=revision) for f in frames]

    def report(self) -> EditorReport:
        return EditorReport()

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to free."""

    def _paint(self, camera: np.ndarray) -> np.ndarray:
        if self._count % 10 == 0:
            colours = [[int(value) for value in camera[y, x]] for y, x in CAMERA_POINTS]
            self._note.write_text(json.dumps(colours))
        self._count += 1
        return paint(camera, self._count)


def paint(camera: np.ndarray, count: int) -> np.ndarray:
    """The picture that readers must see: ``camera`` with the bands, and ``count`` as a grey."""
    picture = camera.copy()
    for (y, _), colour in zip(PAINTED_POINTS, PAINTED, strict=True):
        picture[y - 45 : y + 45, : SIZE[0] // 2] = colour
    picture[BARS.stop :] = 16 + count * 8 % 224
    return picture
