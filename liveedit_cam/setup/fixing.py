"""Run the commands that mend, one after the other, in a shell the user sees."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence

from liveedit_cam.errors import LiveEditError, UsageError
from liveedit_cam.setup.findings import Fix

Shell = Callable[[str], int]
"""Run one command line with the user's own terminal; its exit status."""


def in_shell(command: str) -> int:
    """The real one."""
    return subprocess.run(["/bin/sh", "-c", command], check=False).returncode


def can_sudo(environ: Mapping[str, str], *, has_terminal: bool) -> bool:
    """Whether sudo is there and may ask, or needs not ask."""
    if shutil.which("sudo", path=environ.get("PATH")) is None:
        return False
    if has_terminal:
        return True
    asked = subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True)
    return asked.returncode == 0


def require_root(fixes: Sequence[Fix], *, may_sudo: bool) -> None:
    """Raise UsageError where some of ``fixes`` need root and nobody can become it."""
    needy = [fix.command.replace("sudo ", "") for fix in fixes if fix.needs_root]
    if needy and not may_sudo:
        raise UsageError(
            f"{len(needy)} of the commands need root, and sudo is missing or cannot ask here.",
            hint=f"Run as root: {' && '.join(needy)}",
        )


def mend(fixes: Sequence[Fix], say: Callable[[str], None], shell: Shell = in_shell) -> list[str]:
    """Run ``fixes`` in order; what must follow, such as "log in again", is returned.

    Raises LiveEditError at the first one that fails: the later ones build on it.
    """
    after: list[str] = []
    for fix in fixes:
        say(f"$ {fix.command}")
        code = shell(fix.command)
        if code != 0:
            raise LiveEditError(
                f"`{fix.command}` ended with exit status {code}; what follows it was not run.",
                hint="Its own words are above; run liveedit-cam doctor once that is solved.",
            )
        if fix.after is not None and fix.after not in after:
            after.append(fix.after)
    return after
