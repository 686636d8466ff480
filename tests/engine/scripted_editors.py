"""Editors that do what the prompt says: mark, crash, hang, raise. Loaded by "module:function".

``model`` is the path of a file that remembers across processes what was done once already.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np

from liveedit_cam.errors import EditorError, InstructionError, WeightsError
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

CHUNK_FRAMES = 2
MARK = 7
"""Added to every pixel value."""


def create(options: EditorOptions) -> ScriptedEditor:
    """An editor that obeys its prompt."""
    return ScriptedEditor(Path(options.model), options.device)


def create_without_weights(options: EditorOptions) -> ScriptedEditor:
    """A factory that finds no weights."""
    raise WeightsError(f"Got model {options.model!r}, expected its weights.", hint="Pull them.")


def create_named(options: EditorOptions) -> ScriptedEditor:
    """One that is called as its model and counts steps; the model "broken" has no weights."""
    if options.model.endswith("broken"):
        raise WeightsError("Got the model broken, expected its weights.", hint="Pull them.")
    editor = SteppedEditor(Path(options.model), options.device)
    editor.name = Path(options.model).name
    editor.set_steps(options.num_steps)
    return editor


class ScriptedEditor:
    """Adds MARK to all pixels, unless the prompt says: crash, crash once, hang, raise, raise once,
    short, nan, large (a field of another size); ``encode`` refuses "refuse", notices "gibberish"
    and takes as long for "slowly" as its file has none of the suffix ".go" beside it, as an edit
    does for "wait".
    """

    name = "scripted"
    size = ModelSize(token_px=16, num_tokens=12)

    def __init__(self, memory: Path, device: str) -> None:
        self.chunk_frames = CHUNK_FRAMES
        self._memory = memory
        self._device = device
        self._num_edits = 0
        self._num_resets = 0

    def encode(self, instruction: EditInstruction) -> Conditioning:
        if instruction.prompt == "refuse":
            raise InstructionError("Got 'refuse', expected something possible.")
        if instruction.prompt.startswith("slowly"):
            self._wait_for_go()
        notice = "unknown words: gibberish" if "gibberish" in instruction.prompt else None
        return Conditioning(instruction, payload=instruction.prompt, notice=notice)

    def _wait_for_go(self) -> None:
        while not self._memory.with_suffix(".go").exists():
            Event().wait(0.01)

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        self._num_edits += 1
        amount, larger = MARK / 255, 0
        match conditioning.payload:
            case "crash":
                os._exit(3)
            case "crash once" if self._first_time():
                os._exit(3)
            case "hang":
                Event().wait()
            case "wait":
                self._wait_for_go()
            case "raise":
                raise MemoryError("no room")
            case "raise once" if self._first_time():
                raise EditorError("one bad chunk")
            case "short":
                return []
            case "nan":
                amount = float("nan")
            case "large":
                larger = 4
        revision = conditioning.instruction.revision
        wanted = frames if every_frame else frames[-1:]
        return [_marked(frame, revision, amount, larger) for frame in wanted]

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


class SteppedEditor(ScriptedEditor):
    """Says how many steps it was asked for; 4 where it may choose."""

    num_steps = 4

    def set_steps(self, num_steps: int | None) -> None:
        self.num_steps = num_steps or 4

    def report(self) -> EditorReport:
        return EditorReport(num_steps=self.num_steps)


def _marked(frame: ModelFrame, revision: int, amount: float, larger: int) -> EditField:
    height, width, _ = frame.pixels.shape
    cells = np.zeros((12, height // 4 + larger, width // 4), np.float32)
    cells[9:] = amount
    grey = frame.pixels[..., 1].copy()
    return EditField(cells, None, grey, frame.index, frame.captured_at, revision, frame.part)
