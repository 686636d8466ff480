"""Text boxes that hold an instruction: what they said last, what is being typed, their commands.

Knows no OBS and no Controller; the bridge asks and acts. A text counts once it has rested.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from liveedit_cam.errors import InstructionError, shown
from liveedit_cam.protocols import Action, Rule
from liveedit_cam.types import Mode

REST_S = 0.4
"""A text that did not change for this long is an instruction; letters come faster."""
COMMAND = "liveedit_command"
"""Setting of a text source that the script in OBS writes, such as "bypass 17"."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A rule and what its box asks for."""

    rule: Rule
    action: Action
    due: float
    """When it counts, on the bridge's clock."""


class PromptBoxes:
    """The memory of all boxes. One thread."""

    def __init__(self) -> None:
        """Nothing is known of any box."""
        self._said: dict[str, Action] = {}
        self._typed: dict[str, Typed] = {}
        self._commands: dict[str, object] = {}

    def forget(self) -> None:
        """Begin anew: the boxes may hold anything now, and nothing is being typed."""
        self._said.clear()
        self._typed.clear()
        self._commands.clear()

    def knows(self, input_name: str) -> bool:
        """Whether ``saw_command`` was told of this input."""
        return input_name in self._commands

    def stands(self, rule: Rule, action: Action) -> None:
        """Note what a box says without acting on it."""
        self._said[_key(rule)] = action
        self._typed.pop(_key(rule), None)

    def typed(self, rule: Rule, action: Action, now: float) -> None:
        """Note what a box says now; the wait begins anew with each change."""
        key = _key(rule)
        if action == self._said.get(key):
            self._typed.pop(key, None)
        elif key not in self._typed or self._typed[key].action != action:
            self._typed[key] = Typed(rule, action, now + REST_S)

    def take_due(self, now: float) -> list[Typed]:
        """The texts that have rested, oldest first; each is returned once."""
        due = sorted(
            (one for one in self._typed.values() if one.due <= now), key=lambda one: one.due
        )
        for one in due:
            self.stands(one.rule, one.action)
        return due

    def take(self, rule: Rule) -> Action | None:
        """The text that still waits to rest, now; None where none does."""
        waiting = self._typed.get(_key(rule))
        if waiting is None:
            return None
        self.stands(rule, waiting.action)
        return waiting.action

    def said(self, rule: Rule) -> Action | None:
        """What the box said last; None where nothing is known."""
        return self._said.get(_key(rule))

    def saw_command(self, input_name: str, command: object) -> bool:
        """Note the command setting of an input, None = it has none; True if it is a new one."""
        is_new = command is not None and self._commands.get(input_name) != command
        self._commands[input_name] = command
        return is_new


def mode_of(command: Any) -> Mode:
    """The mode that a command such as "bypass 17" asks for. Raises InstructionError."""
    word = str(command).partition(" ")[0]
    if word not in tuple(Mode):
        raise InstructionError(
            f"Got the command {shown(command)} from OBS, expected edit, bypass or slate and a "
            "number.",
            hint="Load the liveedit_cam.lua of this version in Tools > Scripts.",
        )
    return Mode(word)


def _key(rule: Rule) -> str:
    """A rule's box, the same after its file was read again."""
    return f"{rule.kind} {sorted(rule.when.items())}"
