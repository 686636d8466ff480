"""What the events of OBS leave out, asked for by a request. Knows no rule's meaning, keeps nothing.

Every function raises ObsLost where the link is dead. A thing that is gone by the time it is asked
for is no error: it is None, or left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from liveedit_cam.obs.errors import ObsRequestRefused
from liveedit_cam.obs.rules import RuleBook
from liveedit_cam.protocols import Names, Rule, Trigger

if TYPE_CHECKING:
    from liveedit_cam.obs.link import ObsLink

SETTINGS_EVENT_SINCE = (5, 4)
"""The obs-websocket that has the event InputSettingsChanged; before, settings are asked for."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A name in a rule file that OBS does not have."""

    names: Names
    name: str
    line: int | None = None
    """Line of the rule; None = not of a rule, or unknown."""

    def __str__(self) -> str:
        where = "" if self.line is None else f" (line {self.line})"
        return f'{self.names} "{self.name}"{where}'


def tells_settings(link: ObsLink) -> bool:
    """Whether this OBS has the event InputSettingsChanged."""
    parts = link.version.websocket.split(".")[:2]
    if not all(part.isdigit() for part in parts):
        return True  # no release has such a number; a newer one rather than one before 5.4
    return tuple(map(int, parts)) >= SETTINGS_EVENT_SINCE


def program_scene(link: ObsLink) -> str | None:
    """Name of the scene that is, or is becoming, the program; None where OBS cannot say now."""
    found = _answer(link, "GetCurrentProgramScene")
    name = None if found is None else found.get("currentProgramSceneName")
    return name if isinstance(name, str) else None


def input_settings(link: ObsLink, name: str) -> Mapping[str, Any] | None:
    """The settings of an input that are not at their default; None where there is no such input."""
    found = _answer(link, "GetInputSettings", inputName=name)
    settings = None if found is None else found.get("inputSettings")
    return settings if isinstance(settings, Mapping) else None


def with_source(link: ObsLink, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of SceneItemEnableStateChanged with ``sourceName`` and ``inProgram`` added.

    ``sceneName`` there may be a group; its items are in the program where the group is.
    """
    scene, program = str(data.get("sceneName")), program_scene(link)
    items = _items(link, scene)
    source = [
        item["sourceName"] for item in items if item["sceneItemId"] == data.get("sceneItemId")
    ]
    is_in_program = scene == program
    if not is_in_program and program is not None:
        groups = {item["sourceName"] for item in _items(link, program) if item.get("isGroup")}
        is_in_program = scene in groups
    return {**data, "sourceName": source[0] if source else None, "inProgram": is_in_program}


def unknown_names(link: ObsLink, book: RuleBook) -> tuple[Unknown, ...]:
    """The scenes, sources, inputs and filters in the rules that OBS does not have, each once."""
    have = _known(link)
    found = [one for rule in book.rules for one in _unknown(link, book, rule, have)]
    if book.status_text is not None and book.status_text not in have[Names.INPUT]:
        found.append(Unknown(Names.INPUT, book.status_text))
    first: dict[tuple[Names, str], Unknown] = {}
    for one in found:
        first.setdefault((one.names, one.name), one)
    return tuple(first.values())


def _unknown(
    link: ObsLink, book: RuleBook, rule: Rule, have: Mapping[Names, frozenset[str]]
) -> Iterator[Unknown]:
    trigger = book.triggers[rule.kind]
    for one in trigger.fields:
        if one.names is None:
            continue
        known = _filters(link, trigger, rule) if one.names is Names.FILTER else have[one.names]
        if rule.when[one.name] not in known:
            yield Unknown(one.names, rule.when[one.name], rule.line)


def _known(link: ObsLink) -> dict[Names, frozenset[str]]:
    scenes = _names(link, "GetSceneList", "scenes", "sceneName")
    inputs = _names(link, "GetInputList", "inputs", "inputName")
    groups = frozenset((_answer(link, "GetGroupList") or {}).get("groups", ()))
    return {Names.SCENE: scenes, Names.INPUT: inputs, Names.SOURCE: scenes | inputs | groups}


def _filters(link: ObsLink, trigger: Trigger, rule: Rule) -> frozenset[str]:
    sources = (rule.when[one.name] for one in trigger.fields if one.names is Names.SOURCE)
    source = next(sources, "")
    return _names(link, "GetSourceFilterList", "filters", "filterName", sourceName=source)


def _items(link: ObsLink, scene: str) -> list[dict[str, Any]]:
    found = _answer(link, "GetSceneItemList", sceneName=scene)
    if found is None:  # refused: no scene, so a group or gone
        found = _answer(link, "GetGroupSceneItemList", sceneName=scene)
    return [] if found is None else list(found["sceneItems"])


def _names(link: ObsLink, request: str, several: str, name: str, **data: str) -> frozenset[str]:
    found = _answer(link, request, **data) or {}
    return frozenset(str(one[name]) for one in found.get(several, ()))


def _answer(link: ObsLink, request: str, **data: str) -> dict[str, Any] | None:
    """None where OBS refuses: what was asked for is not there, or OBS is not ready."""
    try:
        return link.request(request, data)
    except ObsRequestRefused:
        return None
