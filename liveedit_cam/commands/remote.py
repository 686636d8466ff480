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

from liveedit_cam.commands.lines import rows, table
from liveedit_cam.control.client import ControlClient, find_daemon
from liveedit_cam.control.state import read_address, runtime_path
from liveedit_cam.control.wire import status_to_json
from liveedit_cam.errors import ControlError
from liveedit_cam.types import Mode, Region

COMMANDS = {
    "edit": "Give the running camera a new instruction.",
    "mode": "Choose what the running camera shows, at once.",
    "status": "Show what the running camera does, and the address of its page.",
    "stop": "End the running camera.",
}
"""Name and purpose of each command here."""

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
    """Hand in the instruction and, where the user wants to wait, tell when it was visible."""
    accepted = client.instruct(
        wanted.prompt, strength=wanted.strength, region=wanted.region, seed=wanted.seed
    )
    seconds = notice = None
    if wanted.wait:
        seconds = client.wait_visible(accepted.revision, wanted.timeout)
        found = client.status()
        if max(found.revision, found.pending_revision) == accepted.revision:
            notice = found.notice  # of this instruction, not of one that came after it
    if wanted.json:
        answer = {
            "revision": accepted.revision,
            "prompt": accepted.prompt,
            "seconds": seconds,
            "notice": notice,
        }
        return json.dumps(answer, ensure_ascii=False)
    lines = [f"instruction {accepted.revision}: {accepted.prompt}"]
    if notice is not None:
        lines.append(f"note: {notice}")
    if seconds is not None:
        lines.append(f"visible after {seconds:.2f} s")
    return "\n".join(lines)


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
        time.sleep(0.05)
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
    add("prompt", help='the instruction, such as "make the background a blue night"')
    add("--strength", type=float, default=1.0, metavar="0..1", help="how much of the edit is shown")
    add(
        "--region",
        type=_region,
        metavar="X,Y,W,H",
        help="where the edit may act, as shares of the picture, origin top left",
    )
    add("--seed", type=int, default=0, metavar="N", help="start of the random numbers")
    add("--wait", action="store_true", help="wait until the edit is visible and print the seconds")
    add("--timeout", type=float, default=30.0, metavar="S", help="longest wait in seconds (30)")
    add("--json", action="store_true", help="print the answer as JSON")


def _region(text: str) -> Region:
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"got {text!r}, expected four shares such as 0,0,0.5,1 for the left half"
        ) from error
    return Region(x, y, width, height)
