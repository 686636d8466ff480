"""Camera and engine rest while nobody watches, and come back with the first reader."""

from __future__ import annotations

import threading
import time
from threading import Event
from typing import Any

import pytest
from daemon_fakes import FakeSink
from fake_clock import Clock

from liveedit_cam.config import Config
from liveedit_cam.daemon import demand
from liveedit_cam.daemon.demand import LINGER_S, Demand
from liveedit_cam.daemon.outlet import Outlet
from liveedit_cam.daemon.service import Service
from liveedit_cam.protocols import Sink, Source
from liveedit_cam.sources.pattern import Pattern
from liveedit_cam.types import State

PATIENCE_S = 30.0


class WatchedSink(FakeSink):
    """A sink that the test reads, or not."""

    def __init__(self, *, is_read: bool = True) -> None:
        super().__init__()
        self.is_read = is_read

    def has_reader(self) -> bool:
        return self.is_read


class Room:
    """Demand over some sinks, with a clock that the test turns."""

    def __init__(self, wish: str, *sinks: Sink, **more: Any) -> None:
        self.clock = Clock()
        self.demand = Demand(wish, self.clock.now, **more)  # type: ignore[arg-type] # one of three
        self._outlets = [Outlet(sink, lambda: sinks[0], self.clock.now) for sink in sinks]
        self._stop = Event()
        self._stop.set()  # so that a step does not wait

    def after(self, seconds: float) -> tuple[bool, bool]:
        """Whether camera and engine are wanted that much later."""
        self.clock.wait(seconds)
        assert self.demand.step(self._outlets, self._stop)
        return self.demand.camera.is_set(), self.demand.engine.is_set()


def test_a_while_after_the_last_reader_both_rest_and_the_first_one_wakes() -> None:
    """Catches a camera that stays on all day, and one that goes off in a short break."""
    sink = WatchedSink()
    room = Room("all", sink)
    assert room.after(100) == (True, True)
    sink.is_read = False
    assert room.after(LINGER_S) == (True, True)
    assert room.after(0.25) == (False, False)
    sink.is_read = True
    assert room.after(0.25) == (True, True)


def test_the_engine_rests_later_than_the_camera_and_wakes_with_it() -> None:
    """Issue 18: after a short break the model must not be loaded again, which takes seconds."""
    sink = WatchedSink(is_read=False)
    room = Room("all", sink, engine_rest_s=600)
    assert room.after(LINGER_S + 1) == (False, True)
    assert room.after(600) == (False, False)
    sink.is_read = True
    assert room.after(0.25) == (True, True)


def test_a_locked_screen_releases_the_camera_at_once_and_whoever_watches() -> None:
    """Issue 18: catches a camera that films an empty chair for a program that was left open."""
    locked = [True]
    room = Room("off", WatchedSink(), is_locked=lambda: locked[0])
    assert room.demand.is_on
    assert room.after(0.25) == (False, True)
    room.demand.looked()  # nor does the page wake it
    assert room.after(0.25) == (False, True)
    locked[0] = False
    assert room.after(0.25) == (True, True)
    sink_alone = Room("off", WatchedSink(is_read=False), is_locked=lambda: False)
    assert sink_alone.after(1000) == (True, True)


def test_the_engine_stays_where_only_the_camera_rests() -> None:
    """Catches a wake that must load the model though nobody asked for that."""
    room = Room("camera", WatchedSink(is_read=False))
    assert room.after(LINGER_S + 1) == (False, True)


def test_a_reader_that_comes_and_goes_keeps_it_awake() -> None:
    """Catches the camera switched ten times a second by a program that only looks for cameras."""
    sink = WatchedSink(is_read=False)
    room = Room("all", sink)
    for number in range(200):
        sink.is_read = number % 4 == 0
        assert room.after(LINGER_S / 5) == (True, True)


def test_one_sink_that_cannot_tell_keeps_it_awake() -> None:
    """Catches a recording of a still card."""
    room = Room("all", WatchedSink(is_read=False), FakeSink())
    assert room.after(1000) == (True, True)


def test_who_looks_at_the_page_is_a_reader() -> None:
    """Catches a page that shows a card because no other program reads the camera."""
    room = Room("all", WatchedSink(is_read=False))
    assert room.after(1000) == (False, False)
    room.demand.looked()
    assert room.demand.camera.is_set()
    assert room.demand.engine.is_set()


@pytest.mark.parametrize("wish", ["camera", "all"])
def test_a_run_rests_and_wakes(wish: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a source or engine that stays open, or does not come back, in the whole program."""
    monkeypatch.setattr(demand, "LINGER_S", 0.3)
    monkeypatch.setattr(demand, "LOOK_S", 0.02)
    sink = WatchedSink()
    opened: list[Pattern] = []
    closed = threading.Event()

    class Camera(Pattern):
        def close(self) -> None:
            closed.set()
            super().close()

    def open_source(spec: str, **options: object) -> Source:
        opened.append(Camera(width=64, height=64))
        return opened[-1]

    config = Config.model_validate(
        {
            "on_demand": wish,
            "engine_rest_s": 0,
            "width": 64,
            "height": 64,
            "prompt": "mark",
            "sinks": ["watched"],
        }
    )
    service = Service(
        config,
        editor="scripted_editors:create",
        open_source=open_source,
        open_sink=lambda spec, **options: sink,
    )
    service.start()
    try:
        _until(lambda: service.controller.status().frames_edited > 0)
        sink.is_read = False
        assert closed.wait(PATIENCE_S)
        _until(lambda: "at rest: nobody watches" in service.controller.status().source)
        if wish == "all":
            _until(lambda: service.controller.status().engine_pid == 0)
        status = service.controller.status()
        assert (status.engine_pid == 0) == (wish == "all")
        sink.is_read = True
        _until(lambda: len(opened) == 2)
        before = service.controller.status().frames_edited
        _until(lambda: service.controller.status().frames_edited > before)
        _until(lambda: service.controller.status().state is State.LIVE)
        after = service.controller.status()
        assert (len(opened), after.last_error, after.engine_restarts) == (2, None, 0)
    finally:
        service.stop()


def _until(condition: object) -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator] # a function without arguments
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
