"""The engine process, for real: spawned, crashing, hanging, leaving nothing behind."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import TypeVar

import numpy as np
import pytest
from scripted_editors import CHUNK_FRAMES, MARK

from liveedit_cam.engine.client import EngineClient
from liveedit_cam.engine.messages import Edited, Encoded, Failed, Prepared, Ready, Rejected
from liveedit_cam.engine.supervisor import Died, EngineSupervisor
from liveedit_cam.engine.wake import Waker
from liveedit_cam.errors import WeightsError
from liveedit_cam.protocols import EditorOptions
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, Region

WIDTH, HEIGHT = 64, 48
PATIENCE_S = 30.0
"""A bound for a loaded machine, never waited for when all is well."""

E = TypeVar("E")
MakeSupervisor = Callable[..., EngineSupervisor]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[MakeSupervisor]:
    made = []

    def make(factory: str = "create", answer_timeout_s: float = PATIENCE_S) -> EngineSupervisor:
        client = EngineClient(
            f"scripted_editors:{factory}",
            EditorOptions(str(tmp_path / "memory"), "cpu"),
            Waker(),
        )
        made.append(EngineSupervisor(client, answer_timeout_s=answer_timeout_s))
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.close()


def expect(supervisor: EngineSupervisor, kind: type[E]) -> E:
    """Poll until an event of this kind; every other event on the way is a failure of the test."""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at:
        event = supervisor.poll(0.2)
        if event is not None:
            assert isinstance(event, kind), event
            return event
    raise AssertionError(f"no {kind.__name__} within {PATIENCE_S} s")


def instruct(supervisor: EngineSupervisor, prompt: str, revision: int) -> None:
    supervisor.instruct(EditInstruction(prompt, revision=revision))


def frames(first: int) -> list[ModelFrame]:
    pixels = [np.full((HEIGHT, WIDTH, 3), first + i, np.uint8) for i in range(CHUNK_FRAMES)]
    return [ModelFrame(p, first + i, 0.1 * (first + i)) for i, p in enumerate(pixels)]


def submit(supervisor: EngineSupervisor, first: int) -> None:
    supervisor.submit(frames(first), every_frame=True)


def edit(supervisor: EngineSupervisor, first: int) -> tuple[EditField, ...]:
    submit(supervisor, first)
    return expect(supervisor, Edited).fields


def bring_up(supervisor: EngineSupervisor, prompt: str) -> None:
    instruct(supervisor, prompt, 1)
    expect(supervisor, Ready)
    expect(supervisor, Encoded)


def test_fields_come_back_in_order_with_their_frames_times(make: MakeSupervisor) -> None:
    """Catches mixed-up frames, lost times and indices, and a guide of another frame."""
    supervisor = make()
    bring_up(supervisor, "mark")
    for first in (10, 20):
        fields = edit(supervisor, first)
        assert [f.index for f in fields] == [first, first + 1]
        assert [f.captured_at for f in fields] == [0.1 * first, 0.1 * (first + 1)]
        for field in fields:
            assert np.allclose(field.cells[9:], MARK / 255)
            assert np.all(field.guide == field.index)
            assert field.revision == 1


def test_only_the_newest_field_is_sent_where_it_is_enough(make: MakeSupervisor) -> None:
    """Catches megabytes through the pipe that nobody will look at."""
    supervisor = make()
    bring_up(supervisor, "mark")
    supervisor.submit(frames(10), every_frame=False)
    assert [f.index for f in expect(supervisor, Edited).fields] == [11]


def test_the_part_of_the_picture_is_kept(make: MakeSupervisor) -> None:
    """Catches black bars that are edited because the field forgot them."""
    supervisor = make()
    bring_up(supervisor, "mark")
    part = Region(0.25, 0.0, 0.5, 1.0)
    supervisor.submit([replace(f, part=part) for f in frames(0)], every_frame=True)
    assert [f.part for f in expect(supervisor, Edited).fields] == [part, part]


def test_encoding_runs_beside_editing(make: MakeSupervisor, tmp_path: Path) -> None:
    """Catches a picture that stands still while a slow instruction is made ready."""
    supervisor = make()
    bring_up(supervisor, "mark")
    instruct(supervisor, "slowly", 2)
    for first in (0, 2, 4):
        assert edit(supervisor, first)[0].revision == 1
    (tmp_path / "memory.go").touch()
    assert expect(supervisor, Encoded).revision == 2
    assert edit(supervisor, 6)[0].revision == 2


def test_what_piles_up_during_a_long_edit_holds_nobody_up(
    make: MakeSupervisor, tmp_path: Path
) -> None:
    """Catches a pipe that is full of commands while the engine edits: the daemon waited to say one
    more, the engine to hand over its edit, both for ever."""
    supervisor = make()
    bring_up(supervisor, "wait")
    submit(supervisor, 10)
    last = 3000  # a pipe holds some hundred

    def say_much() -> None:
        for revision in range(2, last + 1):
            instruct(supervisor, "mark", revision)

    thread = Thread(target=say_much, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    (tmp_path / "memory.go").touch()
    give_up_at, fields, encoded = time.monotonic() + PATIENCE_S, (), 0
    while not (fields and encoded == last):
        assert time.monotonic() < give_up_at
        event = supervisor.poll(0.2)
        fields = event.fields if isinstance(event, Edited) else fields
        encoded = event.revision if isinstance(event, Encoded) else encoded
    assert [field.revision for field in fields] == [1, 1]


def test_report_and_notice_reach_the_daemon(make: MakeSupervisor) -> None:
    """Catches a status without device, cache figures or the words the model did not know."""
    supervisor = make()
    instruct(supervisor, "gibberish", 4)
    ready = expect(supervisor, Ready)
    assert (ready.name, ready.chunk_frames, ready.report.device) == (
        "scripted",
        CHUNK_FRAMES,
        "cpu/0",
    )
    encoded = expect(supervisor, Encoded)
    assert (encoded.revision, encoded.notice) == (4, "unknown words: gibberish")
    submit(supervisor, 0)
    report = expect(supervisor, Edited).report
    assert (report.cache_skip, report.kv_latents) == (0.5, 1)


def test_refused_instruction_keeps_the_one_before(make: MakeSupervisor) -> None:
    """Catches a refused instruction that stops or changes the picture."""
    supervisor = make()
    bring_up(supervisor, "mark")
    instruct(supervisor, "refuse", 2)
    assert "expected something possible" in expect(supervisor, Rejected).reason
    assert edit(supervisor, 0)[0].revision == 1


def test_preparing_is_answered_and_does_not_change_the_edit(make: MakeSupervisor) -> None:
    """Catches a prompt encoded ahead that takes over, a refused one that ends the process, and one
    that is never answered: it would be asked for again and again."""
    supervisor = make()
    bring_up(supervisor, "mark")
    for prompt in ("raise", "refuse"):
        supervisor.prepare(prompt)
        assert expect(supervisor, Prepared) == Prepared(prompt, ())
    assert edit(supervisor, 10)[0].revision == 1
    assert edit(supervisor, 20)[0].revision == 1
    assert supervisor.num_restarts == 0


def test_crash_restarts_and_encodes_the_instruction_again(make: MakeSupervisor) -> None:
    """Catches an engine that stays dead, or comes back without the instruction in force."""
    supervisor = make()
    bring_up(supervisor, "crash once")
    first_pid = supervisor.pid
    submit(supervisor, 0)
    died = expect(supervisor, Died)
    assert "exit code 3" in str(died.error)
    assert not died.is_final
    assert not supervisor.can_edit
    expect(supervisor, Ready)
    expect(supervisor, Encoded)
    assert supervisor.pid not in (0, first_pid)
    assert edit(supervisor, 5)[0].revision == 1
    assert supervisor.num_restarts == 1


def test_hang_is_killed(make: MakeSupervisor) -> None:
    """Catches a camera that waits for ever on an edit that never returns."""
    supervisor = make(answer_timeout_s=0.3)
    bring_up(supervisor, "hang")
    hung_pid = supervisor.pid
    submit(supervisor, 0)
    assert "silent for 0.3 s" in str(expect(supervisor, Died).error)
    with pytest.raises(ProcessLookupError):
        os.kill(hung_pid, 0)


def test_one_raise_costs_one_chunk_and_resets_the_editor(make: MakeSupervisor) -> None:
    """Catches a restart for a single bad chunk, and a stream that goes on without its reset."""
    supervisor = make()
    bring_up(supervisor, "raise once")
    submit(supervisor, 0)
    assert "one bad chunk" in expect(supervisor, Failed).reason
    submit(supervisor, 2)
    edited = expect(supervisor, Edited)
    assert edited.report.device == "cpu/1"
    assert supervisor.num_restarts == 0


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("raise", "no room"),
        ("short", "returned []"),
        ("nan", "not finite"),
        ("large", "field of shapes"),
    ],
)
def test_three_failures_in_a_row_end_the_process(
    make: MakeSupervisor, prompt: str, reason: str
) -> None:
    """Catches an engine that fails for ever, and an editor that breaks its contract unnoticed."""
    supervisor = make()
    bring_up(supervisor, prompt)
    for first in (0, 2, 4):
        submit(supervisor, first)
        assert reason in expect(supervisor, Failed).reason
    assert "3 edits in a row" in str(expect(supervisor, Died).error)


def test_missing_weights_are_final(make: MakeSupervisor) -> None:
    """Catches endless restarts of a model that cannot be there, and a reason lost in the pipe."""
    died = expect(make("create_without_weights"), Died)
    assert died.is_final
    assert isinstance(died.error, WeightsError)
    assert died.error.hint == "Pull them."


def test_close_leaves_no_process(tmp_path: Path) -> None:
    """Catches orphans that keep a GPU's memory until the machine is restarted."""
    client = EngineClient(
        "scripted_editors:create", EditorOptions(str(tmp_path / "m"), "cpu"), Waker()
    )
    client.start()
    assert isinstance(client.receive(PATIENCE_S), Ready)
    pid = client.pid
    client.close()
    client.close()
    assert client.pid == 0
    assert pid not in [child.pid for child in multiprocessing.active_children()]
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_wake_ends_the_wait_for_the_engine(tmp_path: Path) -> None:
    """Catches an instruction that waits for the engine's next word before it is passed on."""
    waker = Waker()
    client = EngineClient("scripted_editors:create", EditorOptions(str(tmp_path / "m")), waker)
    client.start()
    assert isinstance(client.receive(PATIENCE_S), Ready)
    waker.wake()
    began = time.monotonic()
    assert client.receive(PATIENCE_S) is None
    assert time.monotonic() - began < PATIENCE_S / 2
    client.close()
    waker.close()
    waker.close()
    waker.wake()


