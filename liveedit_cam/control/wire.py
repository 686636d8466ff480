"""The control plane's JSON: values to text and back. Standard library only, knows no HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from liveedit_cam.types import Fit, Latency, LatencyMode, Mode, OnFailure, Region, State, Status

MAX_POLL_S = 25.0
"""Longest wait that one request may ask for; who wants to wait longer asks again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The daemon's receipt for an instruction."""

    revision: int
    """Number of the instruction; the status shows it once its edit is visible."""
    prompt: str


def answer_of(status: Status, **told: Any) -> dict[str, Any]:
    """What an action answers: ``told``, the newest instruction's revision, and when it is seen.

    ``visible_after_s`` is two pictures of the outputs, the longest that a mode takes; None = not
    known, as nothing is shown yet.
    """
    after_s = round(2 / status.sink_fps, 3) if status.sink_fps else None
    revision = max(status.revision, status.pending_revision)
    return {**told, "revision": revision, "visible_after_s": after_s}


def status_to_json(status: Status) -> str:
    """One status as a JSON object, fields in the order of ``Status``."""
    return json.dumps(asdict(status), ensure_ascii=False)


def status_from_json(found: Mapping[str, Any]) -> Status:
    """The status a daemon sent. Raises ValueError, KeyError or TypeError if it is not one."""
    fields = dict(found)
    fields["state"] = State(fields["state"])
    fields["mode"] = Mode(fields["mode"])
    fields["sinks"] = tuple(fields["sinks"])
    for name in ("recomputed", "field_map"):
        fields[name] = None if fields[name] is None else tuple(fields[name])
    fields["region"] = Region(**fields["region"]) if fields["region"] else None
    for name in ("field_age", "chunk_latency", "glass_to_sink"):
        fields[name] = Latency(**fields[name])
    fields["fit"] = Fit(fields["fit"])
    fields["latency"] = LatencyMode(fields["latency"])
    fields["on_failure"] = OnFailure(fields["on_failure"])
    return Status(**fields)
