"""Where things stand in a rule file: TOML's values do not know their lines. Knows no rule."""

from __future__ import annotations

import re

from liveedit_cam.config import line_of

_HEADER = re.compile(r"""\s*\[\[\s*["']?rule["']?\s*\]\]""")


class RuleLines:
    """Places for messages, such as "obs.toml line 7", as near as the text lets them be found."""

    def __init__(self, place: str, text: str, *, num_rules: int) -> None:
        """``num_rules`` as TOML counted; where the headers do not agree, lines are left out."""
        self._place = place
        self._lines = text.splitlines()
        headers = [at for at, line in enumerate(self._lines) if _HEADER.match(line)]
        self._starts = headers if len(headers) == num_rules else []

    def number(self, index: int) -> int | None:
        """Line of the header of rule ``index`` (from 0), counted from 1; None = unknown."""
        return self._starts[index] + 1 if self._starts else None

    def of_top(self, name: str) -> str:
        """Place of a key outside all rules."""
        return self._at(line_of(name, self._lines))

    def of_rule(self, index: int, name: str | None = None) -> str:
        """Place of a key of rule ``index``, also inside its ``when``; else of the rule."""
        if not self._starts:
            return f"{self._place} rule {index + 1}"
        start = self._starts[index]
        end = self._starts[index + 1] if index + 1 < len(self._starts) else len(self._lines)
        found = None
        if name is not None:
            pattern = re.compile(
                rf"(?!\s*#)(?:.*[\s{{,.\[])?[\"']?{re.escape(name)}[\"']?\s*[=.\]]"
            )
            inside = range(start + 1, end)
            found = next((at for at in inside if pattern.match(self._lines[at])), None)
        return self._at(start if found is None else found)

    def _at(self, line: int | None) -> str:
        return self._place if line is None else f"{self._place} line {line + 1}"
