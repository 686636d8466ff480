"""A filter of a source is turned on or off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Names, Rule, Trigger


def describe() -> str:
    """One line of help."""
    return 'filter  { filter = "LUT", source = "Camera", is = "on" } or "off"'


def create() -> Trigger:
    """Make the trigger."""
    fields = (
        Field("filter", names=Names.FILTER),
        Field("source", names=Names.SOURCE),
        Field("is", allowed=("on", "off")),
    )
    return Matching("SourceFilterEnableStateChanged", fields, _expected)


def _expected(rule: Rule) -> Mapping[str, Any]:
    return {
        "filterName": rule.when["filter"],
        "sourceName": rule.when["source"],
        "filterEnabled": rule.when["is"] == "on",
    }
