"""Editors that do what the prompt says: mark, crash, hang, raise. Loaded by "module:function".

``model`` is the path of a file that remembers across processes what was done once already.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np

from liveedit_cam.errors import EditorError, InstructionError, WeightsError
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditInstruction, Frame

CHUNK_FRAMES = 2
MARK = 7
"""Added to every pixel value."""


def create(options: EditorOptions) -> ScriptedEditor:
    """An editor that obeys its prompt."""
    return ScriptedEditor(Path(options.model), options.device)


def create_without_weights(options: EditorOptions) -> ScriptedEditor:
    """A factory that finds no weights."""
    raise WeightsError(f"Got model {options.model!r}, expected its weights.", hint="Pull them.")


def create_hungry(options: EditorOptions) -> ScriptedEditor:
    """An editor whose chunks are larger than any shared memory of these tests."""
    editor = create(options)
    editor.chunk_frames = 100
    return editor


class ScriptedEditor:
    """Adds MARK to all pixels, unless the prompt says: crash, crash once, hang, raise, raise once,
    short, boxes (paints each frame with its box's x); ``encode`` refuses "refuse" and notices
    "gibberish".
    """

    name = "scripted"

    def __init__(self, memory: Path, device: str) -> None:
        self.chunk_frames = CHUNK_FRAMES
        self._memory = memory
        self._device = device
        self._num_edits = 0
        self._num_resets = 0

    def encode(self, instruction: EditInstruction) -> Conditioning:
        if instruction.prompt == "refuse":
            raise InstructionError("Got 'refuse', expected something possible.")
        notice = "unknown words: gibberish" if "gibberish" in instruction.prompt else None
        return Conditioning(instruction, payload=instruction.prompt, notice=notice)

    def edit(self, frames: Sequence[Frame], conditioning: Conditioning) -> list[Frame]:
        self._num_edits += 1
        match conditioning.payload:
            case "crash":
                os._exit(3)
            case "crash once" if self._first_time():
                os._exit(3)
            case "hang":
                Event().wait()
            case "raise":
                raise MemoryError("no room")
            case "raise once" if self._first_time():
                raise EditorError("one bad chunk")
            case "short":
                return []
            case "boxes":
                return [replace(f, pixels=np.full_like(f.pixels, f.box.x)) for f in frames if f.box]
        revision = conditioning.instruction.revision
        return [replace(f, pixels=f.pixels + MARK, revision=revision) for f in frames]

    def report(self) -> EditorReport:
        return EditorReport(
            cache_skip=0.5, kv_latents=self._num_edits, device=f"{self._device}/{self._num_resets}"
        )

    def reset(self) -> None:
        self._num_resets += 1

    def close(self) -> None:
        """Nothing to free."""

    def _first_time(self) -> bool:
        if self._memory.exists():
            return False
        self._memory.touch()
        return True
