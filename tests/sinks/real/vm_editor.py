"""An editor for the machine: paints known colours and a counter, and notes what the camera showed.

``model`` is the path of the note, a JSON list of colours at ``CAMERA_POINTS``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

SIZE = (640, 400)
"""Width and height. The camera is asked for them and has 640x360 nearest to them: black bars of 20
rows lie above and below."""
BARS = slice(20, 380)
SCALE = 2
"""Pixels of the sink's picture per pixel of a small frame."""
PAINTED = ((200, 40, 40), (40, 200, 90), (40, 40, 200), (224, 64, 32))
"""RGB of the four bands of the left half."""
PAINTED_POINTS = ((65, 300), (155, 300), (245, 300), (335, 300))
"""(y, x) in each band, right of the numbers that the test camera writes: where they change, the
field is carried along and paints other colours."""
CAMERA_POINTS = ((260, 360), (260, 440), (260, 520), (260, 600))
"""(y, x) in the middle of four of the test camera's eight colour bars, in the untouched half."""
BLACK_POINT = (10, 320)
COUNTER_POINT = (362, 480)
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
        return [self._field(frame, conditioning.instruction.revision) for frame in frames]

    def report(self) -> EditorReport:
        return EditorReport()

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to free."""

    def _field(self, frame: ModelFrame, revision: int) -> EditField:
        if self._count % 10 == 0:
            camera = frame.pixels
            colours = [[int(v) for v in camera[at(y), at(x, 0)]] for y, x in CAMERA_POINTS]
            self._note.write_text(json.dumps(colours))
        self._count += 1
        cells = painting(self._count)
        grey = frame.pixels[..., 1].copy()
        return EditField(cells, None, grey, frame.index, frame.captured_at, revision, frame.part)


def at(place: int, bar: int = BARS.start) -> int:
    """Row (or column, with ``bar`` 0) of the small frame where the sink's picture has ``place``."""
    return (place - bar) // SCALE


def painting(count: int) -> np.ndarray:
    """Cells that make the bands and the counter, whatever was there: change = colour - own."""
    cells = np.zeros((12, 45, 80), np.float32)

    def fill(rows: slice, columns: slice, colour: Sequence[int]) -> None:
        for channel in range(3):
            cells[4 * channel, rows, columns] = -1
            cells[9 + channel, rows, columns] = colour[channel] / 255

    for (y, _), colour in zip(PAINTED_POINTS, PAINTED, strict=True):
        fill(slice(at(y - 45) // 4, at(y + 45) // 4), slice(0, 40), colour)
    grey = 16 + count * 8 % 224
    fill(slice(at(340) // 4, 45), slice(at(400, 0) // 4, at(560, 0) // 4), (grey,) * 3)
    return cells


def paint(camera: np.ndarray, count: int) -> np.ndarray:
    """The full picture that readers must see: ``camera`` with the bands and the counter."""
    picture = camera.copy()
    for (y, _), colour in zip(PAINTED_POINTS, PAINTED, strict=True):
        picture[y - 45 : y + 45, : SIZE[0] // 2] = colour
    picture[340 : BARS.stop, 400:560] = 16 + count * 8 % 224
    return picture
