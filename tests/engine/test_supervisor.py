"""When the engine is started, judged silent and started again: with a scripted link and clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.backoff import Backoff
from liveedit_cam.engine.messages import (
    Command,
    Encode,
    Encoded,
    Event,
    Failed,
    Fatal,
    Prepare,
    Prepared,
    Ready,
    Rejected,
)
from liveedit_cam.engine.supervisor import Died, EngineSupervisor
from liveedit_cam.engine.watchdog import SLOW_TIMEOUT_S, Watchdog
from liveedit_cam.errors import EngineError, LiveEditError, UnknownBackendError
from liveedit_cam.protocols import EditorReport
from liveedit_cam.types import EditInstruction, ModelFrame, ModelSize

REPORT = EditorReport()
SIZE = ModelSize(16, 12)
READY = Ready("fake", 2, SIZE, REPORT)


class FakeLink:
    """An engine process that says what it was given to say; an error in the script is a death."""

    def __init__(self, clock: Clock, script: Sequence[Event | LiveEditError | None]) -> None:
        self.pid = 1
        self.started_at: list[float] = []
        self.encoded: list[int] = []
        self.prepared: list[str] = []
        self.num_kills = 0
        self._clock = clock
        self._script = deque(script)

    def start(self) -> None:
        self.started_at.append(self._clock.now())

    def send(self, command: Command) -> None:
        if isinstance(command, Encode):
            self.encoded.append(command.instruction.revision)
        if isinstance(command, Prepare):
            self.prepared.append(command.prompt)

    def receive(self, timeout_s: float) -> Event | None:
        event = self._script.popleft() if self._script else None
        if event is None:
            self._clock.wait(timeout_s)
        if isinstance(event, LiveEditError):
            raise event
        return event

    def kill(self) -> None:
        self.num_kills += 1

    def close(self) -> None:
        """Nothing to free."""


def supervise(
    *script: Event | LiveEditError | None,
) -> tuple[EngineSupervisor, FakeLink, Clock]:
    clock = Clock(100.0)
    link = FakeLink(clock, script)
    return EngineSupervisor(link, now=clock.now, pause=clock.wait), link, clock


def poll_until_died(supervisor: EngineSupervisor, limit: int = 10_000) -> Died:
    for _ in range(limit):
        event = supervisor.poll(0.1)
        if isinstance(event, Died):
            return event
    raise AssertionError("the engine was never buried")


def test_restarts_wait_longer_each_time_up_to_fifteen_seconds() -> None:
    """Catches a restart loop that burns the processor, and one that waits for ever longer."""
    supervisor, link, _ = supervise(*[EngineError("dead")] * 8)
    for _ in range(8):
        poll_until_died(supervisor)
    waits = [b - a for a, b in pairwise(link.started_at)]
    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 15, 15])


def test_backoff_starts_small_again_only_after_calm() -> None:
    """Catches an engine that edits once, dies and is started again in a rush, for ever."""
    clock = Clock(100.0)
    backoff = Backoff(clock.now)
    assert [backoff.failed(), backoff.failed()] == [0.5, 1.0]
    backoff.succeeded()
    clock.wait(29.9)
    assert backoff.failed() == 2.0
    backoff.succeeded()
    clock.wait(30.0)
    backoff.succeeded()
    assert backoff.failed() == 0.5


def test_silent_start_is_given_three_minutes_and_no_more() -> None:
    """Catches a slow model that is killed while it loads, and one that hangs there for ever."""
    supervisor, link, clock = supervise()
    began = clock.now_s
    assert "silent for 180 s" in str(poll_until_died(supervisor).error)
    assert 180 < clock.now_s - began < 180.5
    assert link.num_kills == 1


def test_a_computer_that_needs_longer_to_load_gets_there() -> None:
    """Catches a start that is cut at the same moment each time, for ever, and one never cut."""
    supervisor, link, clock = supervise()
    waited = []
    for _ in range(5):
        poll_until_died(supervisor, limit=20_000)
        waited.append(round(clock.now_s - link.started_at[-1]))
    assert waited == [180, 360, 720, 1440, 1440]


def test_a_prompt_is_asked_to_be_encoded_ahead_once() -> None:
    """Catches a prompt that is sent several times a second for as long as an edit takes, and
    another one that is lost over it: OBS names the next scene only once."""
    supervisor, link, _ = supervise(READY, Prepared("night", ()), EngineError("gone"), READY)
    supervisor.prepare("too early")
    supervisor.poll(0.1)
    supervisor.poll(0.1)
    for prompt in ("night", "night", "sepia", "night"):
        supervisor.prepare(prompt)
    assert link.prepared == ["night", "sepia"]
    supervisor.poll(0.1)
    for prompt in ("sepia", "night"):
        supervisor.prepare(prompt)
    assert link.prepared == ["night", "sepia", "night"]
    poll_until_died(supervisor)
    while not supervisor.size:
        supervisor.poll(0.1)
    supervisor.prepare("sepia")
    assert link.prepared == ["night", "sepia", "night", "sepia"]


def test_an_engine_nobody_asked_may_be_silent() -> None:
    """Catches the restart of a healthy engine while the camera delivers nothing."""
    supervisor, link, clock = supervise(READY, Encoded(1, None))
    supervisor.instruct(EditInstruction("x", revision=1))
    for _ in range(3):
        supervisor.poll(0.1)
    clock.wait(10_000)
    assert supervisor.poll(0.1) is None
    assert link.num_kills == 0


def test_only_the_newest_instruction_is_encoded_after_a_restart() -> None:
    """Catches a return to an old instruction, or to none, when the engine comes back."""
    supervisor, link, _ = supervise(
        READY, Encoded(1, None), EngineError("dead"), READY, Encoded(2, None)
    )
    supervisor.instruct(EditInstruction("one", revision=1))
    poll_until_died(supervisor)
    supervisor.instruct(EditInstruction("two", revision=2))
    assert not supervisor.can_edit
    while not supervisor.can_edit:
        supervisor.poll(0.1)
    assert link.encoded == [1, 2]


def test_a_refused_instruction_is_not_sent_again() -> None:
    """Catches a restart that begins with an instruction the model refused, so nothing is edited."""
    supervisor, link, _ = supervise(
        READY, Encoded(2, None), Rejected(3, "no"), EngineError("dead"), READY, Encoded(2, None)
    )
    supervisor.instruct(EditInstruction("one", revision=1))
    for _ in range(2):
        supervisor.poll(0.1)
    for revision in (2, 3):
        supervisor.instruct(EditInstruction("later", revision=revision))
    poll_until_died(supervisor)
    while not supervisor.can_edit:
        supervisor.poll(0.1)
    assert link.encoded == [1, 2, 3, 2]


def test_a_wrong_name_is_final_only_before_the_first_ready() -> None:
    """Catches a live camera given up for good because a restart met a passing failure."""
    wrong = Fatal(UnknownBackendError("no such editor"))
    supervisor, link, clock = supervise(wrong)
    assert poll_until_died(supervisor).is_final
    clock.wait(1000)
    supervisor.poll(0.1)
    assert len(link.started_at) == 1
    supervisor, _, _ = supervise(READY, wrong)
    assert not poll_until_died(supervisor).is_final


def pass_time(watchdog: Watchdog, clock: Clock, seconds: float) -> bool:
    """Let so many seconds pass with a look every 100 ms; whether it is overdue then."""
    is_overdue = watchdog.is_overdue()
    for _ in range(round(seconds / 0.1)):
        clock.wait(0.1)
        is_overdue = watchdog.is_overdue()
    return is_overdue


def test_watchdog_counts_from_the_oldest_open_question() -> None:
    """Catches an engine kept alive by questions: each new one would put off the judgement."""
    clock = Clock(100.0)
    watchdog = Watchdog(clock.now, answer_timeout_s=20)
    watchdog.asked()
    assert not pass_time(watchdog, clock, 15)
    watchdog.asked()
    assert pass_time(watchdog, clock, 6)
    watchdog.answered(is_more_due=True)
    assert not watchdog.is_overdue()
    assert pass_time(watchdog, clock, 21)
    watchdog.answered(is_more_due=False)
    assert not pass_time(watchdog, clock, 1000)


def test_a_text_encoder_may_take_longer_than_an_edit() -> None:
    """Catches an engine killed, again and again, while it reads a large text encoder from disk."""
    clock = Clock(100.0)
    watchdog = Watchdog(clock.now, answer_timeout_s=20.0)
    watchdog.asked(may_be_slow=True)
    assert not pass_time(watchdog, clock, 60)
    assert pass_time(watchdog, clock, SLOW_TIMEOUT_S)
    watchdog.answered(is_more_due=False)
    watchdog.asked()
    assert pass_time(watchdog, clock, 21)


def test_a_hang_is_judged_by_what_chunks_usually_take() -> None:
    """Catches a camera frozen for 20 s by a model that answers in a tenth of one (issue 15)."""
    clock = Clock(100.0)
    watchdog = Watchdog(clock.now, answer_timeout_s=20.0)
    for chunk_s in (0.5, 0.5, 0.5):
        watchdog.took(chunk_s)
    watchdog.asked()
    assert not pass_time(watchdog, clock, 4.5)
    assert pass_time(watchdog, clock, 1.0)
    watchdog.stopped()
    watchdog.asked()
    assert watchdog.limit_s == pytest.approx(5.0)


def test_the_daemons_own_stall_is_not_the_engines() -> None:
    """Catches an engine killed because the computer was suspended for an hour (issue 15)."""
    clock = Clock(100.0)
    watchdog = Watchdog(clock.now, answer_timeout_s=5.0)
    watchdog.asked()
    clock.wait(3600)
    assert not watchdog.is_overdue()
    assert pass_time(watchdog, clock, 5.0)


def test_a_new_instruction_is_tried_at_once() -> None:
    """Catches fifteen seconds of nothing after the instruction that killed the engine is gone."""
    supervisor, link, clock = supervise(*[EngineError("dead")] * 5, READY)
    for _ in range(5):
        poll_until_died(supervisor)
    supervisor.instruct(EditInstruction("another", revision=2))
    before = clock.now_s
    supervisor.poll(0.1)
    assert link.started_at[-1] == before


def test_the_chunk_after_a_failure_may_be_slow() -> None:
    """Catches an engine killed while it warms up anew, with less memory, and so for ever."""
    failed = Failed("Memory ran out; now: window 12 -> 9 latents.", 2, SIZE)
    supervisor, link, _ = supervise(READY, Encoded(1, None), failed)
    supervisor.instruct(EditInstruction("make it blue", revision=1))
    for _ in range(3):
        supervisor.poll(0.1)
    frames = [ModelFrame(np.zeros((32, 48, 3), np.uint8), n, 0.0) for n in range(2)]
    supervisor.submit(frames, every_frame=True)
    assert isinstance(supervisor.poll(0.1), Failed)
    supervisor.submit(frames, every_frame=True)
    for _ in range(int((SLOW_TIMEOUT_S - 5) / 0.1)):
        assert supervisor.poll(0.1) is None
    assert link.num_kills == 0
