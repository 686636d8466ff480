"""Camera and preview together, and what happens when one is missing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks.auto import Auto, create
from liveedit_cam.sinks.memory import Memory
from liveedit_cam.types import Frame


def frame(index: int = 0) -> Frame:
    return Frame(pixels=np.zeros((2, 4, 3), np.uint8), index=index, captured_at=0.0)


def memory(*, fail_at: int | None = None) -> Memory:
    return Memory(4, 2, 30, fail_at=fail_at)


def no_camera() -> Sink:
    raise SinkError("There is no virtual camera.", hint="Install it.")


def make(open_camera: Callable[[], Sink], preview: Memory, retry_writes: int = 3) -> Auto:
    return Auto(open_camera=open_camera, preview=preview, retry_writes=retry_writes)


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


def test_the_real_one_always_has_a_page() -> None:
    """Catches a start that fails where there is no device or the usual port is taken."""
    one = create("", width=64, height=36, fps=30.0)
    other = create("", width=64, height=36, fps=30.0)
    assert one.url is not None
    assert other.url is not None
    assert one.url != other.url
    one.close()
    other.close()


def test_a_target_is_refused() -> None:
    """Catches a target that is silently ignored."""
    with pytest.raises(UsageError, match="takes no target"):
        create("/dev/video4", width=64, height=36, fps=30.0)
