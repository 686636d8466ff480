"""The whole program from a Config: opens everything, runs the three loops, takes it all down again.

Backends are named by the Config only. No model is loaded in this process.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from threading import Event

from liveedit_cam import registry
from liveedit_cam.config import Config
from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.capture import Capture
from liveedit_cam.daemon.controller import Controller
from liveedit_cam.daemon.editing import Editing
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.loop import Loop
from liveedit_cam.daemon.mailbox import FrameInbox, Latest
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.present import Presenter, Rules
from liveedit_cam.engine.client import MAX_CHUNK_FRAMES, EngineClient
from liveedit_cam.engine.supervisor import EngineSupervisor
from liveedit_cam.errors import LiveEditError
from liveedit_cam.pacing import Pacer
from liveedit_cam.protocols import ChosenSource, EditorOptions, Source
from liveedit_cam.types import Frame, State, Status

INBOX_FRAMES = 2 * MAX_CHUNK_FRAMES
PLAYOUT_FRAMES = 64
JOIN_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class Service:
    """Capture, engine and sinks of one run. ``start`` and ``stop`` belong to one thread."""

    def __init__(
        self,
        config: Config,
        *,
        editor: str = "diffusion",
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing yet. ``editor`` is a kind, or ``"module:function"`` of a factory."""
        self._config = config
        self._source_spec = config.source
        self._editor = editor
        self._now = now
        self._size = (config.width, config.height)
        self._stop = Event()
        self._done = Event()
        self._open = ExitStack()
        self._editing: Editing | None = None
        self._inbox = FrameInbox(INBOX_FRAMES)
        self._raw: Latest[Frame] = Latest()
        self._shown: Latest[Frame] = Latest()
        self._playout = _playout(config)
        self._ledger = EditLedger(now)
        self._metrics = Metrics()
        self._board = Board(
            Status(
                mode=config.mode,
                source=config.source,
                sinks=config.sinks,
                model=config.model,
                device=config.device,
            )
        )
        self.controller = Controller(
            self._ledger,
            self._board,
            self._metrics,
            self._inbox,
            self._playout,
            self._shown,
            now=now,
        )

    @property
    def failure(self) -> LiveEditError | None:
        """Why the service failed for good; None where it did not."""
        return None if self._editing is None else self._editing.failure

    def start(self) -> None:
        """Open source and sinks and run; the engine loads meanwhile, behind the still card.

        Raises LiveEditError, and leaves nothing open then. May be called once.
        """
        assert not self._stop.is_set(), "a stopped service cannot be started again"
        config = self._config
        self.controller.instruct(
            config.prompt, strength=config.strength, seed=config.seed, origin="start"
        )
        try:
            self._open_all()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End threads and engine, close source and sinks. May be called twice.

        Raises LiveEditError where a sink could not finish, after everything else was closed.
        """
        self._stop.set()
        self._ledger.close()
        try:
            self._open.close()
        finally:
            self._board.update(state=State.STOPPED)

    def wait(self, timeout_s: float) -> bool:
        """Block up to ``timeout_s``; True once a source with an end was played or all hope is lost.

        ``failure`` tells the two apart.
        """
        return self._done.wait(timeout_s)

    def _open_all(self) -> None:
        source = self._open_source()
        self._open.callback(source.close)
        capture = Capture(
            source,
            self._open_source,
            self._size,
            self._inbox,
            self._raw,
            board=self._board,
            metrics=self._metrics,
            stop=self._stop,
            now=self._now,
        )
        outlets = [self._open_outlet(spec) for spec in self._config.sinks]
        self._editing = self._make_editing(capture.ended)
        self._open.callback(self._editing.close)
        presenter = self._make_presenter(outlets, self._editing.drained)
        steps = (
            ("capture", capture.step),
            ("engine", self._editing.step),
            ("present", presenter.step),
        )
        loops = [Loop(name, step, self._stop, self._board) for name, step in steps]
        self._open.callback(self._end_loops, capture, loops)
        for loop in loops:
            loop.start()

    def _open_source(self) -> Source:
        """The user's source; once one was chosen for "auto" or "camera", that very one.

        A camera that fails in a call must not become another lens, or the drawn scene.
        """
        config = self._config
        source = registry.open_source(self._source_spec, loop=config.loop, realtime=config.realtime)
        _, target = registry.parse_spec(self._source_spec)
        if not target and isinstance(source, ChosenSource):
            self._source_spec = source.spec
        return source

    def _open_outlet(self, spec: str) -> Outlet:
        width, height = self._size
        reopen = partial(registry.open_sink, spec, width=width, height=height, fps=self._config.fps)
        outlet = Outlet(reopen(), reopen, self._now)
        self._open.callback(outlet.close)
        return outlet

    def _make_editing(self, source_ended: Event) -> Editing:
        config = self._config
        client = EngineClient(
            self._editor,
            EditorOptions(config.model, config.device, config.target_fps),
            width=config.width,
            height=config.height,
        )
        supervisor = EngineSupervisor(
            client, answer_timeout_s=config.edit_timeout_s, now=self._now, pause=self._stop.wait
        )
        return Editing(
            supervisor,
            self._inbox,
            self._playout,
            self._ledger,
            board=self._board,
            metrics=self._metrics,
            source_ended=source_ended,
            done=self._done,
            now=self._now,
        )

    def _make_presenter(self, outlets: list[Outlet], editing_drained: Event) -> Presenter:
        config = self._config
        return Presenter(
            outlets,
            self._playout,
            self._raw,
            self._shown,
            size=self._size,
            rules=Rules(config.on_failure == "raw", config.hold_s),
            pacer=Pacer(config.fps, now=self._now, sleep=self._stop.wait),
            ledger=self._ledger,
            board=self._board,
            metrics=self._metrics,
            editing_drained=editing_drained,
            done=self._done,
            now=self._now,
        )

    def _end_loops(self, capture: Capture, loops: list[Loop]) -> None:
        self._stop.set()
        capture.close()
        self._inbox.close()
        for loop in loops:
            if not loop.join(JOIN_TIMEOUT_S):
                _log.error("the %s loop did not end within %g s", loop.name, JOIN_TIMEOUT_S)


def _playout(config: Config) -> Playout:
    if config.delay_ms is None:
        return Playout(capacity=PLAYOUT_FRAMES)
    delay_s = config.delay_ms / 1000
    capacity = PLAYOUT_FRAMES + math.ceil(delay_s * config.fps)
    return Playout(capacity=capacity, fixed_delay_s=delay_s)
