"""The whole program from a Config: opens everything, runs the loops, takes it all down again.

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
from liveedit_cam.daemon.capture import Capture, Outputs
from liveedit_cam.daemon.compositor import Compositor
from liveedit_cam.daemon.controller import Controller
from liveedit_cam.daemon.demand import Demand
from liveedit_cam.daemon.editing import Editing
from liveedit_cam.daemon.ledger import EditLedger
from liveedit_cam.daemon.loop import Loop
from liveedit_cam.daemon.mailbox import FrameInbox, Latest, WorkBox
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.present import Presenter, Screens, Showings
from liveedit_cam.daemon.recording import Recorder
from liveedit_cam.daemon.run import Run
from liveedit_cam.daemon.switching import Switchboard
from liveedit_cam.engine.client import EngineClient
from liveedit_cam.engine.supervisor import EngineSupervisor
from liveedit_cam.engine.wake import Waker
from liveedit_cam.errors import ControlError, LiveEditError
from liveedit_cam.pacing import Pacer
from liveedit_cam.protocols import (
    ChosenSource,
    Microphone,
    Sink,
    Source,
    WatchedSink,
)
from liveedit_cam.types import Choice, ModelSize, State, Status

INBOX_FRAMES = 32
"""Small frames; an editor of longer chunks could never fill one."""
PLAYOUT_FRAMES = 64
JOIN_TIMEOUT_S = 10.0

_log = logging.getLogger(__name__)


class Service:
    """Capture, engine and sinks of one run. ``start`` and ``stop`` belong to one thread."""

    def __init__(
        self,
        config: Config,
        *,
        editor: str | None = None,
        cancel: Event | None = None,
        now: Callable[[], float] = time.monotonic,
        open_source: Callable[..., Source] = registry.open_source,
        open_sink: Callable[..., Sink] = registry.open_sink,
        open_microphone: Callable[[str], Microphone] | None = None,
        is_locked: Callable[[], bool] | None = None,
    ) -> None:
        """Open nothing yet. ``editor``: ``"module:function"`` of one, instead of the config's.

        ``cancel`` ends the opening of a slow source; None = ``stop`` does. ``open_source`` and
        ``open_sink`` take a spec, as the registry's do; ``open_microphone`` a part of a name, None
        = recordings have no sound. While ``is_locked``, the camera rests.
        """
        self._config = config
        self._source_spec = config.source
        self._editor = editor or config.editor
        self._open_source_of, self._open_sink_of = open_source, open_sink
        self._open_microphone = open_microphone
        self._now = now
        self._size = (config.width, config.height)
        self._board, self._metrics = Board(_first_status(config)), Metrics()
        self._run = Run(self._board, self._metrics, now)
        self._stop, self._ends = self._run.stop, self._run.ends
        self._cancel = cancel or self._stop
        self._open = ExitStack()
        self._editing: Editing | None = None
        self._switchboard: Switchboard | None = None
        self._inbox = FrameInbox(INBOX_FRAMES)
        self._work = WorkBox()
        self._model_size: Latest[ModelSize] = Latest()
        self._waker = Waker()
        self._screens = Screens(self._size, _playout(config), Latest(), Latest())
        self._ledger = EditLedger(now, self._waker.wake)
        self._demand = Demand(
            config.on_demand, now, engine_rest_s=config.engine_rest_s, is_locked=is_locked
        )
        self._recorder = self._make_recorder()
        self.controller = Controller(
            self._ledger,
            self._run,
            self._inbox,
            self._screens.shown,
            looked=self._demand.looked,
            recorder=self._recorder,
            choose=self._choose,
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
        self._waker.wake()
        self._ledger.close()
        try:
            self._open.close()
        finally:
            self._board.update(state=State.STOPPED)

    def wait(self, timeout_s: float) -> bool:
        """Block up to ``timeout_s``; True once a source with an end was played or all hope is lost.

        ``failure`` tells the two apart.
        """
        return self._ends.run.wait(timeout_s)

    def _open_all(self) -> None:
        source = self._open_own_source()
        self._open.callback(source.close)
        showings = Showings(self._ledger, self._metrics, self._now)
        outlets = [self._open_outlet(spec, showings) for spec in self._config.sinks]
        self._open.callback(self._waker.close)
        self._editing = self._make_editing()
        self._open.callback(self._editing.close)
        capture = self._make_capture(source, self._editing.can_edit)
        self._switchboard = Switchboard(
            open_source=self._open_source,
            open_sink=self._open_sink,
            capture=capture,
            outlet=outlets[0],
            editing=self._editing,
            took_source=self._take_source,
            in_force={Choice.SOURCE: self._source_spec, Choice.SINK: self._config.sinks[0]},
        )
        compositor = Compositor(
            self._work,
            self._screens.playout,
            self._run,
            hold_s=self._config.hold_s,
            transition_of=self._ledger.transition_of,
        )
        presenter = self._make_presenter(outlets)
        steps = [
            ("capture", capture.step),
            ("engine", self._editing.step),
            ("compositor", compositor.step),
            ("present", presenter.step),
            *((f"sink {number}", outlet.step) for number, outlet in enumerate(outlets)),
        ]
        watched: list[WatchedSink] = [*outlets, self._recorder]
        if self._demand.is_on:
            steps.append(("demand", partial(self._demand.step, watched, self._stop)))
        loops = [Loop(name, step, self._run) for name, step in steps]
        self._open.callback(self._recorder.close)
        self._open.callback(self._end_loops, capture, loops)
        for loop in loops:
            loop.start()

    def _make_capture(self, source: Source, can_edit: Event) -> Capture:
        """A source that is played once waits for the editor: all of it is to be edited."""
        return Capture(
            source,
            self._open_own_source,
            self._size,
            Outputs(self._screens.raw, self._inbox, self._work, self._model_size, self._waker.wake),
            self._run,
            may_begin=None if self._config.loop else can_edit,
            wanted=self._demand.camera,
        )

    def _choose(self, what: Choice, value: str, is_trial: bool) -> str:
        if self._switchboard is None:
            raise ControlError("The camera is still starting.", hint="Try again in a moment.")
        return self._switchboard.choose(what, value, is_trial=is_trial)

    def _take_source(self, spec: str) -> None:
        self._source_spec = spec

    def _open_own_source(self) -> Source:
        """The user's source; once one was chosen for "auto" or by a number, that very one.

        A camera that fails in a call must not become another lens, or the drawn scene.
        """
        source = self._open_source(self._source_spec)
        _, target = registry.parse_spec(self._source_spec)
        if (not target or target.isdecimal()) and isinstance(source, ChosenSource):
            self._source_spec = source.spec
        return source

    def _open_source(self, spec: str) -> Source:
        config = self._config
        return self._open_source_of(
            spec,
            loop=config.loop,
            realtime=config.realtime,
            width=config.width,
            height=config.height,
            fps=config.fps,
            stop=self._cancel,
        )

    def _open_outlet(self, spec: str, showings: Showings) -> Outlet:
        reopen = partial(self._open_sink, spec)
        outlet = Outlet(reopen(), reopen, self._now, showings.written)
        self._open.callback(outlet.close)
        return outlet

    def _make_recorder(self) -> Recorder:
        return Recorder(
            self._open_sink,
            self._config.fps,
            self._ledger.find,
            board=self._board,
            now=self._now,
            open_microphone=self._open_microphone,
            folder=self._config.record_folder,
        )

    def _open_sink(self, spec: str) -> Sink:
        width, height = self._size
        return self._open_sink_of(spec, width=width, height=height, fps=self._config.fps)

    def _make_editing(self) -> Editing:
        config = self._config
        supervisor = EngineSupervisor(
            EngineClient(self._editor, config.editor_options, self._waker),
            answer_timeout_s=config.edit_timeout_s,
            now=self._now,
            pause=self._waker.wait,
        )
        return Editing(
            supervisor,
            self._inbox,
            self._work,
            self._model_size,
            self._ledger,
            self._run,
            wanted=self._demand.engine,
        )

    def _make_presenter(self, outlets: list[Outlet]) -> Presenter:
        config = self._config
        return Presenter(
            outlets,
            self._screens,
            config.hold_s,
            Pacer(config.fps, now=self._now, sleep=self._stop.wait),
            self._run,
            record=self._recorder.offer,
            wanted=self._demand.camera,
        )

    def _end_loops(self, capture: Capture, loops: list[Loop]) -> None:
        self._stop.set()
        capture.close()
        self._waker.wake()
        for loop in loops:
            if not loop.join(JOIN_TIMEOUT_S):
                _log.error("the %s loop did not end within %g s", loop.name, JOIN_TIMEOUT_S)


def _first_status(config: Config) -> Status:
    return Status(
        mode=config.mode,
        latency=config.latency,
        on_failure=config.on_failure,
        source=config.source,
        sinks=config.sinks,
        model=config.model,
        wished_steps=config.steps,
        fit=config.fit,
        mirror=config.mirror,
        device=config.device,
    )


def _playout(config: Config) -> Playout:
    if config.delay_ms is None:
        return Playout(capacity=PLAYOUT_FRAMES)
    delay_s = config.delay_ms / 1000
    capacity = PLAYOUT_FRAMES + math.ceil(delay_s * config.fps)
    return Playout(capacity=capacity, exact_delay_s=delay_s)
