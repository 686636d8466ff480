"""The trigger most kinds are: a rule acts when the event carries the values it expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from liveedit_cam.protocols import Action, Field, Rule


@dataclass(frozen=True, slots=True)
class Matching:
    """A Trigger that compares; what else the event carries does not matter."""

    event: str
    fields: tuple[Field, ...]
    expected: Callable[[Rule], Mapping[str, Any]]
    """What the event must carry for a rule to act."""
    brings_prompt: bool = False

    def example(self, rule: Rule) -> Mapping[str, Any]:
        return self.expected(rule)

    def handle(self, data: Mapping[str, Any], rule: Rule) -> Action | None:
        return rule.action if _carries(data, self.expected(rule)) else None


def _carries(data: object, expected: object) -> bool:
    if isinstance(expected, Mapping):
        return isinstance(data, Mapping) and all(
            name in data and _carries(data[name], value) for name, value in expected.items()
        )
    return data == expected
