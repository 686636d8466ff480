"""A source of the program scene is shown or hidden, by its eye or its hotkey."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Names, Rule, Trigger


def describe() -> str:
    """One line of help."""
    return 'source  { source = "Marker", is = "shown" } or "hidden", in the program scene'


def create() -> Trigger:
    """Make the trigger."""
    fields = (Field("source", names=Names.SOURCE), Field("is", allowed=("shown", "hidden")))
    return Matching("SceneItemEnableStateChanged", fields, _expected)


def _expected(rule: Rule) -> Mapping[str, Any]:
    return {
        "sourceName": rule.when["source"],
        "sceneItemEnabled": rule.when["is"] == "shown",
        "inProgram": True,
    }
