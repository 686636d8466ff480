"""What stream and record share: an output of OBS that has started or stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Rule, Trigger

_STATES = {"started": "OBS_WEBSOCKET_OUTPUT_STARTED", "stopped": "OBS_WEBSOCKET_OUTPUT_STOPPED"}


def output_trigger(kind: str, event: str) -> Trigger:
    """A trigger whose only field is ``kind`` = "started" or "stopped", for the event of its output.

    It waits until the output runs or has ended; starting and stopping are states of their own.
    """

    def expected(rule: Rule) -> Mapping[str, Any]:
        return {"outputState": _STATES[rule.when[kind]]}

    return Matching(event, (Field(kind, allowed=tuple(_STATES)),), expected)
