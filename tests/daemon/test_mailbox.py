"""Frames are dropped from the old end and spread evenly; a single value yields to a newer one."""

from __future__ import annotations

from itertools import pairwise
from threading import Thread

import pytest
from daemon_fakes import frame, marking, small

from liveedit_cam.daemon.mailbox import FrameInbox, Latest, Shot, Slot, WorkBox


def filled(count: int, capacity: int = 100) -> FrameInbox:
    inbox = FrameInbox(capacity)
    for index in range(count):
        inbox.put(small(index, index / 30))
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


def test_take_is_never_short() -> None:
    """Catches a chunk with a frame too few, and frames lost by asking too early."""
    inbox = filled(1)
    assert inbox.take(2) == ()
    inbox.put(small(1, 1 / 30))
    assert [f.index for f in inbox.take(2)] == [0, 1]


def test_the_rest_of_a_source_is_filled_up() -> None:
    """Catches the last frames of a file that nobody edits."""
    inbox = filled(3)
    assert [f.index for f in inbox.take_rest(4)] == [0, 1, 2, 2]
    assert inbox.take_rest(4) == ()


def test_frames_from_before_an_outage_are_forgotten() -> None:
    """Catches a chunk half of which is a minute old (issue 15), or of another picture's shape."""
    inbox = filled(3)
    inbox.put(small(3, 60.0))
    assert (len(inbox), inbox.num_dropped) == (1, 3)
    inbox.put(small(4, 59.0))
    assert [f.index for f in inbox.take(1)] == [4]


def test_the_compositor_gets_all_that_waits_in_order() -> None:
    """Catches fields that overtake each other, and memory that grows while it stands still."""
    work = WorkBox()
    assert work.take(0.0).shots == ()
    for index in range(100):
        work.put_shot(Shot(frame(index), None))
    work.put_fields((marking(small(1), 1), marking(small(2), 1)))
    assert not work.is_empty
    got = work.take(0.0)
    assert [shot.frame.index for shot in got.shots] == list(range(36, 100))
    assert [field.index for field in got.fields] == [1, 2]
    assert work.is_empty


def test_a_slot_wakes_its_reader_and_keeps_the_newest() -> None:
    """Catches a sink that sleeps through its frame, and one that gets the same one twice."""
    slot: Slot[int] = Slot()
    assert slot.take(0.0) is None
    putter = Thread(target=lambda: slot.put(1))
    putter.start()
    assert slot.take(30) == 1
    putter.join()
    slot.put(2)
    slot.put(3)
    assert slot.take(0.0) == 3
    assert slot.take(0.0) is None


def test_latest_replaces_and_keeps() -> None:
    """Catches a slider that ends on an old value, and a value that is gone once it was read."""
    slot: Latest[str] = Latest()
    assert slot.get() is None
    slot.put("a")
    slot.put("b")
    assert slot.get() == "b"
    assert slot.get() == "b"
