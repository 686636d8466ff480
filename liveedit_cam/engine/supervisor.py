"""Keeps an engine process running: starts it, watches it, starts it again. Knows no pictures.

The daemon calls ``poll`` in a loop and sees one stream of events; a death is an event like others.
After a restart the instruction in force is encoded again before the first edit.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from liveedit_cam.backoff import Backoff
from liveedit_cam.engine.client import EngineClient
from liveedit_cam.engine.messages import (
    Command,
    Edit,
    Edited,
    Encode,
    Encoded,
    Event,
    Failed,
    Fatal,
    Pace,
    Prepare,
    Prepared,
    Ready,
    Rejected,
)
from liveedit_cam.engine.watchdog import ANSWER_TIMEOUT_S, START_TIMEOUT_S, Watchdog
from liveedit_cam.errors import (
    EngineError,
    LiveEditError,
    MissingDependencyError,
    UsageError,
    WeightsError,
)
from liveedit_cam.types import EditInstruction, ModelFrame, ModelSize

_HOPELESS = (UsageError, WeightsError, MissingDependencyError)
"""Errors another start cannot mend: a wrong name, missing weights, a missing package."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Died:
    """The engine process is gone; its chunk is lost. It is started again unless ``is_final``."""

    error: LiveEditError
    is_final: bool
    """True when it never ran and another start cannot help."""


