"""A text source of OBS is the box for the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from liveedit_cam.protocols import Action, Field, Names, Rule, Trigger
from liveedit_cam.types import MAX_PROMPT_CHARS

EMPTY = "leave it as it is"
"""The instruction of an empty box."""


def describe() -> str:
    """One line of help."""
    return 'text  { text = "LiveEdit prompt" }, the text of that source is the instruction'


def create() -> Trigger:
    """Make the trigger."""
    return PromptBox()


@dataclass(frozen=True, slots=True)
class PromptBox:
    """A Trigger whose instruction is what stands in the text source."""

    event: str = "InputSettingsChanged"
    fields: tuple[Field, ...] = (Field("text", names=Names.INPUT),)
    brings_prompt: bool = True

    def example(self, rule: Rule) -> Mapping[str, Any]:
        return {"inputName": rule.when["text"], "inputSettings": {"text": "make it night"}}

    def handle(self, data: Mapping[str, Any], rule: Rule) -> Action | None:
        settings = data.get("inputSettings")
        if data.get("inputName") != rule.when["text"] or not isinstance(settings, Mapping):
            return None
        text = settings.get("text", "")  # OBS leaves it out until something was written
        return replace(rule.action, prompt=_on_one_line(text)) if isinstance(text, str) else None


def _on_one_line(text: str) -> str:
    """Line breaks as blanks; a text too long for an instruction stays, so that it is refused."""
    return text if len(text) > MAX_PROMPT_CHARS else " ".join(text.split()) or EMPTY
