"""The kinds of triggers: a row for each in ``KINDS``. Pure; knows no rule file and no connection.

A trigger outside of the tree is a module with ``create()`` and ``describe()``; a row has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from liveedit_cam.prompt import LEAVE
from liveedit_cam.protocols import Action, Field, Names, Rule
from liveedit_cam.types import MAX_PROMPT_CHARS


@dataclass(frozen=True, slots=True)
class Matching:
    """A Trigger that acts when the event carries what a rule expects, whatever else it carries."""

    event: str
    fields: tuple[Field, ...]
    expected: Callable[[Mapping[str, str]], Mapping[str, Any]]
    """From the fields of a rule, each with its text, to what the event must carry."""
    help: str
    """The form of its fields, and what it waits for."""
    brings_prompt: bool = False

    def create(self) -> Self:
        """The trigger; it keeps no state."""
        return self

    def describe(self) -> str:
        """One line of help."""
        return f"{self.fields[0].name}  {self.help}"

    def example(self, rule: Rule) -> Mapping[str, Any]:
        return self.expected(rule.when)

    def handle(self, data: Mapping[str, Any], rule: Rule) -> Action | None:
        return rule.action if _carries(data, self.expected(rule.when)) else None


@dataclass(frozen=True, slots=True)
class PromptBox:
    """A Trigger whose instruction is what stands in the text source."""

    event: str = "InputSettingsChanged"
    fields: tuple[Field, ...] = (Field("text", names=Names.INPUT),)
    brings_prompt: bool = True

    def create(self) -> Self:
        """The trigger; it keeps no state."""
        return self

    def describe(self) -> str:
        """One line of help."""
        return 'text  { text = "LiveEdit prompt" }, the text of that source is the instruction'

    def example(self, rule: Rule) -> Mapping[str, Any]:
        return {"inputName": rule.when["text"], "inputSettings": {"text": "make it night"}}

    def handle(self, data: Mapping[str, Any], rule: Rule) -> Action | None:
        settings = data.get("inputSettings")
        if data.get("inputName") != rule.when["text"] or not isinstance(settings, Mapping):
            return None
        text = settings.get("text", "")  # OBS leaves it out until something was written
        return replace(rule.action, prompt=_on_one_line(text)) if isinstance(text, str) else None


def _output(kind: str, event: str) -> Matching:
    """A stream or a recording; starting and stopping are states of their own, and may fail."""
    return Matching(
        event,
        (Field(kind, allowed=("started", "stopped")),),
        lambda when: {"outputState": f"OBS_WEBSOCKET_OUTPUT_{when[kind].upper()}"},
        f'{{ {kind} = "started" }} or "stopped"',
    )


_ROWS = (
    Matching(
        "SceneTransitionStarted",  # the other event comes after the fade, and not for every scene
        (Field("scene", names=Names.SCENE),),
        lambda when: {"sceneName": when["scene"]},
        '{ scene = "Night show" }, when it becomes the program',
    ),
    Matching(
        "SceneItemEnableStateChanged",
        (Field("source", names=Names.SOURCE), Field("is", allowed=("shown", "hidden"))),
        lambda when: {
            "sourceName": when["source"],
            "sceneItemEnabled": when["is"] == "shown",
            "inProgram": True,
        },
        '{ source = "Marker", is = "shown" } or "hidden", in the program scene',
    ),
    Matching(
        "InputMuteStateChanged",
        (Field("input", names=Names.INPUT), Field("is", allowed=("muted", "unmuted"))),
        lambda when: {"inputName": when["input"], "inputMuted": when["is"] == "muted"},
        '{ input = "Mic", is = "muted" } or "unmuted"',
    ),
    Matching(
        "SourceFilterEnableStateChanged",
        (
            Field("filter", names=Names.FILTER),
            Field("source", names=Names.SOURCE),
            Field("is", allowed=("on", "off")),
        ),
        lambda when: {
            "filterName": when["filter"],
            "sourceName": when["source"],
            "filterEnabled": when["is"] == "on",
        },
        '{ filter = "LUT", source = "Camera", is = "on" } or "off"',
    ),
    PromptBox(),
    Matching(
        "CustomEvent",
        (Field("custom"),),
        lambda when: {"liveedit": when["custom"]},
        '{ custom = "night" }, on BroadcastCustomEvent {"liveedit": "night"}',
    ),
    Matching(
        "VendorEvent",
        (Field("vendor"), Field("message")),
        lambda when: {"vendorName": when["vendor"], "eventData": {"message": when["message"]}},
        '{ vendor = "AdvancedSceneSwitcher", message = "night" }',
    ),
    _output("stream", "StreamStateChanged"),
    _output("record", "RecordStateChanged"),
)

KINDS: Mapping[str, Matching | PromptBox] = {row.fields[0].name: row for row in _ROWS}
"""Kind -> its row; the kind is the name of the first field."""


def _carries(data: object, expected: object) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(data, Mapping) and all(
            name in data and _carries(data[name], value) for name, value in expected.items()
        )
    return data == expected


def _on_one_line(text: str) -> str:
    """Line breaks as blanks; an empty box is no edit, a text too long stays and is refused."""
    return text if len(text) > MAX_PROMPT_CHARS else " ".join(text.split()) or LEAVE
