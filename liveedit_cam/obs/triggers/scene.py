"""A scene becomes the program: at the start of the transition, so that the edit is early."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liveedit_cam.obs.triggers._matching import Matching
from liveedit_cam.protocols import Field, Names, Rule, Trigger


def describe() -> str:
    """One line of help."""
    return 'scene  { scene = "Night show" }, when it becomes the program'


def create() -> Trigger:
    """Make the trigger."""
    # CurrentProgramSceneChanged comes at the end of the fade, and never for a scene left before.
    return Matching("SceneTransitionStarted", (Field("scene", names=Names.SCENE),), _expected)


def _expected(rule: Rule) -> Mapping[str, Any]:
    return {"sceneName": rule.when["scene"]}
