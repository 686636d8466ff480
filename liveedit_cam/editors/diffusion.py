"""The diffusion editor behind the Editor seam: frames to a chunk, a chunk to frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from liveedit_cam.errors import EditorError
from liveedit_cam.model import EditStream, TextConditioning, load
from liveedit_cam.model.governor import Governor, memory_ladder
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import Box, EditInstruction, Frame, Region

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

KNOWS = (
    "black and white, sepia, invert, night, darker, brighter, fog, snow, sunset, underwater, "
    "thermal, neon, vintage, pencil sketch, spotlight; warm, cold, lavender or golden light; "
    "coloured light from one side; a colour for the subject, the background or everything; blur or "
    "a gradient behind the subject; change one colour into another; only the left or right half, "
    "top, bottom or middle; leave it as it is"
)

MIN_SIDE_PX = 16
"""A strip between bars that is thinner is no picture to a model: then the bars are edited, too."""

SAMPLE_STEP_PX = 4
VISIBLE = 8
"""Levels of 255 by which a pixel must differ to count as changed; compositing shows no less."""

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
        self._changed: float | None = None
        self._encode_text = lru_cache(NUM_REMEMBERED)(stream.encode_text)
        self.name = stream.config.name

    @property
    def chunk_frames(self) -> int:
        """Frames the next ``edit`` wants."""
        return self._stream.chunk_frames

    def encode(self, instruction: EditInstruction) -> Conditioning:
        text = self._encode_text(instruction.prompt)
        notices = []
        if text.unread:
            notices.append(f'too long, its end is not read: "{text.unread}".')
        if text.unknown:
            words = ", ".join(f'"{word}"' for word in text.unknown)
            notices.append(f"not understood: {words}. This model knows: {KNOWS}.")
        return Conditioning(instruction, text, " ".join(notices) or None)

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
        box = _common_box(frames)
        try:
            edited = self._edit_inside(box, frames, text, instruction)
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise self._give_way(error) from error
        self._changed = _share_changed(box, frames, edited)
        if self._governor.took(time.monotonic() - began, len(frames)) is not None:
            self._stream.apply(self._governor.setting)
        return [
            replace(frame, pixels=pixels, revision=instruction.revision)
            for frame, pixels in zip(frames, edited, strict=True)
        ]

    def _edit_inside(
        self,
        box: Box | None,
        frames: Sequence[Frame],
        text: TextConditioning,
        instruction: EditInstruction,
    ) -> Pixels:
        """The frames (T, H, W, 3), edited inside ``box``; the model sees nothing of the bars."""
        edit = partial(
            self._stream.edit,
            conditioning=text,
            strength=instruction.strength,
            seed=instruction.seed,
        )
        pictures = np.stack([frame.pixels for frame in frames])
        if box is None:
            return edit(pictures, region=instruction.region)
        _, height, width, _ = pictures.shape
        region = instruction.region and _seen_from(box, instruction.region, width, height)
        inside = pictures[:, *_slices(box)]
        inside[:] = edit(np.ascontiguousarray(inside), region=region)
        return pictures

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
        return EditorReport(
            stream.skip_ratio, stream.kv_latents, str(stream.device), given_up, self._changed
        )

    def reset(self) -> None:
        self._stream.reset()

    def close(self) -> None:
        self._stream.reset()


def _common_box(frames: Sequence[Frame]) -> Box | None:
    """The smallest box around the pictures of all frames; None where that is everything.

    They differ only in a chunk during which the source was replaced by one of another shape.
    """
    height, width = frames[0].pixels.shape[:2]
    whole = Box(0, 0, width, height)
    boxes = [frame.box or whole for frame in frames]
    x, y = min(box.x for box in boxes), min(box.y for box in boxes)
    right, bottom = max(b.x + b.width for b in boxes), max(b.y + b.height for b in boxes)
    box = Box(x, y, right - x, bottom - y)
    return None if box == whole or min(box.width, box.height) < MIN_SIDE_PX else box


def _slices(box: Box, step: int = 1) -> tuple[slice, slice]:
    return slice(box.y, box.y + box.height, step), slice(box.x, box.x + box.width, step)


def _share_changed(box: Box | None, frames: Sequence[Frame], edited: Pixels) -> float:
    """Share of pixels inside ``box``, 0..1, that differ visibly from the source's.

    Looks at every fourth row and column.
    """
    height, width = edited.shape[1:3]
    looked_at = _slices(box or Box(0, 0, width, height), SAMPLE_STEP_PX)
    changes = [
        (np.abs(np.subtract(frame.pixels[looked_at], pixels[looked_at], dtype=np.int16)) >= VISIBLE)
        .any(axis=-1)
        .mean()
        for frame, pixels in zip(frames, edited, strict=True)
    ]
    return float(np.mean(changes))


def _seen_from(box: Box, region: Region, width: int, height: int) -> Region:
    """A region of a ``width`` x ``height`` picture in shares of ``box``; it may reach beyond it."""
    return Region(
        (region.x * width - box.x) / box.width,
        (region.y * height - box.y) / box.height,
        region.width * width / box.width,
        region.height * height / box.height,
    )
