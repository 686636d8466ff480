"""``selftest``: the true delay of this computer, beside the one that the status claims."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer

SOURCE = "pattern:{width}x{height}"
"""A drawn scene of the sink's size: the number stays where it was painted."""
AGREE_MS = 20.0
"""Claimed and true delay may differ by this much: a tick is 33 ms."""


def selftest(
    sink: Annotated[str, typer.Option(help="Where frames go, as in run.")] = "null",
    camera: Annotated[
        str | None,
        typer.Option(help="Read the sink back as this camera, such as camera:/dev/video4."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=600, help="How long to measure.")] = 10.0,
    latency: Annotated[str | None, typer.Option(help="live or exact.")] = None,
    width: Annotated[int, typer.Option(help="Width of the picture in pixels.")] = 1280,
    height: Annotated[int, typer.Option(help="Height of the picture in pixels.")] = 720,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure the true delay: numbers are painted into the source and found at the sink.

    It runs a camera of its own beside one that runs, so end that one first for true figures.
    """
    from liveedit_cam.commands.lines import table
    from liveedit_cam.config import Config, load_config
    from liveedit_cam.errors import DeviceError
    from liveedit_cam.selftest import measure

    flags = {
        "source": SOURCE.format(width=width, height=height),
        "sinks": (sink,),
        "prompt": Config.model_fields["prompt"].default,  # which leaves the numbers as they are
        "mode": "edit",
        "width": width,
        "height": height,
        "latency": latency,
    }
    report = measure(load_config(None, os.environ, flags), camera, seconds)
    if as_json:
        typer.echo(json.dumps(asdict(report)))
        return
    if not report.num_found:
        raise DeviceError(
            f"got none of {report.num_painted} painted numbers at {report.sink}, expected most.",
            hint="Is --camera the camera that the sink feeds?",
        )
    true, claimed = report.found, report.claimed
    differs = abs(true.p50_ms - claimed.p50_ms) > AGREE_MS
    typer.echo(
        table(
            [
                ("looked at", report.sink),
                ("found", f"{report.num_found} of {report.num_painted} painted numbers"),
                ("true", f"{true.p50_ms:.0f} ms, {true.p95_ms:.0f} ms in the worst 5 %"),
                ("claimed", f"{claimed.p50_ms:.0f} ms, {claimed.p95_ms:.0f} ms in the worst 5 %"),
                ("late ticks", f"{report.late_share:.1%}"),
                ("verdict", "they differ" if differs else "the status tells the truth"),
            ]
        )
    )
