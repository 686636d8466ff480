"""The figures for a monitoring system."""

from __future__ import annotations

import json
import re
from pathlib import Path

from control_fakes import STATUS, FakeController
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from liveedit_cam.control.app import create_app
from liveedit_cam.control.metrics import StatusCollector

ROOT = Path(__file__).parents[2]


def scrape(controller: FakeController, token: str = "t") -> str:
    client = TestClient(create_app(controller, "t", lambda: None), base_url="http://127.0.0.1")
    answer = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == (200 if token == "t" else 401)
    return answer.text


def test_prometheus_reads_the_status() -> None:
    """Catches text that Prometheus refuses, and milliseconds that are called seconds."""
    families = text_string_to_metric_families(scrape(FakeController()))
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }
    assert found["liveedit_cam_glass_to_sink_seconds", "0.5"] == 0.31
    assert found["liveedit_cam_glass_to_sink_seconds", "0.95"] == 0.36
    assert found["liveedit_cam_capture_fps",] == STATUS.capture_fps
    assert found["liveedit_cam_cache_skip_ratio",] == 0.43
    assert found["liveedit_cam_late_ticks_total",] == 0
    assert found["liveedit_cam_mode", "edit"] == 1
    assert found["liveedit_cam_mode", "slate"] == 0


def test_the_figures_want_the_token_and_hold_no_instruction() -> None:
    """Catches figures for every user of the computer, and words of people in a database."""
    scrape(FakeController(), token="guess")
    assert "night" not in scrape(FakeController())


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    """Issue 20: catches a panel that stays empty since a metric was renamed."""
    board = json.loads((ROOT / "docs/grafana.json").read_text("utf-8"))
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"liveedit_cam_\w+", target["expr"])
    }
    given = {
        sample.name
        for metric in StatusCollector(lambda: STATUS).collect()
        for sample in metric.samples
    }
    assert len(asked) >= 10
    assert asked - given == set()
