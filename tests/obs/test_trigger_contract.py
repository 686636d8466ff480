"""What every trigger promises, over all kinds of the registry; and what each kind acts on."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from liveedit_cam import registry
from liveedit_cam.obs.rules import parse_rules, try_rule
from liveedit_cam.protocols import Action, Field, Names, Rule, Trigger
from liveedit_cam.types import MAX_PROMPT_CHARS, Mode

KINDS = registry.kinds("triggers")
ACTION = Action(mode=Mode.SLATE, strength=0.5)

PLUGIN = """
from liveedit_cam.protocols import Action, Field

def describe():
    return 'volume  { volume = "Mic" }'

def create():
    return Volume()

class Volume:
    event = "InputVolumeChanged"
    fields = (Field("volume"),)
    brings_prompt = False

    def example(self, rule):
        return {"inputName": rule.when["volume"], "inputVolumeMul": 1.0}

    def handle(self, data, rule):
        return rule.action if data.get("inputName") == rule.when["volume"] else None
"""


def trigger_of(kind: str) -> Trigger:
    return registry.load("triggers", kind).create()


def rules_of(trigger: Trigger) -> list[Rule]:
    """A rule for each text its fields may have, or for two names where they take any."""
    rules = [Rule(trigger.fields[0].name, {}, ACTION)]
    for one in trigger.fields:
        texts = one.allowed or (f"{one.name} A", f"{one.name} B")
        rules = [
            Rule(rule.kind, {**rule.when, one.name: text}, ACTION)
            for rule in rules
            for text in texts
        ]
    return rules


def act(kind: str, data: dict[str, Any], **when: str) -> Action | None:
    return trigger_of(kind).handle(data, Rule(kind, when, ACTION))


@pytest.fixture(params=KINDS)
def trigger(request: pytest.FixtureRequest) -> Trigger:
    return trigger_of(request.param)


def test_all_kinds_of_the_issue_are_there() -> None:
    """Catches a row that is lost, and one under the wrong name."""
    expected = {"scene", "source", "input", "filter", "text", "custom", "vendor", "stream"}
    assert set(KINDS) == expected | {"record"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_trigger_is_a_trigger_and_says_its_fields(kind: str) -> None:
    """Catches a missing member, a first field not named as the kind, and help of another kind."""
    trigger = trigger_of(kind)
    assert isinstance(trigger, Trigger)
    assert trigger.fields[0].name == kind
    assert all(isinstance(one, Field) for one in trigger.fields)
    line = registry.load("triggers", kind).describe()
    assert line.startswith(f"{kind}  {{ {kind} = ")
    assert all(one.name in line and all(word in line for word in one.allowed[:1])
               for one in trigger.fields)  # fmt: skip
    assert len(line) <= 100


def test_a_filter_is_named_with_its_source(trigger: Trigger) -> None:
    """Catches a kind whose names cannot be looked up: a filter alone names nothing."""
    names = [one.names for one in trigger.fields]
    assert Names.FILTER not in names or Names.SOURCE in names


def test_a_rule_acts_on_its_own_example_and_on_no_other(trigger: Trigger) -> None:
    """Catches a field that is not looked at, and one compared with the wrong part of the event."""
    rules = rules_of(trigger)
    for rule in rules:
        for other in rules:
            action = trigger.handle(trigger.example(other), rule)
            assert (action is not None) == (other is rule), (rule, other)
            if action is not None:
                assert (action.mode, action.strength) == (ACTION.mode, ACTION.strength)
                assert (action.prompt is not None) == trigger.brings_prompt


def test_a_trigger_keeps_no_state_and_leaves_the_event_alone(trigger: Trigger) -> None:
    """Catches an event changed under the next rule, and an answer that depends on the last one."""
    rule = rules_of(trigger)[0]
    data = dict(trigger.example(rule))
    before = copy.deepcopy(data)
    answers = [trigger.handle(data, rule) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2] == trigger.handle(data, rule)
    assert data == before


def test_a_strange_event_is_no_concern(trigger: Trigger) -> None:
    """Catches a KeyError or TypeError on fields that are missing or of another type."""
    rule = rules_of(trigger)[0]
    assert trigger.handle({}, rule) is None
    example = trigger.example(rule)
    for name in example:
        for strange in (None, 7, [], "x", {}):
            trigger.handle({**example, name: strange}, rule)
        assert trigger.handle({**example, name: None}, rule) is None


def test_more_in_the_event_does_not_matter() -> None:
    """Catches comparing whole events: newer protocols add fields, such as sceneUuid."""
    data = {"sceneName": "Night", "sceneUuid": "4f"}
    assert act("scene", data, scene="Night") == ACTION
    data = {"vendorName": "V", "eventType": "E", "eventData": {"message": "m", "more": 1}}
    assert act("vendor", data, vendor="V", message="m") == ACTION


def test_a_source_outside_of_the_program_does_not_count() -> None:
    """Catches a rule that acts on an eye clicked in a scene nobody sees."""
    data = {"sourceName": "Marker", "sceneItemEnabled": True, "inProgram": False}
    assert act("source", data, source="Marker", **{"is": "shown"}) is None
    assert act("source", {**data, "inProgram": True}, source="Marker", **{"is": "shown"}) == ACTION


@pytest.mark.parametrize("kind", ["stream", "record"])
def test_an_output_counts_when_it_has_started(kind: str) -> None:
    """Catches acting on STARTING, which may still fail, and once more on STARTED."""
    for state, expected in [("STARTING", None), ("STARTED", ACTION), ("RECONNECTING", None)]:
        data = {"outputActive": True, "outputState": f"OBS_WEBSOCKET_OUTPUT_{state}"}
        assert act(kind, data, **{kind: "started"}) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("make it night", "make it night"),
        ("  make it\nnight\t", "make it night"),
        ("", "leave it as it is"),
        (" \n ", "leave it as it is"),
        (None, "leave it as it is"),
        ("x" * (MAX_PROMPT_CHARS + 1), "x" * (MAX_PROMPT_CHARS + 1)),
    ],
)
def test_the_text_is_the_instruction(text: str | None, expected: str) -> None:
    """Catches line breaks that are refused, an emptied box that is, and a long text cut short."""
    settings = {} if text is None else {"text": text}
    action = act("text", {"inputName": "Box", "inputSettings": settings}, text="Box")
    assert action == Action(prompt=expected, mode=ACTION.mode, strength=ACTION.strength)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A trigger outside of the tree, findable as pip would make it."""
    (tmp_path / "plugin_volume.py").write_text(PLUGIN)
    folder = tmp_path / "plugin_volume-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin_volume\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[liveedit_cam.triggers]\nvolume = plugin_volume\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("plugin_volume", None)


@pytest.mark.usefixtures("plugin")
def test_a_trigger_in_one_file_outside_of_the_tree_works() -> None:
    """Catches rules that know the kinds of the tree only."""
    text = '[[rule]]\nwhen = { volume = "Mic" }\nedit = "make it night"\n'
    book = parse_rules(text, "obs.toml")
    assert try_rule(book.rules[0]) == Action(prompt="make it night")
    assert [rule.kind for _, rule in book.of_event("InputVolumeChanged")] == ["volume"]
