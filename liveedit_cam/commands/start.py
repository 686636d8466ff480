"""``start``: the camera in the background. Runs ``run`` detached and waits until it edits."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import typer

from liveedit_cam.commands.log_file import rotate
from liveedit_cam.commands.remote import STOP_TIMEOUT_S
from liveedit_cam.commands.signals import stop_on_signals
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.state import (
    LOG_NAME,
    DaemonAddress,
    DaemonLock,
    pass_start_on,
    read_address,
    runtime_path,
)
from liveedit_cam.errors import ControlError
from liveedit_cam.types import State

ANSWER_TIMEOUT_S = 120.0
"""Longest wait for devices to open and the control plane to answer."""
LIVE_TIMEOUT_S = 30.0
"""Longest wait for the model, once the control plane answers; loading then goes on without us."""
NOT_YET = (State.STARTING, State.WARMING, State.STOPPED)
"""States before the first picture, or just before the end of a run that failed."""
TAIL_LINES = 20
LOOK_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Started:
    """A daemon that answers."""

    address: DaemonAddress
    state: State


def start(context: typer.Context) -> None:
    """Edit the camera live in the background; takes what `run` takes (see run --help)."""
    folder = runtime_path(os.environ)
    with stop_on_signals() as stop:
        with DaemonLock(folder):  # refused here if one runs already
            log = _open_log(folder)
        child = _spawn([*context.args, "--quiet"], log)
        pass_start_on(folder, child.pid)
        found = _wait_until_live(child, folder, log, stop)
    typer.echo(f"liveedit-cam runs (process {found.address.pid}, {found.state})")
    typer.echo(f"page: {found.address.page_url}")
    typer.echo(f"log:  {log}")


def _open_log(folder: Path) -> Path:
    """The log, private and not too long; what is in it stays. Raises ControlError."""
    log = folder / LOG_NAME
    try:
        log.touch(mode=0o600)
        rotate(log)
    except OSError as error:
        raise ControlError(
            f"the log {log} cannot be written: {error.strerror or error}.",
            hint="Make room or give yourself access, and start again.",
        ) from error
    return log


def _spawn(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start ``run`` so that it outlives this terminal; what it prints goes to the log."""
    is_verbose = logging.getLogger("liveedit_cam").isEnabledFor(logging.DEBUG)
    command = [sys.executable, "-m", "liveedit_cam", *(["-v"] if is_verbose else []), "run"]
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
    with log.open("ab") as output:
        return subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=flags,
        )


def _wait_until_live(
    child: subprocess.Popen[bytes], folder: Path, log: Path, stop: threading.Event
) -> Started:
    """Wait for the first edited picture, or for the control plane where that takes long.

    Raises ControlError where neither comes or ``stop`` is set, typer.Exit with the child's code
    where it ended.
    """
    began_at = log.stat().st_size
    started_at = time.monotonic()
    found: Started | None = None
    while child.poll() is None:
        found = _look(folder)
        waited_s = time.monotonic() - started_at
        if found is not None and (found.state not in NOT_YET or waited_s > LIVE_TIMEOUT_S):
            return found
        if waited_s > ANSWER_TIMEOUT_S:
            break
        if stop.wait(LOOK_EVERY_S):
            child.terminate()
            child.wait(STOP_TIMEOUT_S)
    if stop.is_set() or child.returncode in (0, -signal.SIGTERM):
        raise ControlError("liveedit-cam was stopped while it started.")
    typer.echo(log_tail(log, began_at), err=True)
    if child.returncode is None:
        child.terminate()
        raise ControlError(
            f"liveedit-cam did not answer within {ANSWER_TIMEOUT_S:.0f} s and was ended.",
            hint=f"The whole log is {log}.",
        )
    typer.echo(
        f"liveedit-cam did not start (exit code {child.returncode}); the log is {log}.", err=True
    )
    raise typer.Exit(child.returncode or 1)


def _look(folder: Path) -> Started | None:
    """The daemon as it is now, None while it does not answer."""
    address = read_address(folder)
    if address is None or address.port == 0:
        return None
    try:
        return Started(address, ControlClient(address).status().state)
    except ControlError:  # it ended between the two lines above: its exit code tells more
        return None


def log_tail(log: Path, began_at: int = 0) -> str:
    """The last lines of a log from that byte on, "(the log is empty)" if there are none."""
    text = log.read_bytes()
    text = text[began_at:] if len(text) >= began_at else text  # it was cut short meanwhile
    lines = text.decode("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:]) or "(the log is empty)"
