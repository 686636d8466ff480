"""An audio input is muted or unmuted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Names, Rule, Trigger


def describe() -> str:
    """One line of help."""
    return 'input  { input = "Mic", is = "muted" } or "unmuted"'


def create() -> Trigger:
    """Make the trigger."""
    fields = (Field("input", names=Names.INPUT), Field("is", allowed=("muted", "unmuted")))
    return Matching("InputMuteStateChanged", fields, _expected)


def _expected(rule: Rule) -> Mapping[str, Any]:
    return {"inputName": rule.when["input"], "inputMuted": rule.when["is"] == "muted"}
