"""What a rule file may hold: from TOML's values to checked Rules, as their triggers say.

Keys and values are checked by pydantic, the fields of ``when`` by what the trigger of the rule says
of them. Every mistake is a ConfigError with its line, what came, and what was expected.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Checked
from pydantic_core import ErrorDetails

from liveedit_cam import registry
from liveedit_cam.errors import (
    ConfigError,
    InstructionError,
    LiveEditError,
    did_you_mean,
    shown,
)
from liveedit_cam.limits import Strength
from liveedit_cam.obs.rule_lines import RuleLines
from liveedit_cam.prompt import checked_prompt
from liveedit_cam.protocols import Action, Field, Rule, Trigger
from liveedit_cam.types import Mode

_STRICT = ConfigDict(
    extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
)


class RuleTable(BaseModel):
    """One ``[[rule]]``; the docstrings are what a message says that was expected."""

    model_config = _STRICT
    when: dict[str, object] = Checked(min_length=1)
    """what to wait for, such as when = { scene = "Night show" }"""
    edit: object = None
    """an instruction, which is checked as those of the command line are"""
    preset: str | None = Checked(None, min_length=1)
    """the name of a preset, see `liveedit-cam preset list`"""
    mode: Mode | None = Checked(None, strict=False)
    """"edit", "bypass" (the raw camera) or "slate" (a still card)"""
    strength: Strength | None = None
    """a number from 0 to 1"""


class RulesTable(BaseModel):
    """The whole file."""

    model_config = _STRICT
    status_text: str | None = Checked(None, min_length=1)
    """the name of a text source"""
    rule: list[RuleTable] = []
    """tables, each begun with a line [[rule]] in double brackets"""


def checked_tables(found: Mapping[str, object], lines: RuleLines) -> RulesTable:
    """Check all but what the triggers know. Raises ConfigError."""
    try:
        return RulesTable.model_validate(found)
    except ValidationError as error:
        raise _mistake(error.errors()[0], lines) from error


def checked_rule(
    table: RuleTable, index: int, lines: RuleLines, triggers: dict[str, Trigger]
) -> Rule:
    """Check rule ``index`` of the file; its trigger goes into ``triggers``. Raises ConfigError."""
    kind = next(iter(table.when)).replace("_", "-")
    try:
        if kind not in triggers:
            triggers[kind] = load_trigger(kind)
    except LiveEditError as error:
        place = lines.of_rule(index, "when")
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from error
    trigger = triggers[kind]
    return Rule(
        kind=kind,
        when=_when(table.when, trigger.fields, index, lines),
        action=_action(table, trigger, index, lines),
        line=lines.number(index),
    )


def load_trigger(kind: str) -> Trigger:
    """The trigger of a kind. Raises UnknownBackendError, MissingDependencyError, ConfigError."""
    trigger: object = registry.load("triggers", kind).create()
    if not isinstance(trigger, Trigger) or trigger.fields[0].name.replace("_", "-") != kind:
        raise ConfigError(
            f"The trigger {kind!r} made {shown(trigger)}, expected a Trigger whose first field is "
            f"{kind!r}.",
            hint="Update or uninstall the plugin that offers it.",
        )
    return trigger


def _when(
    when: Mapping[str, object], fields: Iterable[Field], index: int, lines: RuleLines
) -> dict[str, str]:
    names = [one.name for one in fields]
    for name in when:
        if name not in names and name in registry.kinds("triggers"):
            raise ConfigError(
                f"{lines.of_rule(index, name)}: got the field {name!r} in a rule of the kind "
                f"{names[0]!r}, expected {', '.join(names)}.",
                hint=f"The first field is the kind: write {name} first if you mean that.",
            )
    for name in when:
        if name not in names:
            raise _unknown("field", name, names, lines.of_rule(index, name))
    checked = {}
    for one in fields:
        value = when.get(one.name)
        expected = " or ".join(map(quoted, one.allowed)) or "a text"
        if not isinstance(value, str) or not value or (one.allowed and value not in one.allowed):
            got = f"{one.name} = {shown(value)}" if one.name in when else f"no {one.name}"
            raise ConfigError(
                f"{lines.of_rule(index, one.name)}: got {got}, expected {expected}.",
                hint=did_you_mean(value, one.allowed) or f"This kind has: {', '.join(names)}.",
            )
        checked[one.name] = value
    return checked


def _action(table: RuleTable, trigger: Trigger, index: int, lines: RuleLines) -> Action:
    if trigger.brings_prompt and table.edit is not None:
        raise ConfigError(
            f"{lines.of_rule(index, 'edit')}: got edit = {shown(table.edit)}, expected none: "
            "what this rule waits for brings the instruction.",
            hint="Take that line away.",
        )
    if not trigger.brings_prompt and table.model_fields_set == {"when"}:
        raise ConfigError(
            f"{lines.of_rule(index)}: got a rule that does nothing, expected edit, preset, "
            "mode or strength.",
            hint='Add a line such as: edit = "make it night"',
        )
    try:
        prompt = None if table.edit is None else checked_prompt(table.edit)
    except InstructionError as error:
        place = lines.of_rule(index, "edit")
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from error
    return Action(prompt, table.mode, table.strength, table.preset)


def _mistake(found: ErrorDetails, lines: RuleLines) -> ConfigError:
    """What pydantic found, with its line; ``loc`` is such as ("rule", 0, "mode")."""
    top, *rest = found["loc"]
    is_in_rule = len(rest) > 1
    name = str(rest[1] if is_in_rule else top)
    place = lines.of_rule(int(rest[0]), name) if is_in_rule else lines.of_top(name)
    fields = (RuleTable if is_in_rule else RulesTable).model_fields
    if name not in fields:
        return _unknown("key" if is_in_rule else "setting", name, fields, place)
    got = f"no {name}" if found["type"] == "missing" else f"{name} = {shown(found['input'])}"
    return ConfigError(
        f"{place}: got {got}, expected {fields[name].description}.",
        hint=did_you_mean(found["input"], tuple(Mode) if name == "mode" else ()) or None,
    )


def _unknown(what: str, name: str, known: Collection[str], place: str) -> ConfigError:
    return ConfigError(
        f"{place}: got the {what} {name!r}, expected {', '.join(known)}.",
        hint=did_you_mean(name, known) or "Take it away.",
    )


def quoted(text: str) -> str:
    """As TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
