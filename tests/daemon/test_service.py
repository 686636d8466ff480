"""The whole program with real threads and a real engine process; only the editor is a test's."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from daemon_fakes import FakeSource

from liveedit_cam import registry
from liveedit_cam.config import Config
from liveedit_cam.daemon.present import TITLE
from liveedit_cam.daemon.service import Service
from liveedit_cam.errors import InstructionError, SourceError, UnknownBackendError, WeightsError
from liveedit_cam.pixels import slate
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame, Mode, State

PATIENCE_S = 30.0
"""A bound for a loaded machine, never waited for when all is well."""

StartService = Callable[..., Service]


def leftovers() -> list[str]:
    """Threads and processes of the program, and shared memory of ours, that are still there."""
    threads = [t.name for t in threading.enumerate() if t.name.startswith("liveedit-")]
    children = [p.name for p in multiprocessing.active_children()]
    return threads + children + sorted(shared_memory())


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return {p.name for p in folder.glob("psm_*")} if folder.is_dir() else set()


def until(service: Service, condition: Callable[[], bool]) -> None:
    """Let the program run until ``condition`` holds; it must not end of itself before."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_at, service.controller.status()
        assert not service.wait(0.01), service.failure


def is_of_camera(shown: Frame | None) -> bool:
    """True for the raw picture: wide in a square sink it has black bars, which no card has."""
    return shown is not None and int(shown.pixels[0].max()) == 0 and int(shown.pixels.max()) > 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartService]:
    before = shared_memory()
    services = []

    def start(
        prompt: str = "mark",
        factory: str = "create",
        open_source: Callable[..., Source] = registry.open_source,
        **settings: object,
    ) -> Service:
        config = Config.model_validate(
            {
                "source": "pattern",
                "sinks": ("memory", "memory"),
                "prompt": prompt,
                "model": str(tmp_path / "memory"),
                "width": 64,
                "height": 64,
                **settings,
            }
        )
        editor = f"scripted_editors:{factory}"
        services.append(Service(config, editor=editor, open_source=open_source))
        services[-1].start()
        return services[-1]

    yield start
    for service in services:
        service.stop()
        service.stop()
        assert service.controller.status().state is State.STOPPED
    assert [name for name in leftovers() if name not in before] == []


def test_an_instruction_becomes_visible_and_the_next_one_replaces_it(start: StartService) -> None:
    """Catches any break in the chain from the source over the engine to the sinks."""
    controller = start().controller
    controller.wait_visible(1, PATIENCE_S)
    revision = controller.instruct("gibberish").revision
    assert controller.wait_visible(revision, PATIENCE_S) > 0
    status = controller.status()
    assert (status.instruction, status.revision, status.pending) == ("gibberish", 2, None)
    assert status.notice == "unknown words: gibberish"
    assert status.model == "scripted"
    assert status.frames_edited >= status.frames_shown > 0
    shown = controller.shown()
    assert shown is not None
    assert shown.pixels.shape == (64, 64, 3)


def test_refused_instruction_is_told_to_the_one_who_waits(start: StartService) -> None:
    """Catches a refusal that ends as a time-out."""
    controller = start().controller
    revision = controller.instruct("refuse").revision
    with pytest.raises(InstructionError, match="expected something possible"):
        controller.wait_visible(revision, PATIENCE_S)


@pytest.mark.parametrize("prompt", ["crash once", "raise once"])
def test_the_picture_comes_back_after_a_failure(start: StartService, prompt: str) -> None:
    """Catches a camera that does not survive its engine."""
    controller = start(prompt).controller
    controller.wait_visible(1, PATIENCE_S)
    status = controller.status()
    assert status.engine_restarts == (prompt == "crash once")
    assert status.last_error is None  # it is over; the restarts are counted


def test_sinks_are_fed_while_the_engine_crashes(start: StartService) -> None:
    """Catches a meeting that loses its camera because the model fails, and raw pictures then."""
    service = start("crash", on_failure="slate")
    controller = service.controller
    until(service, lambda: controller.status().engine_restarts > 0)
    shown = controller.shown()
    assert shown is not None
    assert not is_of_camera(shown)
    assert controller.status().sink_fps > 0


def test_raw_on_failure_is_the_camera(start: StartService) -> None:
    """Catches a choice of the user that has no effect, and proves ``is_of_camera`` can be true."""
    service = start("refuse", on_failure="raw")
    controller = service.controller
    until(service, lambda: controller.wait_settled(1, 0.0).refused is not None)
    until(service, lambda: is_of_camera(controller.shown()))


def test_a_hopeless_model_ends_the_wait_with_its_reason(start: StartService) -> None:
    """Catches a program that runs on for ever with a model that cannot be loaded."""
    service = start(factory="create_without_weights")
    assert service.wait(PATIENCE_S)
    assert isinstance(service.failure, WeightsError)


@pytest.mark.parametrize("settings", [{"sinks": ("memory", "mirror")}, {"source": "telescope"}])
def test_failed_start_leaves_nothing_behind(start: StartService, settings: dict[str, str]) -> None:
    """Catches an engine or a camera left open by a start that failed half-way."""
    with pytest.raises(UnknownBackendError):
        start(**settings)


def test_stop_ends_the_engine_process(start: StartService) -> None:
    """Catches an engine that keeps its memory after the program ended."""
    service = start()
    service.controller.wait_visible(1, PATIENCE_S)
    pid = service.controller.status().engine_pid
    os.kill(pid, 0)
    service.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_slate_mode_of_the_config_holds_from_the_first_picture(start: StartService) -> None:
    """Catches a first picture of the camera before the mode is looked at."""
    service = start(mode=Mode.SLATE, on_failure="raw")
    controller = service.controller
    until(service, lambda: controller.status().frames_edited > 0)
    shown = controller.shown()
    assert shown is not None
    assert np.array_equal(shown.pixels, slate(64, 64, TITLE, "The picture is paused."))


@pytest.mark.parametrize(
    ("asked", "opened"),
    [
        ("auto", ["auto", "camera:HD Webcam"]),
        ("camera", ["camera", "camera:HD Webcam"]),
        ("camera:1", ["camera:1", "camera:HD Webcam"]),
        ("camera:/dev/video2", ["camera:/dev/video2"] * 2),
    ],
)
def test_the_camera_that_was_chosen_is_opened_again(
    start: StartService, asked: str, opened: list[str]
) -> None:
    """Catches a pulled cable that puts another lens, or the drawn scene, on air."""
    specs: list[str] = []

    class Webcam(FakeSource):
        spec = "camera:HD Webcam"

    def open_source(spec: str, **options: object) -> Webcam:
        specs.append(spec)
        return Webcam([SourceError("The camera is gone.", hint="Plug it in.")])

    service = start(source=asked, open_source=open_source)
    until(service, lambda: len(specs) >= 2)
    assert specs[:2] == opened
