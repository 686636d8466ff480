"""The sink of the other tests."""

from __future__ import annotations

import numpy as np
import pytest

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.sinks.memory import MAX_FRAMES, Memory, create
from liveedit_cam.types import Frame


def frame(index: int) -> Frame:
    return Frame(pixels=np.zeros((2, 4, 3), np.uint8), index=index, captured_at=0.0)


def test_the_last_frames_are_kept() -> None:
    """Catches a test sink that eats the memory of a long run, or keeps the oldest."""
    sink = Memory(4, 2, 30)
    for index in range(MAX_FRAMES + 10):
        sink.write(frame(index))
    assert sink.num_written == MAX_FRAMES + 10
    assert [kept.index for kept in sink.frames] == list(range(10, MAX_FRAMES + 10))


def test_it_fails_when_told() -> None:
    """Catches a count from 0, and a device that heals by itself after a failed write."""
    sink = create("fail:3", width=4, height=2, fps=30)
    sink.write(frame(0))
    sink.write(frame(1))
    for _ in range(2):
        with pytest.raises(SinkError, match="write 3"):
            sink.write(frame(2))


@pytest.mark.parametrize("target", ["fail", "fail:", "fail:0", "fail:-1", "2"])
def test_a_bad_target_is_refused(target: str) -> None:
    """Catches a failure test that never fails because its target was not understood."""
    with pytest.raises(UsageError, match="fail:N"):
        create(target, width=4, height=2, fps=30)
