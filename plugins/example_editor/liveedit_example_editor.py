"""The smallest editor plugin: it makes pictures, and one call turns them into edit fields.

After ``pip install ./plugins/example_editor`` it is there as ``liveedit-cam run --editor poster "4
colours"``. Copy it and put a model of your own where ``_poster`` is: it may take a second or more,
the camera's picture goes on at its full rate and size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from liveedit_cam.errors import InstructionError
from liveedit_cam.model.field import fields_of
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels


def describe() -> str:
    """One line of help."""
    return 'poster: few levels of each colour; its instruction holds their number, "4 colours"'


def create(options: EditorOptions) -> Poster:
    """Make the editor; it has no model to load."""
    return Poster()


class Poster:
    """Rounds colours. ``size`` and ``chunk_frames`` are what it asks of the daemon."""

    name = "poster"
    chunk_frames = 1
    size = ModelSize(token_px=16, num_tokens=24 * 14)

    def encode(self, instruction: EditInstruction) -> Conditioning:
        """The number of levels. Raises InstructionError where the text holds none."""
        found = re.search(r"\d+", instruction.prompt)
        levels = int(found[0]) if found else 0
        if not 2 <= levels <= 64:
            raise InstructionError(
                f"got {instruction.prompt!r}, expected a number of colours from 2 to 64",
                hint='Say "4 colours".',
            )
        return Conditioning(instruction, levels)

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        """One field a frame."""
        instruction = conditioning.instruction
        pictures = np.stack([_poster(frame.pixels, conditioning.payload) for frame in frames])
        return fields_of(
            frames,
            pictures,
            instruction.revision,
            strength=instruction.strength,
            region=instruction.region,
        )

    def report(self) -> EditorReport:
        """Nothing to tell."""
        return EditorReport()

    def reset(self) -> None:
        """No frame is remembered."""

    def close(self) -> None:
        """Nothing is held."""


def _poster(pixels: Pixels, levels: int) -> Pixels:
    """uint8 (h, w, 3) with ``levels`` values a channel."""
    step = 255 / (levels - 1)
    return (np.round(pixels / step) * step).astype(np.uint8)
