"""A custom event: any program connected to OBS may send ``{"liveedit": "night"}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Rule, Trigger


def describe() -> str:
    """One line of help."""
    return 'custom  { custom = "night" }, on BroadcastCustomEvent {"liveedit": "night"}'


def create() -> Trigger:
    """Make the trigger."""
    return Matching("CustomEvent", (Field("custom"),), _expected)


def _expected(rule: Rule) -> Mapping[str, Any]:
    return {"liveedit": rule.when["custom"]}
