"""Small frames to the engine, fields back to the compositor; instructions on their way.

Knows no sink and no full-size picture.
"""

from __future__ import annotations

import logging
from threading import Event

import numpy as np

from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import FrameInbox, Latest, Slot, WorkBox
from liveedit_cam.daemon.run import Run
from liveedit_cam.engine.messages import Edited, Encoded, Failed, Prepared, Ready, Rejected
from liveedit_cam.engine.messages import Event as EngineEvent
from liveedit_cam.engine.supervisor import Died, EngineSupervisor
from liveedit_cam.errors import LiveEditError
from liveedit_cam.types import EditField, LatencyMode, ModelSize, State

WAIT_S = 0.1
"""Longest wait for the engine; new frames and instructions end it before."""

MAP_ROWS, MAP_COLUMNS = 9, 16
MAP_STEP = 0.05
"""Change of colour, as a share of full scale, that is one step of the map of a field."""

_log = logging.getLogger(__name__)


def field_map(field: EditField) -> tuple[str, ...]:
    """How much a field changes a middle grey, for people: digits 0 to 9, a text for each row."""
    height, width = field.cells.shape[1:]
    matrix = field.cells[:9].reshape(3, 3, height, width)
    change = np.abs(0.5 * matrix.sum(axis=1) + field.cells[9:]).max(axis=0)
    coarse = np.stack(
        [strip.max(axis=0) for strip in np.array_split(change, min(MAP_ROWS, height))]
    )
    columns = np.array_split(coarse, min(MAP_COLUMNS, width), axis=1)
    levels = np.stack([strip.max(axis=1) for strip in columns], axis=1)
    digits = np.clip(np.ceil(levels / MAP_STEP), 0, 9).astype(int)
    return tuple("".join(map(str, row)) for row in digits)