class EngineSupervisor:
    """One engine that comes back. Used by one thread."""

    def __init__(
        self,
        link: EngineClient,
        *,
        start_timeout_s: float = START_TIMEOUT_S,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """``pause`` waits that many seconds; it is used while no process runs."""
        self._link = link
        self._watchdog = Watchdog(
            now, start_timeout_s=start_timeout_s, answer_timeout_s=answer_timeout_s
        )
        self._backoff = Backoff(now)
        self._pause = pause
        self._wanted: EditInstruction | None = None
        self._good: EditInstruction | None = None
        self._asked: dict[int, EditInstruction] = {}
        self._broken: EngineError | None = None
        self._is_up = False
        self._is_given_up = False
        self._has_been_ready = False
        self._shape: tuple[int, ...] = ()
        self._has_failed = False
        self.size: ModelSize | None = None
        """How large ``submit`` wants frames; None while no process is ready."""
        self._ahead: set[str] = set()
        self._forget_process()
        self.num_restarts = 0

    @property
    def pid(self) -> int:
        """Number of the engine process; 0 while there is none."""
        return self._link.pid

    @property
    def can_edit(self) -> bool:
        """True when ``submit`` may be called."""
        return self._is_conditioned and not self._is_editing and self._broken is None

    @property
    def is_idle(self) -> bool:
        """True when the editor is loaded and owes no answer."""
        return self._is_ready and not self._asked and not self._is_editing

    def instruct(self, instruction: EditInstruction) -> None:
        """Edit by this instruction from the next chunk on; also after a restart."""
        self._wanted = instruction
        self._backoff.clear()  # what failed was perhaps the instruction before
        if self._is_ready:
            self._encode(instruction)

    @property
    def model(self) -> str:
        """Which model the process has, or gets when it is started."""
        return self._link.options.model

    def set_model(self, model: str) -> None:
        """End the process; the next ``poll`` starts one with that model."""
        self._link.options = replace(self._link.options, model=model)
        self.rest()
        self._backoff.clear()
        self._is_given_up = False

    def set_steps(self, num_steps: int | None) -> None:
        """Denoising steps from the next chunk on; None = as many as fit. Kept for new starts."""
        self._link.options = replace(self._link.options, num_steps=num_steps)
        self._tell_ready(Pace(num_steps))

    def prepare(self, prompt: str) -> None:
        """Encode a prompt ahead where the engine is ready; otherwise it is forgotten.

        One that is not answered yet is not sent again: some ask several times a second.
        """
        if self._is_ready and prompt not in self._ahead:
            self._ahead.add(prompt)
            self._tell_ready(Prepare(prompt))

    def submit(self, frames: Sequence[ModelFrame], *, every_frame: bool) -> None:
        """Have ``chunk_frames`` frames of ``size`` edited; only while ``can_edit``."""
        assert self.can_edit, "submit() while the engine cannot edit"
        self._is_editing = True
        may_be_slow = self._is_new_shape(frames) or self._has_failed  # less memory: warmed up anew
        self._has_failed = False
        self._watchdog.asked(may_be_slow=may_be_slow)
        self._tell(Edit(tuple(frames), every_frame))

    def poll(self, timeout_s: float) -> Event | Died | None:
        """The next event, None when none came in time; starts the process where it is missing."""
        if not self._is_up:
            return self._start_when_due(timeout_s)
        if self._broken is not None:
            return self._bury(self._broken)
        try:
            event = self._link.receive(timeout_s)
        except EngineError as error:
            return self._bury(error)
        if event is None:
            return self._bury(self._silence()) if self._watchdog.is_overdue() else None
        return self._bury(event.error) if isinstance(event, Fatal) else self._note(event)

    def rest(self) -> bool:
        """End the process until the next ``poll``; False where there was none."""
        was_up, self._is_up = self._is_up, False
        if was_up:
            self._link.kill()
            self._forget_process()
        return was_up

    def close(self) -> None:
        """End the process and free everything. May be called twice."""
        self._forget_process()
        self._is_up = False
        self._link.close()

    def _start_when_due(self, timeout_s: float) -> Died | None:
        remaining_s = self._backoff.remaining_s()
        if self._is_given_up or remaining_s > 0:
            self._pause(timeout_s if self._is_given_up else min(timeout_s, remaining_s))
            return None
        try:
            self._link.start()
        except EngineError as error:
            return self._bury(error)
        self._is_up = True
        self._watchdog.started()
        return None

    def _note(self, event: Event) -> Event:
        if isinstance(event, Prepared):
            self._ahead.discard(event.prompt)
            return event  # says nothing of the edit that is awaited: it comes from another thread
        if isinstance(event, Ready):
            self._is_ready = self._has_been_ready = True
        elif isinstance(event, Encoded | Rejected):
            self._note_encoding(event)
        elif isinstance(event, Edited | Failed):
            self._is_editing, self._has_failed = False, isinstance(event, Failed)
        if isinstance(event, Ready | Edited | Failed):
            self.chunk_frames, self.size = event.chunk_frames, event.size
        if isinstance(event, Edited):
            self._backoff.succeeded()
            self._watchdog.took(event.seconds)
        is_more_due = bool(self._asked) or self._is_editing
        self._watchdog.answered(is_more_due=is_more_due, may_be_slow=bool(self._asked))
        if isinstance(event, Ready) and self._wanted is not None:
            self._encode(self._wanted)
        return event

    def _note_encoding(self, event: Encoded | Rejected) -> None:
        instruction = self._asked.pop(event.revision)
        for revision in [asked for asked in self._asked if asked < event.revision]:
            del self._asked[revision]  # replaced before it was encoded: it gets no answer
        if isinstance(event, Encoded):
            self._is_conditioned = True
            self._good = instruction
        elif instruction is self._wanted:
            self._wanted = self._good

    def _encode(self, instruction: EditInstruction) -> None:
        self._asked[instruction.revision] = instruction
        self._watchdog.asked(may_be_slow=True)
        self._tell(Encode(instruction))

    def _tell_ready(self, command: Command) -> None:
        """Say what means nothing to an engine that is still loading."""
        if self._is_ready and self._broken is None:
            self._tell(command)

    def _tell(self, command: Command) -> None:
        try:
            self._link.send(command)
        except EngineError as error:
            self._broken = error  # the next poll tells it

    def _is_new_shape(self, frames: Sequence[ModelFrame]) -> bool:
        """Whether the picture has a shape that this process has not met last.

        The first whole picture is none: for that one it was warmed up.
        """
        before, self._shape = self._shape, frames[0].pixels.shape
        return self._shape != before and (before != () or frames[0].part is not None)

    def _silence(self) -> EngineError:
        return EngineError(
            f"The engine process was silent for {self._watchdog.limit_s:g} s, expected an answer.",
            hint="It is started again; if this repeats, choose a smaller model or a faster device.",
        )

    def _bury(self, error: LiveEditError) -> Died:
        self._link.kill()
        self._is_up = False
        self._forget_process()
        self._is_given_up = isinstance(error, _HOPELESS) and not self._has_been_ready
        wait_s = self._backoff.failed()
        if self._is_given_up:
            _log.info("the engine cannot start: %s", error)  # who started it raises the error
        else:
            self.num_restarts += 1
            _log.warning("the engine is started again in %g s: %s", wait_s, error)
        return Died(error, self._is_given_up)

    def _forget_process(self) -> None:
        self.chunk_frames = 0
        self.size = None
        self._broken = None
        self._is_ready = False
        self._ahead.clear()
        self._is_conditioned = False
        self._asked.clear()
        self._is_editing = False
        self._shape = ()
        self._has_failed = False
        self._watchdog.stopped()
