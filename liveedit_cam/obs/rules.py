"""The rule file ``obs.toml``: from its text to checked rules. Knows no trigger by name and no OBS.

    status_text = "LiveEdit status"       # optional: a text source that shows what is edited

    [[rule]]
    when = { scene = "Night show" }       # the first field is the kind of trigger
    edit = "make it night"                # and / or: preset, mode, strength

What ``when`` may hold is said by the triggers themselves, those of plugins too.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from liveedit_cam import registry
from liveedit_cam.errors import ConfigError, LiveEditError, shown
from liveedit_cam.files import stamp_of
from liveedit_cam.obs.rule_lines import RuleLines
from liveedit_cam.obs.rule_tables import checked_rule, checked_tables, load_trigger, quoted
from liveedit_cam.protocols import Action, Names, Rule, Trigger

_STARTER_EDITS = (
    "make it night",
    "golden light",
    "make it black and white",
    "make the background blue",
    "blur the background",
)


@dataclass(frozen=True, slots=True)
class RuleBook:
    """A whole rule file, checked."""

    rules: tuple[Rule, ...] = ()
    status_text: str | None = None
    """Name of the text source that shows instruction and latency; None = none."""
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    """Kind -> its trigger, for the kinds of ``rules``."""

    def of_event(self, event: str) -> Iterator[tuple[Trigger, Rule]]:
        """The rules that want this event, in the order of the file."""
        for rule in self.rules:
            if self.triggers[rule.kind].event == event:
                yield self.triggers[rule.kind], rule

    def inputs_of_event(self, event: str) -> tuple[str, ...]:
        """Names of the OBS inputs in the rules that want this event, each once."""
        named = (
            rule.when[one.name]
            for trigger, rule in self.of_event(event)
            for one in trigger.fields
            if one.names is Names.INPUT
        )
        return tuple(dict.fromkeys(named))


def load_rules(path: Path) -> RuleBook:
    """Read and check a rule file; one that is not there holds no rules. Raises ConfigError."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return RuleBook()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The rules {path} cannot be read: {error}.",
            hint="They must be a readable text file in UTF-8.",
        ) from error
    return parse_rules(text, str(path))


def parse_rules(text: str, place: str) -> RuleBook:
    """Check the text of a rule file; ``place`` names it in messages.

    Raises ConfigError with line, what came, what was expected.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        end = f"at the end, line {len(text.splitlines())}"
        raise ConfigError(
            f"{place} is not valid TOML: {str(error).replace('at end of document', end)}.",
            hint='A rule is: [[rule]], when = { scene = "Night" }, edit = "make it night", '
            "each on a line of its own.",
        ) from error
    tables = found.get("rule", [])
    lines = RuleLines(place, text, num_rules=len(tables) if isinstance(tables, list) else 0)
    checked = checked_tables(found, lines)
    triggers: dict[str, Trigger] = {}
    rules = tuple(
        checked_rule(table, index, lines, triggers) for index, table in enumerate(checked.rule)
    )
    book = RuleBook(rules, checked.status_text, triggers)
    if book.status_text in book.inputs_of_event("InputSettingsChanged"):
        raise ConfigError(
            f"{lines.of_top('status_text')}: got {shown(book.status_text)}, which a rule reads the "
            "instruction from; expected another source.",
            hint="What is shown there would become the next instruction.",
        )
    return book


def explain(rule: Rule) -> str:
    """A rule in one line: ``scene = "Night": edit "make it night", strength 0.5``."""
    action, then = rule.action, []
    if load_trigger(rule.kind).brings_prompt:
        then.append("its text is the instruction")
    if action.prompt is not None:
        then.append(f"edit {quoted(action.prompt)}")
    if action.preset is not None:
        then.append(f"preset {quoted(action.preset)}")
    if action.mode is not None:
        then.append(f"mode {action.mode}")
    if action.strength is not None:
        then.append(f"strength {action.strength:g}")
    return f"{when_of(rule)}: {', '.join(then)}"


def when_of(rule: Rule) -> str:
    """What a rule waits for, as it names it: ``source = "Marker", is = "shown"``."""
    return ", ".join(f"{name} = {quoted(value)}" for name, value in rule.when.items())


def try_rule(rule: Rule) -> Action | None:
    """What the rule asks for when its event comes; None would be a defect of its trigger."""
    trigger = load_trigger(rule.kind)
    return trigger.handle(trigger.example(rule), rule)


def starter_rules(scenes: Sequence[str], *, prompt_box: str | None = None) -> str:
    """Text of a first rule file: each scene with an instruction, to be switched on by the user.

    ``prompt_box`` names a text source whose rule is switched on already; None = an example.
    """
    parts = [
        "# What OBS does to the picture. Take the # away from a rule to use it; liveedit-cam sees",
        "# a changed file by itself. Kinds of when:",
        *(f"#   {line}" for _, line in registry.descriptions("triggers")),
        '# What a rule does: edit = "...", mode = "edit" | "bypass" | "slate", strength = 0..1',
        "",
        '# status_text = "LiveEdit status"   # a text source that shows instruction and latency',
        "",
    ]
    sign = "" if prompt_box else "# "
    box = quoted(prompt_box or "LiveEdit prompt")
    parts += [f"{sign}[[rule]]", f"{sign}when = {{ text = {box} }}", ""]
    for index, scene in enumerate(scenes or ("Night show",)):
        edit = _STARTER_EDITS[index % len(_STARTER_EDITS)]
        parts += [
            "# [[rule]]",
            f"# when = {{ scene = {quoted(scene)} }}",
            f"# edit = {quoted(edit)}",
            "",
        ]
    return "\n".join(parts)


class RuleFile:
    """A rule file that is read again when it changes; a broken one leaves the old rules."""

    def __init__(self, path: Path) -> None:
        """Nothing is read before the first ``reload``."""
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._read: tuple[int, int] | None = None
        self._is_read = False
        self.book = RuleBook()
        """The newest rules without a mistake."""
        self.problem: str | None = None
        """Why the file as it stands is not used; None = it is."""

    def reload(self) -> bool:
        """Read the file if its time or size changed; True if ``book`` or ``problem`` is new.

        A change counts when the next call finds it as it was: an editor that is saving leaves an
        empty file for a moment, and that one has no rules.
        """
        seen, before = stamp_of(self._path), self._seen
        self._seen = seen
        if self._is_read and (seen == self._read or seen != before):
            return False
        self._is_read, self._read = True, seen
        try:
            self.book, self.problem = load_rules(self._path), None
        except LiveEditError as error:
            self.problem = f"{error} The rules from before stay."
        return True
