"""The files that start liveedit-cam with the session: systemd's unit, launchd's list, a task.

Text only: ``service`` writes them and talks to who reads them.
"""

from __future__ import annotations

import plistlib
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

MARK = "made by: liveedit-cam service install"
"""Stands in each file; one without it was written by somebody else."""
NAME = "liveedit-cam"
LABEL = "org.liveedit-cam.camera"
"""launchd's name of the job."""
USER_MISTAKES = (2, 5, 6)
"""Exit codes that a second start cannot mend: a wrong setting, one that runs already, a package."""


def systemd_unit(command: Sequence[str]) -> str:
    """A user unit that runs ``command`` with the session and again one second after a crash."""
    line = " ".join(_systemd_word(word) for word in command)
    return f"""\
# {MARK}
[Unit]
Description=LiveEdit, the edited camera
After=pipewire.service wireplumber.service
StartLimitIntervalSec=120
StartLimitBurst=10

[Service]
ExecStart={line}
Restart=on-failure
RestartSec=1
RestartPreventExitStatus={" ".join(map(str, USER_MISTAKES))}
KillMode=mixed
TimeoutStopSec=20

[Install]
WantedBy=default.target
"""


def _systemd_word(word: str) -> str:
    """A word of ExecStart: quoted, and nothing in it is expanded."""
    for letter, safe in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$"), ("\n", "\\n")):
        word = word.replace(letter, safe)
    return f'"{word}"'


def launchd_plist(command: Sequence[str], log: Path) -> str:
    """A launch agent; ``log`` is the one that liveedit-cam itself keeps short."""
    job = {
        "Label": LABEL,
        "ProgramArguments": list(command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 1,
        "ProcessType": "Interactive",
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }
    text = plistlib.dumps(job, sort_keys=False).decode()
    head, newline, rest = text.partition("\n")
    return f"{head}{newline}<!-- {MARK} -->\n{rest}"


def windows_task(command: Sequence[str]) -> str:
    """A task of the Task Scheduler for log-on; it tries again after a minute, its shortest."""
    program, *arguments = command
    return f"""\
<?xml version="1.0"?>
<!-- {MARK} -->
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Triggers><LogonTrigger><Enabled>true</Enabled></LogonTrigger></Triggers>
  <Principals><Principal id="user"><LogonType>InteractiveToken</LogonType></Principal></Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure><Interval>PT1M</Interval><Count>999</Count></RestartOnFailure>
  </Settings>
  <Actions Context="user">
    <Exec>
      <Command>{escape(program)}</Command>
      <Arguments>{escape(" ".join(_windows_word(word) for word in arguments))}</Arguments>
    </Exec>
  </Actions>
</Task>
"""


def _windows_word(word: str) -> str:
    """A word as the C library of Windows splits a command line."""
    return subprocess.list2cmdline([word])
