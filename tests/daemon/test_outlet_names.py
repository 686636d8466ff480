"""What is reported of a sink that changes while it runs: ``auto`` gains and loses its camera."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

from test_present import SIZE, Stage

from liveedit_cam.errors import SinkError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks.auto import Auto
from liveedit_cam.sinks.memory import Memory
from liveedit_cam.sinks.preview import Preview


class AtOnce(Executor):
    """Runs what it is given in the caller's thread."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except SinkError as error:
            done.set_exception(error)
        return done


def test_the_report_follows_the_camera_of_auto() -> None:
    """Catches a name taken once when the sink was opened: the page then tells of a camera that is
    gone, or of none where programs list one.
    """
    camera, preview = Memory(*SIZE, 10.0, fail_at=3), Preview(*SIZE, 10.0)
    page = preview.name
    found = iter([SinkError("No device."), camera, SinkError("Unplugged.")])

    def open_camera() -> Sink:
        one = next(found)
        if isinstance(one, SinkError):
            raise one
        return one

    auto = Auto(open_camera=open_camera, preview=preview, retry_writes=2, executor=AtOnce())
    stage = Stage([auto])
    said = []
    for _ in range(7):
        stage.tick()
        (name,) = stage.board.status().sinks
        said.append(name)
    stage.outlets[0].close()
    lacks, has = f"{page}; no virtual camera: ", f"{camera.name} + {page}"
    fails = f"{lacks}{camera.name} fails at write 3, as it was told."
    assert said == [
        *[f"{lacks}No device."] * 2,
        *[has] * 2,
        *[fails] * 2,
        f"{lacks}Unplugged.",
    ]
