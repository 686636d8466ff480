"""One ``[[rule]]`` of a rule file: from TOML's values to a checked Rule, as its trigger says."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence

from liveedit_cam import registry
from liveedit_cam.errors import ConfigError, InstructionError, LiveEditError, shown
from liveedit_cam.obs.rule_lines import RuleLines
from liveedit_cam.prompt import checked_prompt
from liveedit_cam.protocols import Action, Field, Rule, Trigger
from liveedit_cam.types import Mode

_RULE_KEYS = ("when", "edit", "mode", "strength")


def checked_rule(
    table: Mapping[str, object], index: int, lines: RuleLines, triggers: dict[str, Trigger]
) -> Rule:
    """Check table ``index`` of the file; its trigger goes into ``triggers``. Raises ConfigError."""
    check_names(table, _RULE_KEYS, "key", lines, index)
    when = table.get("when")
    if not isinstance(when, dict) or not when:
        got = f"when = {shown(when)}" if "when" in table else "no when"
        raise ConfigError(
            f"{lines.of_rule(index, 'when')}: got {got}, expected what to wait for.",
            hint='Write it as: when = { scene = "Night show" }',
        )
    kind = next(iter(when)).replace("_", "-")
    try:
        if kind not in triggers:
            triggers[kind] = load_trigger(kind)
    except LiveEditError as error:
        place = lines.of_rule(index, "when")
        raise ConfigError(f"{place}: {error.message}", hint=error.hint) from error
    trigger = triggers[kind]
    return Rule(
        kind=kind,
        when=_when(when, trigger.fields, index, lines),
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
    check_names(when, names, "field", lines, index)
    checked = {}
    for one in fields:
        value = when.get(one.name)
        expected = " or ".join(map(quoted, one.allowed)) or "a text"
        if not isinstance(value, str) or not value or (one.allowed and value not in one.allowed):
            got = f"{one.name} = {shown(value)}" if one.name in when else f"no {one.name}"
            raise ConfigError(
                f"{lines.of_rule(index, one.name)}: got {got}, expected {expected}.",
                hint=_close(value, one.allowed) or f"This kind has: {', '.join(names)}.",
            )
        checked[one.name] = value
    return checked


def _action(table: Mapping[str, object], trigger: Trigger, index: int, lines: RuleLines) -> Action:
    if trigger.brings_prompt and "edit" in table:
        raise ConfigError(
            f"{lines.of_rule(index, 'edit')}: got edit = {shown(table['edit'])}, expected none: "
            "what this rule waits for brings the instruction.",
            hint="Take that line away.",
        )
    if not trigger.brings_prompt and not {"edit", "mode", "strength"} & set(table):
        raise ConfigError(
            f"{lines.of_rule(index)}: got a rule that does nothing, expected edit, mode or "
            "strength.",
            hint='Add a line such as: edit = "make it night"',
        )
    return Action(
        prompt=_edit(table.get("edit"), index, lines),
        mode=_mode(table.get("mode"), index, lines),
        strength=_strength(table.get("strength"), index, lines),
    )


def _edit(value: object, index: int, lines: RuleLines) -> str | None:
    try:
        return None if value is None else checked_prompt(value)
    except InstructionError as error:
        raise ConfigError(
            f"{lines.of_rule(index, 'edit')}: {error.message}", hint=error.hint
        ) from error


def _mode(value: object, index: int, lines: RuleLines) -> Mode | None:
    if value is None:
        return None
    if isinstance(value, str) and value in tuple(Mode):
        return Mode(value)
    raise ConfigError(
        f"{lines.of_rule(index, 'mode')}: got mode = {shown(value)}, expected "
        f"{' or '.join(map(quoted, Mode))}.",
        hint=_close(value, [mode.value for mode in Mode])
        or "bypass is the raw camera, slate a still card.",
    )


def _strength(value: object, index: int, lines: RuleLines) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    raise ConfigError(
        f"{lines.of_rule(index, 'strength')}: got strength = {shown(value)}, expected a number "
        "from 0 to 1.",
        hint="0 leaves the picture as it is, 1 is the whole edit.",
    )


def check_names(
    found: Iterable[str], known: Sequence[str], what: str, lines: RuleLines, index: int | None
) -> None:
    """Refuse a name that is not in ``known``; ``index`` None = outside all rules."""
    for name in found:
        if name not in known:
            place = lines.of_top(name) if index is None else lines.of_rule(index, name)
            raise ConfigError(
                f"{place}: got the {what} {name!r}, expected {', '.join(known)}.",
                hint=_close(name, known) or "Take it away.",
            )


def _close(value: object, known: Sequence[str]) -> str | None:
    close = difflib.get_close_matches(str(value), known, n=1)
    return f"Did you mean {close[0]!r}?" if close else None


def quoted(text: str) -> str:
    """As TOML writes it."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")
