"""Another source, output, model and steps while the whole program runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event

import numpy as np
import pytest
from daemon_fakes import FakeSink

from liveedit_cam.config import Config
from liveedit_cam.daemon.service import Service
from liveedit_cam.errors import SinkError, SourceError, UsageError
from liveedit_cam.protocols import Sink, Source
from liveedit_cam.sources.pattern import Pattern
from liveedit_cam.types import Choice, Frame

PATIENCE_S = 30.0


class Camera(Pattern):
    """One colour; "dead" opens and gives nothing."""

    def __init__(self, spec: str) -> None:
        super().__init__(width=64, height=64)
        self.name, self.is_dead, self.closed = spec, spec.endswith("dead"), Event()
        self._level = 200 if spec.endswith("bright") else 40

    def read(self) -> Frame:
        frame = super().read()
        if self.is_dead:
            raise SourceError("It gives no picture.")
        return Frame(np.full((64, 64, 3), self._level, np.uint8), frame.index, frame.captured_at)

    def close(self) -> None:
        self.closed.set()
        super().close()


class Run:
    def __init__(self) -> None:
        self.sources: list[Camera] = []
        self.sinks: list[FakeSink] = []
        config = Config.model_validate(
            {
                "source": "camera:dark",
                "sinks": ["first", "second"],
                "width": 64,
                "height": 64,
                "model": "/models/one",
                "mode": "bypass",
            }
        )
        self.service = Service(
            config,
            editor="scripted_editors:create_named",
            open_source=self._open_source,
            open_sink=self._open_sink,
        )
        self.service.start()
        self.choose = self.service.controller.choose

    def _open_source(self, spec: str, **options: object) -> Source:
        self.sources.append(Camera(spec))
        return self.sources[-1]

    def _open_sink(self, spec: str, **options: object) -> Sink:
        if spec == "gone":
            raise SinkError("There is no such device.")
        self.sinks.append(FakeSink(spec))
        return self.sinks[-1]

    def until(self, condition: Callable[[], bool]) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < give_up_at, self.service.controller.status()
            time.sleep(0.01)

    def level(self) -> int:
        """Of the picture that the sinks have."""
        shown = self.service.controller.shown()
        return -1 if shown is None else int(shown.pixels[32, 32, 0])


@pytest.fixture
def run() -> Iterator[Run]:
    started = Run()
    yield started
    started.service.stop()


def test_a_source_is_tried_and_then_taken(run: Run) -> None:
    """Catches a trial that changes the picture, a camera that stays open, and a reopened former."""
    run.until(lambda: run.level() == 40)
    assert run.choose(Choice.SOURCE, "camera:bright", is_trial=True) == "camera:bright"
    assert run.sources[-1].closed.is_set()
    assert not run.sources[0].closed.is_set()
    run.choose(Choice.SOURCE, "camera:bright", is_trial=False)
    run.until(lambda: run.level() == 200)
    assert run.sources[0].closed.is_set()
    assert run.choose(Choice.SOURCE, "camera:bright", is_trial=False).endswith("in use already")
    assert len(run.sources) == 3  # a device that is open cannot be opened twice
    run.sources[-1].is_dead = True  # it fails later on: the same one is opened again
    run.until(lambda: len(run.sources) == 4)
    assert run.sources[-1].name == "camera:bright"


def test_a_source_that_gives_nothing_is_refused_and_the_picture_goes_on(run: Run) -> None:
    """Issue 20: the choice is tried before it is taken."""
    run.until(lambda: run.level() == 40)
    with pytest.raises(SourceError, match="no picture"):
        run.choose(Choice.SOURCE, "camera:dead", is_trial=False)
    assert run.sources[-1].closed.is_set()
    before = run.service.controller.status().frames_captured
    run.until(lambda: run.service.controller.status().frames_captured > before)
    assert run.service.controller.status().source == "camera:dark"


def test_the_first_output_is_exchanged(run: Run) -> None:
    """Catches an output that loses its device before the other one is open."""
    first, second = run.sinks
    with pytest.raises(SinkError, match="no such device"):
        run.choose(Choice.SINK, "gone", is_trial=False)
    assert first.num_closes == 0
    run.choose(Choice.SINK, "other", is_trial=True)
    assert run.sinks[-1].num_closes == 1
    run.choose(Choice.SINK, "other", is_trial=False)
    run.until(lambda: bool(run.sinks[-1].frames))
    assert (first.num_closes, second.num_closes) == (1, 0)
    run.until(lambda: run.service.controller.status().sinks == ("other", "second"))
    num_opened = len(run.sinks)
    assert run.choose(Choice.SINK, "other", is_trial=False).endswith("in use already")
    assert len(run.sinks) == num_opened


def test_steps_change_without_a_new_engine_and_a_model_with_one(run: Run) -> None:
    """Catches steps that load the model again, or that a new engine forgets."""
    status = run.service.controller.status
    run.until(lambda: status().num_steps == 4)
    pid = status().engine_pid
    run.choose(Choice.STEPS, "2", is_trial=False)
    run.until(lambda: status().num_steps == 2)
    assert (status().engine_pid, status().wished_steps) == (pid, 2)
    with pytest.raises(UsageError, match="auto, 1, 2, 4"):
        run.choose(Choice.STEPS, "3", is_trial=False)
    run.choose(Choice.MODEL, "/models/two", is_trial=False)
    run.until(lambda: status().model == "two" and status().num_steps == 2)
    assert status().engine_pid not in (0, pid)


def test_a_model_that_cannot_be_loaded_gives_way_to_the_one_before(run: Run) -> None:
    """Catches a run that dies of a choice, or that loads the broken one again and again."""
    status = run.service.controller.status
    run.until(lambda: status().model == "one" and status().num_steps == 4)
    run.choose(Choice.MODEL, "/models/broken", is_trial=False)
    run.until(lambda: status().last_error is not None)
    assert "expected its weights" in str(status().last_error)
    run.until(lambda: status().model == "one" and status().last_error is None)
    assert run.service.failure is None
