"""The delay jumps up, shrinks slowly, and pictures never run backwards."""

from __future__ import annotations

from itertools import pairwise

import pytest
from daemon_fakes import frame

from liveedit_cam.daemon.playout import MEMORY_S, Playout
from liveedit_cam.types import Frame

PERIOD_S = 1 / 30


def chunk(first: int, count: int = 4) -> list[Frame]:
    return [frame(first + i, (first + i) * PERIOD_S) for i in range(count)]


def shown_index(playout: Playout, now: float) -> int | None:
    shown = playout.show(now)
    return None if shown is None else shown.index


def test_frames_are_shown_one_by_one_at_capture_plus_delay() -> None:
    """Catches a chunk shown in one burst: three frames skipped, then a long still picture."""
    playout = Playout()
    assert playout.show(0.0) is None
    playout.put(chunk(0), now=0.3)
    assert playout.delay_s == pytest.approx(0.3)
    ticks = [0.3 + 1e-9 + i * PERIOD_S for i in range(6)]
    assert [shown_index(playout, tick) for tick in ticks] == [0, 1, 2, 3, 3, 3]


def test_delay_jumps_up_for_a_late_chunk() -> None:
    """Catches late chunks of which only the last frame is ever seen."""
    playout = Playout()
    playout.put(chunk(0), now=0.2)
    playout.put(chunk(4), now=4 * PERIOD_S + 0.5)
    assert playout.delay_s == pytest.approx(0.5)


def test_delay_shrinks_slowly_and_only_after_the_memory() -> None:
    """Catches a delay that stays up for ever after one hiccup, or drops at once and stutters."""
    playout = Playout()
    playout.put(chunk(0), now=0.24)
    delays = []
    for first in range(4, 30 * 20, 4):
        playout.put(chunk(first), now=first * PERIOD_S + 0.2)
        delays.append((first * PERIOD_S, playout.delay_s))
    assert all(delay == pytest.approx(0.24) for at, delay in delays if at < MEMORY_S)
    steps = [a - b for (_, a), (_, b) in pairwise(delays)]
    assert max(steps) <= 0.02 * 4 * PERIOD_S + 1e-9
    assert delays[-1][1] == pytest.approx(0.2)


def test_large_excess_is_gone_within_seconds() -> None:
    """Catches minutes of latency after one slow first chunk."""
    playout = Playout()
    playout.put(chunk(0), now=3.0)
    for first in range(4, 30 * 30, 4):
        playout.put(chunk(first), now=max(3.0, first * PERIOD_S + 0.2))
    assert playout.delay_s < 0.3


def test_no_frame_older_than_the_one_shown() -> None:
    """Catches a picture that jumps back in time after a restart or a repeated chunk."""
    playout = Playout()
    playout.put(chunk(10), now=1.0)
    assert shown_index(playout, 2.0) == 13
    playout.put(chunk(8), now=2.0)
    assert playout.is_drained
    assert shown_index(playout, 3.0) == 13


def test_order_holds_while_the_delay_changes() -> None:
    """Catches reordering when the delay shrinks or jumps between two frames of one chunk."""
    playout = Playout()
    now, seen = 0.0, []
    for first in range(0, 200, 4):
        jitter_s = 0.1 + 0.05 * (first % 7)
        now = max(now, (first + 4) * PERIOD_S + jitter_s)
        playout.put(chunk(first), now)
        index = shown_index(playout, now)
        seen.append(-1 if index is None else index)
    assert seen == sorted(seen)


def test_memory_is_bounded_and_a_full_playout_still_moves() -> None:
    """Catches memory that grows with a long delay, and frames dropped before they are ever due."""
    playout = Playout(capacity=4, fixed_delay_s=100.0)
    for first in range(0, 40, 4):
        playout.put(chunk(first), now=first * PERIOD_S)
    assert shown_index(playout, 2.0) == 35


def test_fixed_delay_stays() -> None:
    """Catches a delay the user chose (to match the sound) that moves nevertheless."""
    playout = Playout(fixed_delay_s=0.1)
    playout.put(chunk(0), now=5.0)
    assert playout.delay_s == 0.1
