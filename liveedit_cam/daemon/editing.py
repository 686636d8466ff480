"""Frames to the engine and back into the playout; instructions on their way. Knows no sink."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.mailbox import FrameInbox
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.engine.messages import Edited, Encoded, Failed, Ready, Rejected
from liveedit_cam.engine.messages import Event as EngineEvent
from liveedit_cam.engine.supervisor import Died, EngineSupervisor
from liveedit_cam.errors import LiveEditError
from liveedit_cam.types import State

WAIT_S = 0.05
"""Longest wait for frames or for the engine before looking at the other."""

_log = logging.getLogger(__name__)


class Editing:
    """One step moves one chunk or one event. Belongs to the engine thread."""

    def __init__(
        self,
        supervisor: EngineSupervisor,
        inbox: FrameInbox,
        playout: Playout,
        ledger: EditLedger,
        *,
        board: Board,
        metrics: Metrics,
        source_ended: Event,
        done: Event,
        now: Callable[[], float],
    ) -> None:
        """``source_ended`` is set when no more frames will come; sets ``done`` with ``failure``."""
        self._supervisor = supervisor
        self._inbox = inbox
        self._playout = playout
        self._ledger = ledger
        self._board = board
        self._metrics = metrics
        self._source_ended = source_ended
        self._now = now
        self._taken_at = 0.0
        self._is_first_chunk = True
        self.drained = Event()
        """Set when the source has ended and the engine has nothing more to edit."""
        self._done = done
        self.failure: LiveEditError | None = None
        """Why the engine cannot be started at all; None while there is hope."""

    def step(self) -> bool:
        """Pass on what is new, then wait a moment for frames or for the engine."""
        has_ended = self._source_ended.is_set()  # asked first: then the inbox is complete
        instruction = self._ledger.next_for_engine()
        if instruction is not None:
            self._supervisor.instruct(instruction)
        ahead = self._ledger.next_to_prepare()
        if ahead is not None:
            self._supervisor.prepare(ahead)
        is_waiting = self._supervisor.can_edit and not self._submit()
        event = self._supervisor.poll(0.0 if is_waiting else WAIT_S)
        if event is not None:
            self._apply(event)
        if has_ended and self._has_nothing_left():
            self.drained.set()
        return True

    def close(self) -> None:
        """End the engine process. Only after the loop's thread has ended."""
        self._supervisor.close()
        self._board.update(engine_pid=0)

    def _submit(self) -> bool:
        """Give the engine its next chunk; False when too few frames came in time."""
        chunk_frames = self._supervisor.chunk_frames
        if self._is_first_chunk:  # what came while the engine loaded is old: it would only delay
            self._inbox.keep_newest(chunk_frames)
        frames = self._inbox.take(chunk_frames, WAIT_S)
        if not frames:
            return False
        self._is_first_chunk = False
        self._taken_at = self._now()
        self._supervisor.submit(frames)
        return True

    def _apply(self, event: EngineEvent | Died) -> None:
        match event:
            case Ready():
                self._is_first_chunk = True
                self._board.update(
                    state=State.WARMING,
                    model=event.name,
                    device=event.report.device,
                    engine_pid=self._supervisor.pid,
                    engine_restarts=self._supervisor.num_restarts,
                    changed=None,
                )
                _log.info("the engine is ready: %s on %s", event.name, event.report.device)
            case Encoded():
                self._ledger.encoded(event.revision, event.notice)
            case Rejected():
                self._ledger.refused(event.revision, event.reason)
                self._board.update(last_error=event.reason)
            case Edited():
                self._show(event)
            case Failed():
                self._board.update(last_error=event.reason)
            case Died():
                self._note_death(event)

    def _show(self, event: Edited) -> None:
        frames = self._supervisor.collect(event)
        now = self._now()
        self._playout.put(frames, now)
        self._metrics.edited(len(frames), now - self._taken_at, event.report.cache_skip, now)
        self._board.update(
            state=State.LIVE,
            kv_latents=event.report.kv_latents,
            device=event.report.device,
            given_up=event.report.given_up,
            changed=event.report.changed,
        )

    def _note_death(self, event: Died) -> None:
        self._board.update(
            state=State.STOPPED if event.is_final else State.RECOVERING,
            last_error=str(event.error),
            engine_pid=0,
            engine_restarts=self._supervisor.num_restarts,
            changed=None,
        )
        if event.is_final:
            self.failure = event.error
            self._done.set()

    def _has_nothing_left(self) -> bool:
        supervisor = self._supervisor
        is_short = len(self._inbox) < supervisor.chunk_frames
        return supervisor.is_idle and (is_short or not supervisor.can_edit)
