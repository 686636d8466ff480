"""Commands for the camera that runs already: ``edit``, ``status``, ``mode``, ``stop``.

They make one or two HTTP calls and end at once. So nothing here, and nothing imported here, loads
numpy, pydantic, rich, fastapi or torch; nor Typer, which loads pydantic.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence

from liveedit_cam.commands.lines import NOTHING_SHARE, changes, rows, table
from liveedit_cam.control.client import ControlClient, find_daemon
from liveedit_cam.control.state import read_address, runtime_path
from liveedit_cam.control.wire import status_to_json
from liveedit_cam.errors import ControlError, InstructionError
from liveedit_cam.types import Mode, Region, State

COMMANDS = {
    "edit": "Give the running camera a new instruction.",
    "mode": "Choose what the running camera shows, at once.",
    "status": "Show what the running camera does, and the address of its page.",
    "stop": "End the running camera.",
}
"""Name and purpose of each command here."""

NOTICE_TIMEOUT_S = 1.5
"""Longest wait for what the engine thinks of an instruction; it answers after its chunk."""
HINT = 'If something should change: a thing is found by its colour, "change the blue shirt to red".'
POLL_S = 0.03
MAX_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 20.0
"""Longest wait for a daemon to close its devices and end."""


def main(arguments: Sequence[str]) -> str:
    """Run one command, its name first; returns what the user reads.

    Raises LiveEditError; SystemExit after a usage error, which is then printed already.
    """
    wanted = _parser().parse_args(arguments)
    client = find_daemon(runtime_path(os.environ))
    if wanted.command == "edit":
        return edit(client, wanted)
    if wanted.command == "mode":
        return f"mode {client.set_mode(Mode(wanted.mode))}"
    if wanted.command == "stop":
        return stop(client)
    found = client.status()
    if wanted.json:
        return status_to_json(found)
    return table([*rows(found), ("page", client.address.page_url)])


def edit(client: ControlClient, wanted: argparse.Namespace) -> str:
    """Hand in the instruction and tell what the model does not know of it.

    Where the user wants to wait, tell also when it was visible. Raises InstructionError,
    ControlError.
    """
    accepted = client.instruct(
        wanted.prompt, strength=wanted.strength, region=wanted.region, seed=wanted.seed
    )
    seconds = client.wait_visible(accepted.revision, wanted.timeout) if wanted.wait else None
    notice = notice_about(client, accepted.revision)
    shown = client.status() if seconds is not None else None
    if wanted.json:
        answer = {
            "revision": accepted.revision,
            "prompt": accepted.prompt,
            "seconds": seconds,
            "changed": shown.changed if shown else None,
            "notice": notice,
        }
        return json.dumps(answer, ensure_ascii=False)
    lines = [f"instruction {accepted.revision}: {accepted.prompt}"]
    if notice is not None:
        lines.append(f"note: {notice}")
    if shown is not None:
        lines.append(f"visible after {seconds:.2f} s")
        if shown.changed is not None:
            lines.append(f"changes {changes(shown)}")
            if shown.changed < NOTHING_SHARE and wanted.strength > 0 and wanted.region is None:
                lines.append(HINT)
    return "\n".join(lines)


def notice_about(client: ControlClient, revision: int) -> str | None:
    """What the engine says about an instruction; None = nothing, or no answer within 1.5 s.

    An engine that still loads is not waited for. Raises InstructionError where it refuses.
    """
    give_up_at = time.monotonic() + NOTICE_TIMEOUT_S
    while True:
        found = client.status()
        if found.rejected_revision == revision:
            raise InstructionError(found.last_error or f"The model refused instruction {revision}.")
        if found.notice_revision >= revision:  # a newer one's notice is not about this one
            return found.notice if found.notice_revision == revision else None
        if found.state not in (State.LIVE, State.HOLDING) or time.monotonic() > give_up_at:
            return None
        time.sleep(POLL_S)


def stop(client: ControlClient) -> str:
    """Ask the daemon to end and wait until it has. Raises ControlError."""
    address = client.address
    folder = runtime_path(os.environ)
    client.stop()
    give_up_at = time.monotonic() + STOP_TIMEOUT_S
    while read_address(folder) == address:
        if time.monotonic() > give_up_at:
            raise ControlError(
                f"process {address.pid} was asked to end and is still there after"
                f" {STOP_TIMEOUT_S:.0f} s.",
                hint=f"Wait a little, or end process {address.pid} by force.",
            )
        time.sleep(POLL_S)
    return f"stopped (process {address.pid})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="liveedit-cam", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    found = {
        name: commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        for name, purpose in COMMANDS.items()
    }
    _add_edit_options(found["edit"])
    found["mode"].add_argument(
        "mode",
        choices=[mode.value for mode in Mode],
        help="edit: the edited picture; bypass: the camera as it is; slate: a still card",
    )
    found["status"].add_argument("--json", action="store_true", help="print all figures as JSON")
    return parser


def _add_edit_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("prompt", help='the instruction, such as "make the background blue"')
    add("--strength", type=float, default=1.0, metavar="0..1", help="how much of the edit is shown")
    add(
        "--region",
        type=_region,
        metavar="X,Y,W,H",
        help="where the edit may act, as shares of the picture, origin top left",
    )
    add("--seed", type=int, default=0, metavar="N", help="start of the random numbers")
    add("--wait", action="store_true", help="wait until the edit is visible and print the seconds")
    add("--timeout", type=_seconds, default=30.0, metavar="S", help="longest wait in seconds (30)")
    add("--json", action="store_true", help="print the answer as JSON")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= MAX_TIMEOUT_S:  # checked here: refused later, the edit would be made
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected seconds from 0 to {MAX_TIMEOUT_S:.0f}"
        )
    return seconds


def _region(text: str) -> Region:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected four shares such as 0,0,0.5,1 for the left half"
        ) from error
    return Region(x, y, width, height)
