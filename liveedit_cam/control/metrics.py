"""The status as Prometheus reads it, at ``/metrics``. Owns prometheus_client."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    StateSetMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from liveedit_cam.types import Latency, LatencyMode, Mode, State, Status

PREFIX = "liveedit_cam"


class StatusCollector(Collector):
    """Reads one status at each scrape; nothing is counted here."""

    def __init__(self, status: Callable[[], Status]) -> None:
        """``status`` gives the newest one, from any thread."""
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """All metrics of one moment."""
        status = self._status()
        yield from _counts(status)
        yield from _gauges(status)
        yield _quantiles("glass_to_sink", "Capture to the sinks", status.glass_to_sink)
        yield _quantiles("field_age", "Age of the edit on a shown picture", status.field_age)
        yield _quantiles("chunk_latency", "A chunk's frames to its fields", status.chunk_latency)
        yield _states("engine_state", "Where the engine stands", State, status.state)
        yield _states("mode", "What the sinks show", Mode, status.mode)
        yield _states("latency_mode", "How a frame gets its edit", LatencyMode, status.latency)
        about = InfoMetricFamily(f"{PREFIX}_run", "Model and device of this run")
        about.add_metric([], {"model": status.model, "device": status.device})
        yield about


def add_metrics(app: FastAPI, status: Callable[[], Status]) -> None:
    """Add the route; it wants the token like all others."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StatusCollector(status))

    @app.get("/metrics")
    def metrics() -> Response:
        """All figures in the text format of Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _counts(status: Status) -> Iterator[Metric]:
    for name, help_text, value in (
        ("frames_captured", "Frames that came from the source", status.frames_captured),
        ("frames_edited", "Full-size pictures a field was put on", status.frames_edited),
        ("frames_shown", "New edited pictures written to the sinks", status.frames_shown),
        ("frames_skipped", "Captured frames the model did not look at", status.frames_skipped),
        ("late_ticks", "Sink writes more than 8 ms after their due time", status.late_ticks),
        ("engine_restarts", "Starts of the engine after the first", status.engine_restarts),
    ):
        yield CounterMetricFamily(f"{PREFIX}_{name}", help_text, value=value)


def _gauges(status: Status) -> Iterator[Metric]:
    for name, help_text, value in (
        ("capture_fps", "Frames a second from the source", status.capture_fps),
        ("sink_fps", "Pictures a second to the sinks", status.sink_fps),
        ("shown_fps", "New edited pictures a second at the sinks", status.shown_fps),
        ("fields_per_second", "Chunks edited in a second", status.fields_per_second),
        ("cache_skip_ratio", "Share of tokens the mask cache reused", status.cache_skip),
        ("strength_ratio", "Strength of the instruction in force", status.strength),
        ("steps", "Denoising steps of the last chunk", status.num_steps),
        ("instruction_revision", "Number of the instruction that is shown", status.revision),
        ("obs_connected", "1 while OBS is connected", status.obs == "connected"),
        ("uptime_seconds", "Time since the start", status.uptime_s),
    ):
        yield GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=float(value))
    if status.changed is not None:
        help_text = "Share of the picture the edit changed"
        yield GaugeMetricFamily(f"{PREFIX}_changed_ratio", help_text, value=status.changed)


def _quantiles(name: str, help_text: str, latency: Latency) -> Metric:
    """A gauge by quantile; a summary would promise sums that nobody keeps."""
    found = GaugeMetricFamily(f"{PREFIX}_{name}_seconds", help_text, labels=["quantile"])
    found.add_metric(["0.5"], latency.p50_ms / 1000)
    found.add_metric(["0.95"], latency.p95_ms / 1000)
    return found


def _states(
    name: str, help_text: str, kind: type[State] | type[Mode] | type[LatencyMode], now: str
) -> Metric:
    found = StateSetMetricFamily(f"{PREFIX}_{name}", help_text)
    found.add_metric([], {one.value: one.value == now for one in kind})
    return found
