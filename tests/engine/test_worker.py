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


class OneBehind(Failing):
    """Answers with the field of the chunk before, at first with none."""

    def __init__(self) -> None:
        self._before: list[EditField] = []

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        before, one = self._before, frames[-1]
        cells = np.zeros((12, 8, 12), np.float32)
        grey = one.pixels[..., 1]
        revision = conditioning.instruction.revision
        self._before = [EditField(cells, None, grey, one.index, one.captured_at, revision)]
        return before


class Late(OneBehind):
    """And says so."""

    may_be_late = True


def test_only_who_says_so_may_be_late_and_only_where_one_field_is_enough() -> None:
    """Catches a field of the wrong frame in an exact run, and one that no editor answered for."""
    ours, theirs = Pipe()
    for editor, every_frame, wanted in (
        (Late(), False, [[], [0], [1]]),
        (Late(), True, [None, None, None]),
        (OneBehind(), False, [None, None, None]),
    ):
        worker = _Worker(theirs, editor)
        worker._encode(EditInstruction("make it blue", revision=1))
        ours.recv()
        for index, fields in enumerate(wanted):
            frame = ModelFrame(np.zeros((32, 48, 3), np.uint8), index, 0.1 * index)
            worker._edit(Edit((frame,), every_frame))
            event = ours.recv()
            if fields is None:
                assert isinstance(event, Failed)
            else:
                assert [field.index for field in event.fields] == fields


def test_a_target_of_an_editors_name_reaches_it() -> None:
    """Catches a target taken for a function of a module, and one that is dropped."""
    with pytest.raises(ModuleNotFoundError):
        load_editor("no_such_kind:create", EditorOptions("nano", "cpu"))
    made = load_editor("test_worker:make", EditorOptions("nano", "cpu"))
    assert made.name == "failing"


def make(options: EditorOptions) -> Failing:
    return Failing(EditorError("no"))
