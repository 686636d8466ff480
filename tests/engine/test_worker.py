"""What the engine process makes of edits that fail, without a process."""

from __future__ import annotations

from collections.abc import Sequence
from multiprocessing import Pipe

import numpy as np
import pytest

from liveedit_cam.engine.messages import Edit, Failed
from liveedit_cam.engine.worker import MAX_FAILURES, _Worker, load_editor
from liveedit_cam.errors import EditorError, GaveWayError
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

NUM_EDITS = 2 * MAX_FAILURES


class Failing:
    """An editor that raises ``error`` in every edit."""

    name = "failing"
    chunk_frames = 1
    size = ModelSize(16, 6)

    def __init__(self, error: EditorError) -> None:
        self.error = error

    def encode(self, instruction: EditInstruction) -> Conditioning:
        return Conditioning(instruction, None)

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        raise self.error

    def report(self) -> EditorReport:
        return EditorReport()

    def reset(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def num_failures(error: EditorError) -> int:
    """How many of six edits that raise ``error`` count as failures of the process."""
    ours, theirs = Pipe()
    worker = _Worker(theirs, Failing(error))
    worker._encode(EditInstruction("make it blue", revision=1))
    frame = ModelFrame(np.zeros((32, 48, 3), np.uint8), 0, 0.0)
    for _ in range(NUM_EDITS):
        worker._edit(Edit((frame,), True))
    told = [ours.recv() for _ in range(NUM_EDITS + 1)]  # the first is of the encoding
    assert all(isinstance(event, Failed) for event in told[1:])
    return worker._num_failures


def test_six_steps_down_a_ladder_are_no_failure() -> None:
    """Catches a process that ends after three of them, and starts again at the top, for ever."""
    assert num_failures(GaveWayError("Memory ran out; now: light codec.")) == 0
    assert num_failures(EditorError("no picture")) == NUM_EDITS


def test_a_target_of_an_editors_name_reaches_it() -> None:
    """Catches a target taken for a function of a module, and one that is dropped."""
    with pytest.raises(ModuleNotFoundError):
        load_editor("no_such_kind:create", EditorOptions("nano", "cpu"))
    made = load_editor("test_worker:make", EditorOptions("nano", "cpu"))
    assert made.name == "failing"


def make(options: EditorOptions) -> Failing:
    return Failing(EditorError("no"))
