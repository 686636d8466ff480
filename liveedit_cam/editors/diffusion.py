"""The diffusion editor behind the Editor seam: frames to a chunk, a chunk to frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from liveedit_cam.errors import EditorError
from liveedit_cam.model import EditStream, TextConditioning, load
from liveedit_cam.model.governor import Governor, memory_ladder
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditInstruction, Frame

KNOWS = (
    "black and white, sepia, invert, night, darker, brighter, fog, snow, sunset, underwater, "
    "thermal, neon, vintage, pencil sketch, spotlight; warm, cold, lavender or golden light; "
    "coloured light from one side; a colour for the subject, the background or everything; blur or "
    "a gradient behind the subject; change one colour into another; only the left or right half, "
    "top, bottom or middle; leave it as it is"
)

NUM_REMEMBERED = 8
"""Prompts whose encoding is kept, so that scenes that come again cost nothing."""


def describe() -> str:
    """One line of help."""
    return "diffusion: the video-diffusion editor; its target is a model name or folder"


def create(options: EditorOptions) -> DiffusionEditor:
    """Load the model on the device. Raises UsageError or WeightsError."""
    return DiffusionEditor(load(options.model, options.device), options.target_fps)


class DiffusionEditor:
    """An EditStream as an Editor."""

    def __init__(self, stream: EditStream, target_fps: float | None = None) -> None:
        """``target_fps``: edited frames per second to hold; None = take the time it takes."""
        self._stream = stream
        ladder = memory_ladder(
            stream.config,
            has_light_codec=stream.has_light_codec,
            has_large_text=stream.has_movable_text,
        )
        self._governor = Governor(ladder, target_fps)
        self._own = ladder[0]
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
        began = time.monotonic()
        try:
            edited = self._stream.edit(
                np.stack([frame.pixels for frame in frames]),
                text,
                strength=instruction.strength,
                region=instruction.region,
                seed=instruction.seed,
            )
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._give_way(error) from error
        if self._governor.took(time.monotonic() - began, len(frames)) is not None:
            self._stream.apply(self._governor.setting)
        return [
            replace(frame, pixels=pixels, revision=instruction.revision)
            for frame, pixels in zip(frames, edited, strict=True)
        ]

    def _give_way(self, error: Exception) -> EditorError:
        """Do without something from now on; the error says what, or that nothing is left."""
        given_up = self._governor.out_of_memory()
        if given_up is None:
            return EditorError(
                f"Memory ran out on {self._stream.device}; nothing is left to give up: {error}.",
                hint="Close other programs that use the device, or choose --model nano.",
            )
        self._stream.apply(self._governor.setting)
        if self._stream.device.type == "cuda":
            torch.cuda.empty_cache()
        return EditorError(f"Memory ran out on {self._stream.device}; now: {given_up}.")

    def report(self) -> EditorReport:
        stream, setting = self._stream, self._governor.setting
        given_up = None if setting == self._own else setting.differences(self._own)
        return EditorReport(stream.skip_ratio, stream.kv_latents, str(stream.device), given_up)

    def reset(self) -> None:
        self._stream.reset()

    def close(self) -> None:
        self._stream.reset()
