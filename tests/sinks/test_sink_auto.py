"""Camera and preview together, and what happens when one is missing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import numpy as np
import pytest

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks.auto import Auto, camera_kinds, create, open_first
from liveedit_cam.sinks.memory import Memory
from liveedit_cam.types import Frame


def frame(index: int = 0) -> Frame:
    return Frame(pixels=np.zeros((2, 4, 3), np.uint8), index=index, captured_at=0.0)


def memory(*, fail_at: int | None = None) -> Memory:
    return Memory(4, 2, 30, fail_at=fail_at)


def no_camera() -> Sink:
    raise SinkError("There is no virtual camera.", hint="Install it.")


class Later(Executor):
    """Keeps what it is given until ``run`` is called, or runs it at once."""

    def __init__(self, *, is_immediate: bool) -> None:
        self.is_immediate = is_immediate
        self.is_shut_down = False
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def do() -> None:
            try:
                future.set_result(work(*args, **options))
            except SinkError as error:
                future.set_exception(error)

        self.waiting.append(do)
        if self.is_immediate:
            self.run()
        return future

    def run(self) -> None:
        while self.waiting:
            self.waiting.pop()()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        assert not wait, "to wait for a camera would hold up the end of the program"
        self.is_shut_down = True


def make(
    open_camera: Callable[[], Sink],
    preview: Memory,
    retry_writes: int = 3,
    executor: Later | None = None,
) -> Auto:
    return Auto(
        open_camera=open_camera,
        preview=preview,
        retry_writes=retry_writes,
        executor=executor or Later(is_immediate=True),
    )


def refuse(reason: str) -> Sink:
    raise SinkError(reason)


def test_both_get_every_frame() -> None:
    """Catches a composite that feeds only one of the two."""
    camera, preview = memory(), memory()
    sink = make(lambda: camera, preview)
    sink.write(frame())
    assert (camera.num_written, preview.num_written) == (1, 1)
    assert " + " in sink.name
    sink.close()
    assert camera.is_closed
    assert preview.is_closed


def test_without_a_camera_the_preview_serves_and_the_name_says_what_is_missing() -> None:
    """Catches a program that does not start on a machine without a driver, or hides why."""
    preview = memory()
    sink = make(no_camera, preview)
    sink.write(frame())
    assert preview.num_written == 1
    assert "no virtual camera: There is no virtual camera. Install it." in sink.name


def test_a_camera_that_fails_does_not_stop_the_preview() -> None:
    """Catches a frame lost in the preview, and a failed camera that is kept open or written to."""
    camera, preview = memory(fail_at=2), memory()
    sink = make(lambda: camera, preview, retry_writes=100)
    for index in range(4):
        sink.write(frame(index))
    assert (camera.num_written, preview.num_written) == (1, 4)
    assert camera.is_closed
    assert "fails at write 2" in sink.name


def test_a_camera_that_appears_later_is_used() -> None:
    """Catches a choice made once: installing the driver must not need a restart."""
    camera, preview = memory(), memory()
    is_installed = False

    def open_camera() -> Sink:
        return camera if is_installed else no_camera()

    sink = make(open_camera, preview, retry_writes=3)
    for index in range(4):
        sink.write(frame(index))
    is_installed = True
    for index in range(4, 8):
        sink.write(frame(index))
    assert camera.frames[0].index == 5  # tried at the third write, and at the sixth
    assert preview.num_written == 8
    assert " + " in sink.name


def test_frames_go_on_while_a_camera_is_being_opened() -> None:
    """Catches an attempt in the present loop: a camera that takes a second stops the picture."""
    camera, preview, executor = memory(), memory(), Later(is_immediate=False)
    openers = [no_camera, lambda: camera]
    sink = make(lambda: openers.pop(0)(), preview, retry_writes=2, executor=executor)
    for index in range(10):
        sink.write(frame(index))
    assert len(executor.waiting) == 1  # asked once, not with every frame that passes
    assert (camera.num_written, preview.num_written) == (0, 10)
    executor.run()
    sink.write(frame(10))
    assert camera.frames[0].index == 10


def test_a_camera_that_opens_after_the_end_is_closed() -> None:
    """Catches a camera node or device left behind by an attempt that was under way."""
    camera, executor = memory(), Later(is_immediate=False)
    openers = [no_camera, lambda: camera]
    sink = make(lambda: openers.pop(0)(), memory(), retry_writes=1, executor=executor)
    sink.write(frame())
    sink.close()
    executor.run()
    assert camera.is_closed
    assert executor.is_shut_down


def test_the_first_camera_that_opens_is_taken_and_all_reasons_are_kept() -> None:
    """Catches a second camera opened beside the first, and a reason that hides the other."""
    one, other = memory(), memory()
    assert open_first([lambda: one, lambda: other]) is one
    assert open_first([no_camera, lambda: other]) is other
    with pytest.raises(SinkError, match=r"Install it\. Or: no PipeWire here"):
        open_first([no_camera, partial(refuse, "no PipeWire here")])


def test_pipewire_is_tried_on_linux_only_and_last() -> None:
    """Catches advice on PipeWire for a Mac, and the camera fewer programs list taken first."""
    assert camera_kinds("linux") == ("virtual-camera", "pipewire")
    assert camera_kinds("darwin") == camera_kinds("win32") == ("virtual-camera",)


def test_a_failing_preview_is_a_failure() -> None:
    """Catches an error swallowed where nothing else shows the picture."""
    sink = make(no_camera, memory(fail_at=1))
    with pytest.raises(SinkError, match="fails at write 1"):
        sink.write(frame())


def test_close_twice_then_write_fails() -> None:
    """Catches a second close that raises, and frames written into closed sinks."""
    sink = make(memory, memory())
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(frame())


def test_the_real_one_opens_without_a_device() -> None:
    """Catches a start that fails where there is no virtual camera."""
    sink = create("", width=64, height=36, fps=30.0)
    assert "preview: the control page" in sink.name
    sink.close()


def test_a_target_is_refused() -> None:
    """Catches a target that is silently ignored."""
    with pytest.raises(UsageError, match="takes no target"):
        create("/dev/video4", width=64, height=36, fps=30.0)