def test_engine_ends_with_a_killed_parent(tmp_path: Path) -> None:
    """Catches an engine that lives on, with its GPU memory, after the daemon was killed."""
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "memory")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().strip() == "hanging"
        parent.kill()
        # The engine process inherited this pipe: its end is read once the engine is gone too.
        rest, _ = parent.communicate(timeout=PATIENCE_S)
        assert rest == ""


PARENT = f"""
import numpy as np, os, sys
from liveedit_cam.engine.client import EngineClient
from liveedit_cam.engine.messages import Edit, Encode
from liveedit_cam.protocols import EditorOptions
from liveedit_cam.engine.wake import Waker
from liveedit_cam.types import EditInstruction, ModelFrame

if __name__ == "__main__":
    client = EngineClient("scripted_editors:create", EditorOptions(sys.argv[1]), Waker())
    client.start()
    client.receive({PATIENCE_S})
    client.send(Encode(EditInstruction("hang", revision=1)))
    client.receive({PATIENCE_S})
    frames = [ModelFrame(np.zeros((48, 64, 3), np.uint8), i, 0.0) for i in range(2)]
    client.send(Edit(tuple(frames), every_frame=True))
    print("hanging", flush=True)
    client.receive({PATIENCE_S} * 10)
"""


def test_importing_the_daemon_side_loads_no_model_library() -> None:
    """Catches an import of torch in the daemon: seconds of start-up and a gigabyte of memory."""
    code = (
        "import sys, liveedit_cam.engine.supervisor, liveedit_cam.engine.client\n"
        "import liveedit_cam.daemon.service\n"
        "print('torch' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == "False"
