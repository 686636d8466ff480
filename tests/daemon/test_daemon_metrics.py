"""Rates are throughput, percentiles are of the last values, lateness counts from 8 ms on."""

from __future__ import annotations

import pytest

from liveedit_cam.daemon.metrics import Metrics


def test_throughput_of_chunks_is_steady() -> None:
    """Catches a frame rate that jumps between 0 and 120 because frames come four at a time."""
    metrics = Metrics()
    for i in range(60):
        metrics.edited(4, 0.1, 0.0, i * 4 / 30)
        if i >= 1:
            assert metrics.snapshot(i * 4 / 30 + 0.1).edit_fps == pytest.approx(30)
    assert metrics.snapshot(8.0).frames_edited == 240


def test_rate_falls_during_a_stall() -> None:
    """Catches "30 fps" on the screen while the camera has been dead for a minute."""
    metrics = Metrics()
    for i in range(90):
        metrics.captured(i / 30)
    assert metrics.snapshot(3.0).capture_fps == pytest.approx(30)
    assert metrics.snapshot(63.0).capture_fps < 2


def test_percentiles_are_nearest_rank_over_the_last_values() -> None:
    """Catches a p95 that is the maximum or the mean, and figures of an hour ago."""
    metrics = Metrics()
    for _ in range(1000):
        metrics.shown(99.0)
    for i in range(1, 257):
        metrics.shown(i / 1000)
    latency = metrics.snapshot(0.0).glass_to_sink
    assert (latency.p50_ms, latency.p95_ms) == (pytest.approx(128), pytest.approx(244))
    assert metrics.snapshot(0.0).frames_shown == 1256


def test_late_ticks_count_from_eight_milliseconds() -> None:
    """Catches a lateness that is reported for normal jitter, or never."""
    metrics = Metrics()
    for late_s in (0.0, 0.0079, 0.0081, 0.5):
        metrics.written(late_s, 0.0)
    assert metrics.snapshot(0.0).late_ticks == 2


def test_nothing_measured_is_zero() -> None:
    """Catches a division by zero in the first status after the start."""
    figures = Metrics().snapshot(5.0)
    assert (figures.capture_fps, figures.edit_fps, figures.chunk_latency.p95_ms) == (0, 0, 0)
