"""The diffusion editor behind the Editor seam: small frames to a chunk, its change to fields."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from functools import lru_cache
from traceback import clear_frames

import numpy as np
import torch

from liveedit_cam.errors import EditorError, GaveWayError, UsageError
from liveedit_cam.model import EditStream, TextConditioning, load
from liveedit_cam.model.config import paper_mode, with_window
from liveedit_cam.model.field import bind
from liveedit_cam.model.governor import Governor, Setting
from liveedit_cam.model.region import seen_from
from liveedit_cam.model.weights import what_it_knows
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
NUM_REMEMBERED = 16
"""Prompts whose encoding is kept, so that presets and scenes that come again cost nothing."""


def describe() -> str:
    """One line of help."""
    return "diffusion: the video-diffusion editor; its target is a model name or folder"


def create(options: EditorOptions) -> DiffusionEditor:
    """Load the model on the device and warm it up. Raises UsageError or WeightsError."""
    model = options.target or options.model
    try:
        stream = load(
            model,
            options.device,
            uses_fp8=options.uses_fp8,
            codec=options.codec,
            lora=options.lora,
            warms_up=False,
        )
    except OUT_OF_MEMORY as error:
        raise _too_small(options.device, error) from error
    return DiffusionEditor(stream, options, what_it_knows(model))


class DiffusionEditor:
    """An EditStream as an Editor."""

    def __init__(self, stream: EditStream, options: EditorOptions, knows: str = "") -> None:
        """Warm ``stream`` up, with less and less until that fits in memory.

        ``options`` say how many steps a chunk has, how old a field may get and which latents are in
        view; ``knows`` tells people what the model knows; "" = it is not said. Raises UsageError
        where nothing is left to give up.
        """
        self._knows = knows
        self._stream = stream
        config = paper_mode(stream.config) if options.is_paper_mode else stream.config
        if options.window is not None:
            config = with_window(config, options.window)
        if config != stream.config:
            stream.apply(Setting(config))
        ladder = stream.ladder()
        self._governor = Governor(ladder, options.num_steps, options.max_field_age_s)
        self._max_field_age_s = options.max_field_age_s
        self._own = ladder[0]
        self._changed: float | None = None
        self._taken_at: float | None = None
        self._encode_text = lru_cache(NUM_REMEMBERED)(stream.encode_text)
        self.name = stream.config.name
        self._warm_up()

    @property
    def chunk_frames(self) -> int:
        """Frames the next ``edit`` wants."""
        return self._stream.chunk_frames

    @property
    def size(self) -> ModelSize:
        """How large it wants them."""
        return self._stream.config.size

    def encode(self, instruction: EditInstruction) -> Conditioning:
        try:
            text = self._encode_text(instruction.prompt)
        except OUT_OF_MEMORY:
            # the ladder is the editing thread's: here only what encoding itself takes can go
            self._stream.free_text()
            self._free()
            text = self._encode_text(instruction.prompt)
        notices = []
        if text.unread:
            notices.append(f'too long, its end is not read: "{text.unread}".')
        if text.unknown:
            words = ", ".join(f'"{word}"' for word in text.unknown)
            known = f" This model knows: {self._knows}." if self._knows else ""
            still = "" if text.is_understood else "; so nothing is changed"
            notices.append(f"not understood: {words}{still}.{known}")
        return Conditioning(instruction, text, " ".join(notices) or None, tuple(text.unknown))

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
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
        region = instruction.region and seen_from(frames[0].part, instruction.region)
        try:
            change = self._stream.change(
                np.stack([frame.pixels for frame in frames]),
                text,
                strength=instruction.strength,
                region=region,
                seed=instruction.seed,
                every_frame=every_frame,
            )
        except OUT_OF_MEMORY as error:
            raise self._give_way(error) from error
        self._changed = change.visible
        self._note_pace(began, frames)
        return bind(change, frames, instruction.revision)

    def _note_pace(self, began: float, frames: Sequence[ModelFrame]) -> None:
        """Let the governor see how old a field gets before the next one replaces it."""
        before, self._taken_at = self._taken_at, began
        if before is None:
            return
        age_s = time.monotonic() - began + max(began - before, 0.0)
        if self._governor.aged(age_s) is not None:
            self._stream.apply(self._governor.setting)

    def _warm_up(self) -> None:
        """Be ready for the first chunk, by the first setting of the ladder that fits."""
        while True:
            try:
                self._stream.apply(self._governor.setting)
                self._stream.warm_up()
                return
            except OUT_OF_MEMORY as error:
                clear_frames(error.__traceback__)
                if self._governor.out_of_memory() is None:
                    raise _too_small(self._stream.device, error) from error
                self._free()

    def _give_way(self, error: Exception) -> EditorError:
        """Do without something from now on; the error says what, or that nothing is left."""
        device = self._stream.device
        clear_frames(error.__traceback__)  # they hold tensors of the pass that failed
        if self._stream.free_text():
            self._free()
            return GaveWayError(f"Memory ran out on {device}; now: the text encoder is not kept.")
        given_up = self._governor.out_of_memory()
        if given_up is None:
            return EditorError(
                f"Memory ran out on {device}; nothing is left to give up: {error}.",
                hint="Close other programs that use the device, or choose --model nano.",
            )
        self._stream.apply(self._governor.setting)
        self._free()
        return GaveWayError(f"Memory ran out on {device}; now: {given_up}.")

    def _free(self) -> None:
        """Let other sizes have what the last ones took."""
        gc.collect()  # a network and its recordings hold themselves in cycles
        if self._stream.device.type == "cuda":
            torch.cuda.empty_cache()

    def set_steps(self, num_steps: int | None) -> None:
        """Denoising steps from the next chunk on."""
        self._governor.set_steps(num_steps, self._max_field_age_s)
        self._stream.apply(self._governor.setting)

    def report(self) -> EditorReport:
        stream, setting = self._stream, self._governor.setting
        given_up = None if setting == self._own else setting.differences(self._own)
        return EditorReport(
            stream.skip_ratio,
            stream.kv_latents,
            str(stream.device),
            given_up,
            self._changed,
            len(stream.config.timesteps),
            recomputed=_rows(stream.recomputed),
        )

    def reset(self) -> None:
        self._stream.reset()

    def close(self) -> None:
        self._stream.reset()


def _too_small(device: torch.device | str, error: Exception) -> UsageError:
    return UsageError(
        f"Memory ran out on {device} before the first edit, with everything given up: {error}.",
        hint="Close other programs that use the device, or choose --model nano.",
    )


def _rows(mask: torch.Tensor | None) -> tuple[str, ...] | None:
    """The newest latent's tokens (T, h, w), bool, as texts of 0 and 1."""
    if mask is None:
        return None
    return tuple("".join("01"[is_set] for is_set in row) for row in mask[-1].tolist())
