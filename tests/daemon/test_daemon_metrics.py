"""Rates are throughput, percentiles are of the last values, lateness counts from 8 ms on."""

from __future__ import annotations

import pytest

from liveedit_cam.daemon.metrics import Metrics


def test_fields_and_new_pictures_have_rates_of_their_own() -> None:
    """Catches 30 new pictures a second reported because the model makes seven fields."""
    metrics = Metrics()
    for i in range(60):
        metrics.edited(0.1, 0.0, i * 4 / 30)
    for i in range(240):
        metrics.composited()
        metrics.shown(0.03, 0.2, i / 30)
    figures = metrics.snapshot(8.0)
    assert figures.fields_per_second == pytest.approx(7.5, abs=0.2)
    assert figures.shown_fps == pytest.approx(30, abs=0.5)
    assert (figures.frames_edited, figures.frames_shown) == (240, 240)
    assert figures.field_age.p50_ms == pytest.approx(200)


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
        metrics.shown(99.0, 0.0, 0.0)
    for i in range(1, 257):
        metrics.shown(i / 1000, 0.0, 0.0)
    latency = metrics.snapshot(0.0).glass_to_sink
    assert (latency.p50_ms, latency.p95_ms) == (pytest.approx(128), pytest.approx(244))
    assert metrics.snapshot(0.0).frames_shown == 1256


def test_late_ticks_count_from_eight_milliseconds() -> None:
    """Catches a lateness that is reported for normal jitter, or never."""
    metrics = Metrics()
    for late_s in (0.0, 0.0079, 0.0081, 0.5):
        metrics.ticked(late_s, 0.0)
    assert metrics.snapshot(0.0).late_ticks == 2


def test_nothing_measured_is_zero() -> None:
    """Catches a division by zero in the first status after the start."""
    figures = Metrics().snapshot(5.0)
    assert (figures.capture_fps, figures.fields_per_second, figures.chunk_latency.p95_ms) == (
        0,
        0,
        0,
    )
