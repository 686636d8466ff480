"""What a check found, and the commands that mend it. Values and text only; runs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, though not as well as it could."""
    FAIL = "fail"
    """Something the user asked for does not work."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One command line for a shell."""

    command: str
    is_certain: bool = True
    """Whether it may be run without a person's choice; False = it is a suggestion."""
    after: str | None = None
    """What must follow before it counts, such as "log in again"; None = nothing."""

    @property
    def needs_root(self) -> bool:
        """Whether it asks sudo."""
        return "sudo " in self.command


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    """What was looked at, two words at most."""
    verdict: Verdict
    text: str
    """What was seen, one sentence without a full stop at its end."""
    fixes: tuple[Fix, ...] = ()
    """In this order they mend it; () where it is ok."""


def ok(check: str, text: str) -> Finding:
    """It works."""
    return Finding(check, Verdict.OK, text)


def warn(check: str, text: str, *fixes: Fix) -> Finding:
    """It could be better."""
    return Finding(check, Verdict.WARN, text, fixes)


def fail(check: str, text: str, *fixes: Fix) -> Finding:
    """It does not work."""
    return Finding(check, Verdict.FAIL, text, fixes)


def lines(finding: Finding) -> list[str]:
    """The finding for a terminal: one line, and one for each command."""
    first = f"{finding.verdict:<4}  {finding.check:<14}  {finding.text}"
    return [first, *(f"{'':22}{_told(fix)}" for fix in finding.fixes)]


def _told(fix: Fix) -> str:
    after = f"   (then {fix.after})" if fix.after else ""
    return f"{'run' if fix.is_certain else 'try'}: {fix.command}{after}"


def worst(findings: Sequence[Finding]) -> Verdict:
    """The verdict on all of them together."""
    found = {finding.verdict for finding in findings}
    return next((one for one in (Verdict.FAIL, Verdict.WARN) if one in found), Verdict.OK)


def certain_fixes(findings: Sequence[Finding]) -> tuple[Fix, ...]:
    """The commands that need no guess, in order, each once."""
    fixes = (fix for finding in findings for fix in finding.fixes if fix.is_certain)
    return tuple({fix.command: fix for fix in fixes}.values())


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """The report for programs: ``verdict`` and ``findings``, each as its fields."""
    return {"verdict": worst(findings), "findings": [asdict(finding) for finding in findings]}
