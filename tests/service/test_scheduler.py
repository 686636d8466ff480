"""Who is edited next, and what one bad stream does to the others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from scripted_editors import ScriptedEditor
from serving import HEIGHT, PATIENCE_S, WIDTH

from liveedit_cam.engine.messages import Edit
from liveedit_cam.protocols import Editor
from liveedit_cam.service.scheduler import Job, OneByOne, Scheduler
from liveedit_cam.types import EditField, EditInstruction, ModelFrame

FRAMES = tuple(ModelFrame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), n, 0.1 * n) for n in range(2))


class Gate(OneByOne):
    """Notes batches; the first waits for ``go``."""

    max_batch = 2

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: ScriptedEditor(folder / "memory", "cpu"))
        self.go, self.is_at_work = Event(), Event()
        self.batches: list[list[str]] = []

    def edit(self, jobs: Sequence[Job]) -> list[list[EditField] | Exception]:
        self.batches.append([job.conditioning.instruction.origin for job in jobs])
        self.is_at_work.set()
        assert self.go.wait(PATIENCE_S)
        return super().edit(jobs)


def job(editor: Editor, name: str, prompt: str = "mark") -> Job:
    conditioning = editor.encode(EditInstruction(prompt, origin=name))
    return Job(editor, Edit(FRAMES, every_frame=False), conditioning)


def test_who_waits_longest_is_next_in_batches_of_what_the_model_takes(tmp_path: Path) -> None:
    """Catches a session that is passed over, and a batch larger than the model takes."""
    gate = Gate(tmp_path)
    scheduler = Scheduler(gate)
    editor = gate.open()
    futures = [scheduler.submit("a", job(editor, "a"))]
    assert gate.is_at_work.wait(PATIENCE_S)
    futures += [scheduler.submit(name, job(editor, name)) for name in "cbde"]
    gate.go.set()
    for future in futures:
        assert future.result(PATIENCE_S)
    scheduler.close()
    assert gate.batches == [["a"], ["c", "b"], ["d", "e"]]
    assert scheduler.num_edits == 5


class Broken(OneByOne):
    """Fails in whatever it is asked."""

    def edit(self, jobs: Sequence[Job]) -> list[list[EditField] | Exception]:
        if jobs[0].conditioning.instruction.prompt == "raise":
            raise RuntimeError("the device is gone")
        return super().edit(jobs)

    def release(self, editor: Editor) -> None:
        raise RuntimeError("cannot be cleaned up")


def test_the_thread_outlives_what_fails(tmp_path: Path) -> None:
    """Catches a thread that dies of one stream, with which all sessions would hang."""
    hosted = Broken(lambda: ScriptedEditor(tmp_path / "memory", "cpu"))
    scheduler = Scheduler(hosted)
    editor = hosted.open()
    with pytest.raises(RuntimeError, match="device is gone"):
        scheduler.submit("a", job(editor, "a", "raise")).result(PATIENCE_S)
    scheduler.retire("a", editor)
    assert scheduler.submit("b", job(editor, "b")).result(PATIENCE_S)
    scheduler.close()


def test_what_a_session_leaves_the_next_one_gets(tmp_path: Path) -> None:
    """Catches weights read from disk for each camera that comes back, and a stream not reset."""
    made = []

    def make() -> ScriptedEditor:
        made.append(ScriptedEditor(tmp_path / "memory", "cpu"))
        return made[-1]

    hosted = OneByOne(make)
    scheduler = Scheduler(hosted)
    first = hosted.open()
    scheduler.retire("a", first)
    scheduler.submit("b", job(make(), "b")).result(PATIENCE_S)  # after the release
    assert hosted.open() is first
    assert first.report().device == "cpu/1"
    assert len(made) == 2
    scheduler.close()
