"""The delay jumps up, shrinks slowly, and pictures never run backwards."""

from __future__ import annotations

from itertools import pairwise

import pytest
from daemon_fakes import frame

from liveedit_cam.daemon.playout import NEEDS, Playout
from liveedit_cam.types import Frame, LatencyMode

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
    assert all(
        delay == pytest.approx(0.24)
        for at, delay in delays
        if at < NEEDS[LatencyMode.EXACT].memory_s
    )
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
    playout = Playout(capacity=4, exact_delay_s=100.0)
    for first in range(0, 40, 4):
        playout.put(chunk(first), now=first * PERIOD_S)
    assert shown_index(playout, 2.0) == 35


def test_exact_delay_stays() -> None:
    """Catches a delay the user chose (to match the sound) that moves nevertheless."""
    playout = Playout(exact_delay_s=0.1)
    playout.put(chunk(0), now=5.0)
    assert playout.delay_s == 0.1


def test_a_chunk_that_comes_through_an_outage_is_left_out() -> None:
    """Catches half a minute of delay after a computer slept for as long (issue 15)."""
    playout = Playout()
    for first in range(0, 40, 4):
        playout.put(chunk(first), now=(first + 4) * PERIOD_S + 0.2)
    before = playout.delay_s
    playout.put(chunk(40), now=44 * PERIOD_S + 30.0)
    assert playout.delay_s == before
    late = [frame(1000 + i, 40.0 + i * PERIOD_S) for i in range(4)]
    playout.put(late, now=40.0 + 4 * PERIOD_S + 0.2)
    assert playout.delay_s == pytest.approx(before, abs=0.05)
    assert shown_index(playout, 41.0) == 1003


def test_a_model_that_has_become_slow_is_followed() -> None:
    """Catches frames left out for ever because all of them are late."""
    playout = Playout()
    playout.put(chunk(0), now=4 * PERIOD_S + 0.1)
    for first in range(4, 100, 4):
        playout.put(chunk(first), now=first * PERIOD_S + 3.0)
    assert playout.delay_s > 2.5


def live_playout() -> Playout:
    playout = Playout()
    playout.follow(LatencyMode.LIVE)
    return playout


def test_live_frames_are_shown_as_soon_as_nearly_all_of_them_are_ready() -> None:
    """Catches a delay that follows the one slow frame in a hundred, and one that covers too few."""
    playout = live_playout()
    for index in range(120):
        ready_s = 0.080 if index % 50 == 49 else 0.010 + 0.002 * (index % 5)
        playout.put([frame(index, index * PERIOD_S)], index * PERIOD_S + ready_s)
    assert 0.0179 < playout.delay_s < 0.03


def test_live_frames_of_a_shaken_clock_are_shown_one_a_tick() -> None:
    """Catches pictures doubled and left out because the reading thread was woken late."""
    playout = live_playout()
    seen = []
    for index in range(200):
        at = index * PERIOD_S
        shaken = at + (0.012 if index % 3 == 0 else 0.0)
        playout.put([frame(index, shaken)], shaken + 0.01)
        seen.append(shown_index(playout, at + playout.delay_s + 0.005))
    steps = [b - a for a, b in pairwise(seen[100:]) if a is not None and b is not None]
    assert steps.count(1) >= 97


def test_a_busy_machine_never_makes_live_a_second_late() -> None:
    """Catches a live picture that turns into a slow one without a word."""
    playout = live_playout()
    for index in range(100):
        playout.put([frame(index, index * PERIOD_S)], index * PERIOD_S + 0.7)
    assert playout.delay_s <= NEEDS[LatencyMode.LIVE].limit_s
