"""``doctor``: look at all that a working camera needs, and mend what needs no guess."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liveedit_cam.commands.asking import agree
from liveedit_cam.errors import UsageError

if TYPE_CHECKING:
    from liveedit_cam.setup.computer import Computer
    from liveedit_cam.setup.findings import Finding, Fix


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Run the commands that need no guess, after asking.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Open no camera and load no model.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with the settings.")] = None,
) -> None:
    """Say what is right, what is wrong, and the command that mends it; exit code 1 for a fail.

    Without --fix it changes nothing. A camera is opened for a moment, so its light goes on.
    """
    from liveedit_cam.config import load_config
    from liveedit_cam.cores import share_cores, usable_cores
    from liveedit_cam.setup.computer import this_computer
    from liveedit_cam.setup.findings import Verdict, certain_fixes, worst
    from liveedit_cam.setup.findings import as_json as report

    if as_json and fix:
        raise UsageError("got --json and --fix, expected one of them.", hint="Mend first.")
    share_cores(os.environ, usable_cores())
    computer = this_computer(load_config(config, os.environ, {}), os.environ, is_quick=quick)

    def seen() -> list[Finding]:
        return _look(computer, is_silent=as_json)

    findings = seen()
    if fix:
        findings = mend_all(findings, computer, partial(_ask, yes=yes), seen)
    if as_json:
        typer.echo(json.dumps(report(findings), ensure_ascii=False))
    else:
        typer.echo(_last_word(findings, () if fix else certain_fixes(findings)))
    if worst(findings) is Verdict.FAIL:
        raise typer.Exit(1)


def _look(computer: Computer, *, is_silent: bool) -> list[Finding]:
    from liveedit_cam.setup.checks import look
    from liveedit_cam.setup.findings import lines

    findings = []
    for finding in look(computer):
        findings.append(finding)
        if not is_silent:
            typer.echo("\n".join(lines(finding)))
    return findings


def _ask(fixes: tuple[Fix, ...], *, yes: bool) -> bool:
    """Show the commands and ask. Raises UsageError where nobody can answer, Exit for a no."""
    typer.echo("\nThese commands mend it:")
    for one in fixes:
        typer.echo(f"  {one.command}")
    agree("Run them?", yes=yes)
    return True


def mend_all(
    findings: list[Finding],
    computer: Computer,
    agrees: Callable[[tuple[Fix, ...]], bool],
    look_again: Callable[[], list[Finding]],
) -> list[Finding]:
    """Run what mends ``findings`` and look again, until nothing new is left that needs no guess.

    A module must be loaded before it can be seen that it is gone after the next start. Each round
    is agreed to; no command is run twice. Returns what was found last. Raises LiveEditError at the
    first command that fails.
    """
    from liveedit_cam.setup.findings import certain_fixes
    from liveedit_cam.setup.fixing import can_sudo, mend, require_root

    has_terminal, fixes = sys.stdin.isatty(), certain_fixes(findings)
    done: set[str] = set()
    while fixes and agrees(fixes):
        require_root(fixes, may_sudo=can_sudo(computer.environ, has_terminal=has_terminal))
        for what in mend(fixes, typer.echo):
            typer.echo(f"To finish: {what}.")
        done |= {one.command for one in fixes}
        typer.echo("")
        findings = look_again()
        fixes = tuple(one for one in certain_fixes(findings) if one.command not in done)
    return findings


def _last_word(findings: list[Finding], fixes: tuple[Fix, ...]) -> str:
    from liveedit_cam.setup.findings import Verdict

    num_open = sum(finding.verdict is not Verdict.OK for finding in findings)
    if not num_open:
        return "\nAll is well."
    way = "liveedit-cam doctor --fix runs those after `run:`, after asking." if fixes else ""
    return f"\n{num_open} of {len(findings)} lines want something. {way}".rstrip()