class Editing:
    """One step passes on what is new and takes one event. Belongs to the engine thread."""

    def __init__(
        self,
        supervisor: EngineSupervisor,
        inbox: FrameInbox,
        work: WorkBox,
        model_size: Latest[ModelSize],
        ledger: EditLedger,
        run: Run,
        *,
        wanted: Event,
    ) -> None:
        """The engine is ended while ``wanted`` is not set, and started again when it is.

        Sets ``run.ends.run`` with ``failure`` where the engine can never start.
        """
        self._supervisor = supervisor
        self._inbox = inbox
        self._work = work
        self._model_size = model_size
        self._ledger = ledger
        self._board, self._metrics, self._now = run.board, run.metrics, run.now
        self._ends = run.ends
        self._wanted = wanted
        self._model: Slot[str] = Slot()
        self._former: str | None = None
        self._steps: Slot[tuple[int | None]] = Slot()
        self._is_first_chunk = True
        self.can_edit = Event()
        """Set while the engine is loaded and has an instruction."""
        self.failure: LiveEditError | None = None
        """Why the engine cannot be started at all; None while there is hope."""

    def step(self) -> bool:
        """Pass on what is new, then wait for the engine, or to be woken."""
        if not self._wanted.is_set():
            self._rest()
            return True
        self._take_wishes()
        has_ended = self._ends.source.is_set()  # asked first: then the inbox is complete
        instruction = self._ledger.next_for_engine()
        if instruction is not None:
            self._supervisor.instruct(instruction)
        ahead = self._ledger.next_to_prepare()
        if ahead is not None:
            self._supervisor.prepare(ahead)
        if self._supervisor.can_edit:
            self.can_edit.set()
            self._submit(has_ended)
        event = self._supervisor.poll(WAIT_S)
        if event is not None:
            self._apply(event)
        if has_ended and self._supervisor.is_idle and len(self._inbox) == 0:
            self._ends.editing.set()
        return True

    def wish_model(self, model: str) -> None:
        """Load another model; where that fails, the one before comes back. Any thread."""
        self._model.put(model)

    def wish_steps(self, num_steps: int | None) -> None:
        """Denoising steps from the next chunk on; None = as many as fit. Any thread."""
        self._steps.put((num_steps,))

    def close(self) -> None:
        """End the engine process. Only after the loop's thread has ended."""
        self._supervisor.close()
        self._board.update(engine_pid=0)

    def _rest(self) -> None:
        """Free the engine's memory until somebody watches again."""
        if self._supervisor.rest():
            self.can_edit.clear()
            self._inbox.keep_newest(0)
            self._board.update(state=State.STARTING, engine_pid=0, changed=None)
        self._wanted.wait(WAIT_S)

    def _take_wishes(self) -> None:
        model, steps = self._model.take(0.0), self._steps.take(0.0)
        if model is not None and model != self._supervisor.model:
            self._former = self._supervisor.model
            self._load(model)
        if steps is not None:
            self._supervisor.set_steps(steps[0])
            self._board.update(wished_steps=steps[0])

    def _load(self, model: str) -> None:
        self._supervisor.set_model(model)
        self.can_edit.clear()
        self._board.update(state=State.STARTING, model=model, engine_pid=0, changed=None)

    def _submit(self, has_ended: bool) -> None:
        """Give the engine its next chunk where enough frames wait."""
        chunk_frames = self._supervisor.chunk_frames
        if self._is_first_chunk and not has_ended:  # what came while it loaded is old
            self._inbox.keep_newest(chunk_frames)
        frames = self._inbox.take(chunk_frames)
        if not frames and has_ended:
            frames = self._inbox.take_rest(chunk_frames)
        size = self._supervisor.size
        if not frames or size is None or not size.takes(*frames[0].pixels.shape[1::-1]):
            return  # too few, or made before the editor asked for another size
        self._is_first_chunk = False
        is_exact = self._board.status().latency is LatencyMode.EXACT
        self._supervisor.submit(frames, every_frame=is_exact)

    def _apply(self, event: EngineEvent | Died) -> None:
        if isinstance(event, Ready | Edited | Failed) and self._model_size.get() != event.size:
            self._model_size.put(event.size)
        match event:
            case Ready():
                self._is_first_chunk = True
                self._former = None
                self._ledger.forget_prepared()
                self._board.update(
                    state=State.WARMING,
                    model=event.name,
                    device=event.report.device,
                    engine_pid=self._supervisor.pid,
                    engine_restarts=self._supervisor.num_restarts,
                    changed=None,
                    edited_by=event.report.edited_by,
                )
                _log.info("the engine is ready: %s on %s", event.name, event.report.device)
            case Encoded():
                self._ledger.encoded(event.revision, event.notice)
                self._board.fault("instruction", None)
            case Prepared():
                self._ledger.prepared(event.prompt, event.unknown)
            case Rejected():
                self._ledger.refused(event.revision, event.reason)
                self._board.fault("instruction", event.reason)
            case Edited():
                self._pass_on(event)
            case Failed():
                self._board.fault("edit", event.reason)
            case Died():
                self._note_death(event)

    def _pass_on(self, event: Edited) -> None:
        if not event.fields:
            return  # the model is far away, and nothing has come since the last
        self._work.put_fields(event.fields)
        now = self._now()
        chunk_s = now - event.fields[-1].captured_at
        self._metrics.edited(chunk_s, event.report.cache_skip, now)
        self._board.fault("engine", None)
        self._board.fault("edit", None)
        if event.report.model is not None:
            self._board.update(model=event.report.model)
        self._board.update(
            state=State.LIVE,
            kv_latents=event.report.kv_latents,
            device=event.report.device,
            given_up=event.report.given_up,
            changed=event.report.changed,
            num_steps=event.report.num_steps,
            edited_by=event.report.edited_by,
            recomputed=event.report.recomputed,
            field_map=field_map(event.fields[-1]),
        )

    def _note_death(self, event: Died) -> None:
        self.can_edit.clear()
        self._board.fault("engine", str(event.error))
        former, self._former = self._former, None
        if former is not None:
            _log.warning("%s cannot be loaded: %s", self._supervisor.model, event.error)
            self._load(former)
            return
        self._board.update(
            state=State.STOPPED if event.is_final else State.RECOVERING,
            engine_pid=0,
            engine_restarts=self._supervisor.num_restarts,
            changed=None,
        )
        if event.is_final:
            self.failure = event.error
            self._ends.run.set()
