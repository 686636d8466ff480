"""A new instruction fades in at the sinks while the picture goes on."""

from __future__ import annotations

import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.compositor import Compositor
from liveedit_cam.daemon.mailbox import Shot, WorkBox
from liveedit_cam.daemon.metrics import Metrics
from liveedit_cam.daemon.playout import Playout
from liveedit_cam.daemon.run import Run
from liveedit_cam.types import EditField, Frame, LatencyMode, ModelFrame, Status

FPS = 10
GREY = 100


def field(index: int, revision: int, levels: int) -> EditField:
    """Adds so many levels everywhere."""
    cells = np.zeros((12, 18, 32), np.float32)
    cells[9:] = levels / 255
    guide = np.full((72, 128), GREY, np.uint8)
    return EditField(cells, None, guide, index, index / FPS, revision)


def shot(index: int) -> Shot:
    pixels = np.full((72, 128, 3), GREY, np.uint8)
    at = index / FPS
    return Shot(Frame(pixels, index, at), ModelFrame(pixels, index, at))


@pytest.mark.parametrize("latency", list(LatencyMode))
@pytest.mark.parametrize(("seconds", "shown"), [(0.0, [60, 60, 60, 60]), (0.3, [0, 20, 40, 60])])
def test_the_edit_fades_and_no_frame_is_left_out(
    latency: LatencyMode, seconds: float, shown: list[int]
) -> None:
    """Issue 20: cut and cross-fade, both without a stop of the picture, live and exact."""
    clock, work, playout = Clock(), WorkBox(), Playout()
    compositor = Compositor(
        work,
        playout,
        Run(Board(Status(latency=latency)), Metrics(), clock.now),
        hold_s=1e9,
        transition_of={1: 0.0, 2: seconds}.__getitem__,
    )
    added = []
    for index in range(8):
        work.put_shot(shot(index))
        work.put_fields((field(index, 1, 0) if index < 4 else field(index, 2, 60),))
        compositor.step()
        frame = playout.show(clock.now_s + 100)
        assert frame is not None
        assert frame.index == index
        assert frame.revision == (1 if index < 4 else 2)
        added.append(int(frame.pixels[36, 64, 0]) - GREY)
    assert added[:4] == [0] * 4
    assert np.allclose(added[4:], shown, atol=1)
