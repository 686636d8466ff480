"""Pacing against a clock that only moves when it is told."""

from __future__ import annotations

import pytest
from fake_clock import Clock

from liveedit_cam.pacing import Pacer, wait_until


def make_pacer(clock: Clock, fps: float = 10.0) -> Pacer:
    return Pacer(fps, now=clock.now, sleep=clock.wait)


def test_work_between_ticks_does_not_add_up() -> None:
    """Catches "due = now + period", where every tick's work shifts all later ones."""
    clock = Clock(100.0)
    pacer = make_pacer(clock)
    dues = []
    for _ in range(50):
        dues.append(pacer.wait())
        clock.now_s += 0.03
    assert dues == pytest.approx([100.0 + 0.1 * i for i in range(50)])


def test_a_stall_skips_whole_periods_and_keeps_the_phase() -> None:
    """Catches a burst after a stall: 0.57 s late must cost skipped ticks, not five quick ones."""
    clock = Clock(100.0)
    pacer = make_pacer(clock)
    pacer.wait()
    clock.now_s += 0.57
    assert pacer.wait() == pytest.approx(100.5)
    assert clock.now_s == pytest.approx(100.57)
    assert pacer.wait() == clock.now_s == pytest.approx(100.6)


def test_a_little_late_is_not_a_skip() -> None:
    """Catches a pacer that throws a tick away because the caller was less than a period late."""
    clock = Clock(100.0)
    pacer = make_pacer(clock)
    pacer.wait()
    clock.now_s += 0.15
    assert pacer.wait() == pytest.approx(100.1)


def test_a_woken_wait_gives_no_tick_and_loses_none() -> None:
    """Catches a closed source that still delivers, or a phase moved by an interrupted wait."""
    clock = Clock(100.0)
    pacer = make_pacer(clock)
    pacer.wait()
    clock.is_woken = True
    assert pacer.wait() is None
    clock.is_woken = False
    assert pacer.wait() == pytest.approx(100.1)


def test_wait_until_sleeps_again_when_woken_a_little_early() -> None:
    """Catches trust in one sleep call: timers may return before the time asked for."""
    clock = Clock(100.0)

    def short_sleep(seconds: float) -> None:
        clock.now_s += max(seconds / 2, 1e-6)

    assert wait_until(101.0, now=clock.now, sleep=short_sleep)
    assert clock.now_s >= 101.0


def test_wait_until_returns_at_once_for_a_past_time() -> None:
    """Catches a negative sleep."""
    clock = Clock(100.0)
    assert wait_until(99.0, now=clock.now, sleep=clock.wait)
    assert clock.now_s == 100.0
