"""What the engine process makes of edits that fail and of fields that come late."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from liveedit_cam.engine.client import EngineClient
from liveedit_cam.engine.messages import Edit, Edited, Encode, Encoded, Event, Failed, Fatal, Ready
from liveedit_cam.engine.wake import Waker
from liveedit_cam.engine.worker import MAX_FAILURES, load_editor
from liveedit_cam.errors import EditorError, GaveWayError
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

PATIENCE_S = 30.0
"""A bound for a loaded machine, never waited for when all is well."""

StartEngine = Callable[[str], EngineClient]


class Failing:
    """Fails in every edit; where the prompt says "give way" it gives something up instead."""

    name = "failing"
    chunk_frames = 1
    size = ModelSize(16, 6)

    def encode(self, instruction: EditInstruction) -> Conditioning:
        return Conditioning(instruction, None)

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        if conditioning.instruction.prompt == "give way":
            raise GaveWayError("Memory ran out; now: light codec.")
        raise EditorError("no picture")

    def report(self) -> EditorReport:
        return EditorReport()

    def reset(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def start() -> Iterator[StartEngine]:
    """Starts an engine process whose editor a function of this file makes."""
    clients = []

    def start(function: str) -> EngineClient:
        options = EditorOptions("nano", "cpu")
        clients.append(EngineClient(f"test_worker:{function}", options, Waker()))
        clients[-1].start()
        assert isinstance(told_by(clients[-1]), Ready)
        return clients[-1]

    yield start
    for client in clients:
        client.close()


def told_by(engine: EngineClient) -> Event:
    """What it says next."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        event = engine.receive(0.2)
        if event is not None:
            return event
    raise AssertionError(f"nothing within {PATIENCE_S} s")


def instruct(engine: EngineClient, prompt: str) -> None:
    engine.send(Encode(EditInstruction(prompt, revision=1)))
    assert isinstance(told_by(engine), Encoded)


def answers(engine: EngineClient, count: int, *, every_frame: bool = True) -> list[Event]:
    """To that many edits of one frame each, the first of which has index 0."""
    found = []
    for index in range(count):
        frame = ModelFrame(np.zeros((32, 48, 3), np.uint8), index, 0.1 * index)
        engine.send(Edit((frame,), every_frame))
        found.append(told_by(engine))
    return found


def test_six_steps_down_a_ladder_are_no_failure(start: StartEngine) -> None:
    """Catches a process that ends after three of them, and starts again at the top, for ever."""
    engine = start("make")
    instruct(engine, "give way")
    assert {type(event) for event in answers(engine, 2 * MAX_FAILURES)} == {Failed}
    instruct(engine, "fail")
    assert {type(event) for event in answers(engine, MAX_FAILURES)} == {Failed}
    assert isinstance(told_by(engine), Fatal)


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


def test_only_who_says_so_may_be_late_and_only_where_one_field_is_enough(
    start: StartEngine,
) -> None:
    """Catches a field of the wrong frame in an exact run, and one that no editor answered for."""
    late, behind = start("make_late"), start("make_one_behind")
    for engine in (late, behind):
        instruct(engine, "make it blue")
    edited = answers(late, 3, every_frame=False)
    fields = [event.fields for event in edited if isinstance(event, Edited)]
    assert [[field.index for field in one] for one in fields] == [[], [0], [1]]
    for engine, every_frame in ((late, True), (behind, False)):
        found = answers(engine, MAX_FAILURES, every_frame=every_frame)
        assert {type(event) for event in found} == {Failed}


def test_a_target_of_an_editors_name_reaches_it() -> None:
    """Catches a target taken for a function of a module, and one that is dropped."""
    with pytest.raises(ModuleNotFoundError):
        load_editor("no_such_kind:create", EditorOptions("nano", "cpu"))
    made = load_editor("test_worker:make", EditorOptions("nano", "cpu"))
    assert made.name == "failing"


def make(options: EditorOptions) -> Failing:
    return Failing()


def make_one_behind(options: EditorOptions) -> OneBehind:
    return OneBehind()


def make_late(options: EditorOptions) -> Late:
    return Late()
