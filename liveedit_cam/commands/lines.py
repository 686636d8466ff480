"""A status in words: one line for a log, a few rows for a screen. Pure text, no colours."""

from __future__ import annotations

from liveedit_cam.types import Status

NOTHING_SHARE = 0.001
"""Share of the picture below which an edit is said to change nothing."""


def summary(status: Status) -> str:
    """The status in one line."""
    parts = [
        f"{status.state} {status.mode}",
        f"camera {status.capture_fps:.1f}, new pictures {status.shown_fps:.1f},"
        f" sink {status.sink_fps:.1f} fps",
        f"glass to sink {status.glass_to_sink.p50_ms:.0f} ms",
        f"edit {status.field_age.p50_ms:.0f} ms old, {status.fields_per_second:.1f} a second",
        f"cache reuse {status.cache_skip:.0%}",
        f"shown: {status.instruction or 'nothing edited yet'}",
    ]
    if status.pending is not None:
        parts.append(f"pending: {status.pending}")
    if status.last_error is not None:
        parts.append(f"last error: {status.last_error}")
    return " | ".join(parts)


def rows(status: Status) -> list[tuple[str, str]]:
    """The status as label and text, in the order a person asks."""
    age, glass = status.field_age, status.glass_to_sink
    found: list[tuple[str, str | None]] = [
        ("state", f"{status.state}, shows {status.mode}, up {status.uptime_s:.0f} s"),
        ("instruction", status.instruction or "nothing edited yet"),
        ("changes", None if status.changed is None else changes(status.changed)),
        ("pending", status.pending),
        ("notice", status.notice),
        ("source", status.source),
        *(("sink", sink) for sink in status.sinks),
        ("model", f"{status.model} on {status.device}" if status.device else status.model),
        ("edited by", status.edited_by),
        ("given up", status.given_up),
        (
            "rates",
            f"camera {status.capture_fps:.1f}, new pictures {status.shown_fps:.1f},"
            f" sink {status.sink_fps:.1f} fps",
        ),
        (
            "latency",
            f"glass to sink {glass.p50_ms:.0f} ms ({glass.p95_ms:.0f} ms in the worst 5 %),"
            f" {status.latency}",
        ),
        (
            "edit",
            f"{age.p50_ms:.0f} ms old ({age.p95_ms:.0f} ms in the worst 5 %),"
            f" {status.fields_per_second:.1f} a second"
            + (f", {status.num_steps} steps" if status.num_steps else ""),
        ),
        ("OBS", None if status.obs == "off" else f"{status.obs}{_more(status.obs_detail)}"),
        ("mask cache", f"{status.cache_skip:.0%} of the tokens reused"),
        ("recording", _recording(status)),
        ("restarts", f"{status.engine_restarts} of the engine" if status.engine_restarts else None),
        ("last error", status.last_error),
    ]
    return [(label, text) for label, text in found if text]


def changes(share: float) -> str:
    """How much of the picture an edit changes (0..1), in words."""
    if share < NOTHING_SHARE:
        return "nothing in this picture"
    percent = f"{100 * share:.0f}" if share >= 0.01 else "less than 1"
    return f"{percent} % of the picture"


def _recording(status: Status) -> str | None:
    return f"{status.recording}, {status.recorded_s:.0f} s" if status.recording else None


def _more(text: str | None) -> str:
    return f", {text}" if text else ""


def table(pairs: list[tuple[str, str]]) -> str:
    """Rows as text, labels in one column."""
    width = max(len(label) for label, _ in pairs)
    return "\n".join(f"{label:<{width}}  {text}" for label, text in pairs)
