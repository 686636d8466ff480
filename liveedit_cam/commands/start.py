"""``start``: the camera in the background. Runs ``run`` detached and waits until it answers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import typer

from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.state import DaemonAddress, DaemonLock, read_address, runtime_path
from liveedit_cam.errors import ControlError

START_TIMEOUT_S = 120.0
"""Longest wait for devices to open and the control plane to answer."""
TAIL_LINES = 20


def start(context: typer.Context) -> None:
    """Edit the camera live in the background; takes what `run` takes (see run --help)."""
    folder = runtime_path(os.environ)
    with DaemonLock(folder):  # refused here if one runs already, before its log is overwritten
        log = folder / "daemon.log"
        log.touch(mode=0o600)
        log.write_bytes(b"")
    child = _spawn([*context.args, "--quiet"], log)
    address = _wait_until_answering(child, folder, log)
    typer.echo(f"liveedit-cam runs (process {address.pid})")
    typer.echo(f"page: {address.page_url}")
    typer.echo(f"log:  {log}")


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


def _wait_until_answering(child: subprocess.Popen[bytes], folder: Path, log: Path) -> DaemonAddress:
    give_up_at = time.monotonic() + START_TIMEOUT_S
    while child.poll() is None and time.monotonic() < give_up_at:
        address = read_address(folder)
        if address is not None and address.port:
            ControlClient(address).status()
            return address
        time.sleep(0.1)
    typer.echo(log_tail(log), err=True)
    if child.returncode is None:
        child.terminate()
        raise ControlError(
            f"liveedit-cam did not answer within {START_TIMEOUT_S:.0f} s and was ended.",
            hint=f"The whole log is {log}.",
        )
    typer.echo(
        f"liveedit-cam did not start (exit code {child.returncode}); the log is {log}.", err=True
    )
    raise typer.Exit(child.returncode or 1)


def log_tail(log: Path) -> str:
    """The last lines of a log, "(the log is empty)" if there are none."""
    lines = log.read_text("utf-8", errors="replace").splitlines()
    return "\n".join(lines[-TAIL_LINES:]) or "(the log is empty)"
