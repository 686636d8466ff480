"""Frames are dropped from the old end and spread evenly; a single value yields to a newer one."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread

import pytest
from daemon_fakes import frame

from liveedit_cam.daemon.mailbox import FrameInbox, Latest


def filled(count: int, capacity: int = 100) -> FrameInbox:
    inbox = FrameInbox(capacity)
    for index in range(count):
        inbox.put(frame(index))
    return inbox


@pytest.mark.parametrize(
    ("waiting", "count", "taken"),
    [
        (4, 4, [0, 1, 2, 3]),
        (8, 4, [1, 3, 5, 7]),
        (5, 4, [0, 1, 2, 4]),
        (30, 3, [9, 19, 29]),
        (7, 1, [6]),
    ],
)
def test_take_spreads_evenly_and_ends_with_the_newest(
    waiting: int, count: int, taken: list[int]
) -> None:
    """Catches jerks (neighbours after a jump) and a picture that lags behind the camera."""
    inbox = filled(waiting)
    assert [f.index for f in inbox.take(count)] == taken
    assert len(inbox) == 0
    assert inbox.num_dropped == waiting - count


@pytest.mark.parametrize("waiting", range(5, 40))
def test_distances_differ_by_at_most_one(waiting: int) -> None:
    """Catches a rounding that bunches frames for some backlog."""
    indices = [-1, *(f.index for f in filled(waiting).take(5))]
    distances = {b - a for a, b in pairwise(indices)}
    assert max(distances) - min(distances) <= 1


def test_a_full_inbox_drops_the_oldest() -> None:
    """Catches the classic fault: the newest frame dropped, and latency that never shrinks."""
    inbox = filled(10, capacity=4)
    assert inbox.num_dropped == 6
    assert [f.index for f in inbox.take(4)] == [6, 7, 8, 9]


def test_take_waits_for_enough_frames_and_wakes() -> None:
    """Catches a take that returns short, and one that sleeps through the frame it waits for."""
    inbox = filled(1)
    assert inbox.take(2, timeout_s=0.0) == ()
    putter = Thread(target=lambda: inbox.put(frame(1)))
    putter.start()
    assert [f.index for f in inbox.take(2, timeout_s=30)] == [0, 1]
    putter.join()


def test_close_wakes_whoever_waits() -> None:
    """Catches a program that cannot be stopped while the camera is silent."""
    inbox = filled(0)
    closer = Thread(target=inbox.close)
    closer.start()
    assert inbox.take(2) == ()
    closer.join()


def test_latest_replaces_and_an_ack_of_the_old_leaves_the_new_pending() -> None:
    """Catches a slider that ends on an old value because the newer one was acknowledged unseen."""
    slot: Latest[str] = Latest()
    assert (slot.get(), slot.pending()) == (None, None)
    first = slot.put("a")
    second = slot.put("b")
    slot.ack(first)
    assert slot.pending() == ("b", second)
    slot.ack(second)
    assert slot.pending() is None
    assert slot.get() == "b"
