"""The diffusion editor behind the Editor seam: frames to a chunk, a chunk to frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from liveedit_cam.errors import EditorError
from liveedit_cam.model import EditStream, TextConditioning, load
from liveedit_cam.protocols import Conditioning, EditorReport
from liveedit_cam.types import EditInstruction, Frame

KNOWS = (
    "black and white, sepia, invert, night, warm, cold, lavender or golden light; a colour for the "
    "subject, the background or everything; blur the background; change one colour into another; "
    "leave it as it is"
)

NUM_REMEMBERED = 8
"""Prompts whose encoding is kept, so that scenes that come again cost nothing."""


def describe() -> str:
    """One line of help."""
    return "diffusion: the video-diffusion editor; its target is a model name or folder"


def create(model: str, device: str) -> DiffusionEditor:
    """Load ``model`` on ``device``. Raises UsageError or WeightsError."""
    return DiffusionEditor(load(model, device))


class DiffusionEditor:
    """An EditStream as an Editor."""

    def __init__(self, stream: EditStream) -> None:
        self._stream = stream
        self._encode_text = lru_cache(NUM_REMEMBERED)(stream.encode_text)
        self.name = stream.config.name

    @property
    def chunk_frames(self) -> int:
        """Frames the next ``edit`` wants."""
        return self._stream.chunk_frames

    def encode(self, instruction: EditInstruction) -> Conditioning:
        text = self._encode_text(instruction.prompt)
        notice = None
        if text.unknown:
            words = ", ".join(f'"{word}"' for word in text.unknown)
            notice = f"not understood: {words}. This model knows: {KNOWS}."
        return Conditioning(instruction, text, notice)

    def edit(self, frames: Sequence[Frame], conditioning: Conditioning) -> list[Frame]:
        text, instruction = conditioning.payload, conditioning.instruction
        if not isinstance(text, TextConditioning):
            raise EditorError(f"got a payload of {type(text).__name__}, expected one of encode()")
        shapes = {frame.pixels.shape for frame in frames}
        if len(shapes) != 1 or len(frames) != self.chunk_frames:
            raise EditorError(
                f"got {len(frames)} frames of shapes {sorted(shapes)}, expected "
                f"{self.chunk_frames} of one shape"
            )
        edited = self._stream.edit(
            np.stack([frame.pixels for frame in frames]),
            text,
            strength=instruction.strength,
            region=instruction.region,
            seed=instruction.seed,
        )
        return [
            replace(frame, pixels=pixels, revision=instruction.revision)
            for frame, pixels in zip(frames, edited, strict=True)
        ]

    def report(self) -> EditorReport:
        stream = self._stream
        return EditorReport(stream.skip_ratio, stream.kv_latents, str(stream.device))

    def reset(self) -> None:
        self._stream.reset()

    def close(self) -> None:
        self._stream.reset()
