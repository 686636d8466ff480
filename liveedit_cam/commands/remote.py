"""Commands for the camera that runs already: ``edit``, ``status``, ``mode``, ``page``, ``stop``.

They make one or two HTTP calls and end at once. So nothing here, and nothing imported here, loads
numpy, pydantic, rich, fastapi or torch; nor Typer, which loads pydantic.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from liveedit_cam.commands import preset, record
from liveedit_cam.commands.lines import NOTHING_SHARE, changes, rows, table
from liveedit_cam.commands.words import joined, region_of, share_of
from liveedit_cam.control.client import ControlClient, find_daemon
from liveedit_cam.control.state import (
    DaemonAddress,
    StartNote,
    is_daemon,
    read_address,
    read_starting,
    runtime_path,
)
from liveedit_cam.control.wire import status_to_json
from liveedit_cam.errors import ControlError, InstructionError, UsageError
from liveedit_cam.types import Choice, Fit, LatencyMode, Mode, Region, Settled

COMMANDS = {
    "edit": "Give the running camera a new instruction.",
    "mode": "Choose what the running camera shows, at once.",
    "latency": "Edit every picture at once (live), or each by its own edit, later (exact).",
    "use": "Try or take another source, sink, model or number of steps; alone, list them.",
    "picture": "Choose how the camera's picture fills the output: fit, mirror.",
    "status": "Show what the running camera does, and the address of its page.",
    "record": "Record what the running camera shows: start, stop.",
    "snapshot": "Save the edited picture of this moment.",
    "preset": "Looks by name: list, apply, add, remove, export, import.",
    "page": "Show the address of the control page, or make another one.",
    "stop": "End the running camera.",
}
"""Name and purpose of each command here."""

NOTICE_TIMEOUT_S = 0.06
"""Longest wait for what the engine thinks of an instruction; it answers within some milliseconds,
unless it is loading. The status has it later."""
HINT = 'If something should change, name it, or the colour it has: "change the blue cup to red".'
POLL_S = 0.03
MAX_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 20.0
"""Longest wait for a daemon to close its devices and end."""


def main(arguments: Sequence[str]) -> str:
    """Run one command, its name first; returns what the user reads.

    Raises LiveEditError; SystemExit after a usage error, which is then printed already.
    """
    if arguments[0] == "preset":
        return preset.main(arguments[1:])
    if arguments[0] in ("record", "snapshot"):
        return record.main(arguments)
    wanted = _parser().parse_args(arguments)
    folder = runtime_path(os.environ)
    if wanted.command == "stop":
        return stop(folder)
    if wanted.command == "page" and wanted.new_token:
        from liveedit_cam.control.token import state_path

        return renew_page(folder, state_path(os.environ))
    client = find_daemon(folder)
    if wanted.command == "edit":
        return edit(client, wanted)
    if wanted.command == "mode":
        return f"mode {client.set_mode(Mode(wanted.mode))}"
    if wanted.command == "latency":
        return f"latency {client.set_latency(LatencyMode(wanted.latency))}"
    if wanted.command == "use":
        return use(client, wanted)
    if wanted.command == "picture":
        fit, is_mirrored = client.set_picture(wanted.fit, wanted.mirror)
        return f"fit {fit}, {'mirrored' if is_mirrored else 'not mirrored'}"
    if wanted.command == "page":
        return page(client.address, is_opened=wanted.open)
    if wanted.watch:
        from liveedit_cam.commands.display import watch  # rich, for this one alone

        return watch(client, is_json=wanted.json)
    found = client.status()
    if wanted.json:
        return status_to_json(found)
    return table([*rows(found), ("page", client.address.page_url)])


def use(client: ControlClient, wanted: argparse.Namespace) -> str:
    """Try or take a choice, or list what there is. Raises UsageError, ControlError."""
    if wanted.value is None:
        several = client.choices()
        kinds = list(several) if wanted.what is None else [Choice(wanted.what)]
        return table(
            [
                (f"use {what} {value}", text or value)
                for what in kinds
                for value, text in several[what]
            ]
        )
    name, revision = client.choose(Choice(wanted.what), wanted.value, is_trial=wanted.is_trial)
    outcome = "works, nothing was changed" if wanted.is_trial else "in use"
    return f"{wanted.what} {name}: {outcome}; instruction {revision} goes on"


def page(address: DaemonAddress, *, is_opened: bool = False) -> str:
    """The page's addresses; the first one also in the browser where that is wanted."""
    if is_opened:
        import webbrowser  # for this one alone; so are the imports in functions below

        webbrowser.open(address.page_url)
    return table(
        [
            ("page", address.page_url),
            ("pictures", f"{address.pictures_url} (can change nothing)"),
        ]
    )


def renew_page(folder: Path, state_folder: Path) -> str:
    """Make another token, also in a camera that runs; the old address opens nothing any more.

    Raises ControlError.
    """
    if read_address(folder) is None and read_starting(folder) is None:
        from liveedit_cam.control.token import new_token

        new_token(state_folder)
        return "the page has a new address; `liveedit-cam page` prints it while the camera runs"
    return page(find_daemon(folder).renew_token())


def announce_start() -> StartNote:
    """Tell ``stop`` of a daemon that is just being started. Raises ControlError."""
    return StartNote(runtime_path(os.environ))


def edit(client: ControlClient, wanted: argparse.Namespace) -> str:
    """Hand in the instruction and tell what the model does not know of it.

    Where the user wants to wait, tell also when it was visible. Raises InstructionError,
    ControlError.
    """
    accepted = client.instruct(
        joined(wanted.prompt), strength=wanted.strength, region=wanted.region, seed=wanted.seed
    )
    if wanted.wait:
        found = client.wait_visible(accepted.revision, wanted.timeout)
    else:
        found = client.wait_encoded(accepted.revision, NOTICE_TIMEOUT_S)
    if found.refused is not None:
        raise InstructionError(found.refused)
    if wanted.wait and found.visible_s is None:
        raise ControlError(
            f"Instruction {accepted.revision} was not visible within {wanted.timeout:g} s.",
            hint="Look at the status: the mode must be edit and the engine live.",
        )
    if wanted.json:
        answer = {
            "revision": accepted.revision,
            "prompt": accepted.prompt,
            "seconds": found.visible_s,
            "changed": found.changed,
            "notice": found.notice,
        }
        return json.dumps(answer, ensure_ascii=False)
    lines = [f"instruction {accepted.revision}: {accepted.prompt}"]
    if found.notice is not None:
        lines.append(f"note: {found.notice}")
    elif found.encoded_s is None and not wanted.wait:
        lines.append("note: the model has not read it yet, see the status (or edit with --wait)")
    if found.visible_s is not None and wanted.wait:
        lines += _seen(found, may_be_nothing=wanted.strength == 0 or wanted.region is not None)
    return "\n".join(lines)


def _seen(found: Settled, *, may_be_nothing: bool) -> list[str]:
    lines = [f"visible after {found.visible_s:.2f} s"]
    if found.changed is not None:
        lines.append(f"changes {changes(found.changed)}")
        if found.changed < NOTHING_SHARE and not may_be_nothing:
            lines.append(HINT)
    return lines


def stop(folder: Path) -> str:
    """End the daemon of a runtime folder, also one that is just starting, and wait until it has.

    Raises ControlError.
    """
    starting = read_starting(folder)
    if starting is None:
        client = find_daemon(folder)
        address, pid = client.address, client.address.pid
        client.stop()
        _wait_for_end(lambda: read_address(folder) == address, pid)
        return f"stopped (process {pid})"
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(starting, signal.SIGTERM)
    _wait_for_end(
        lambda: read_starting(folder) is not None or is_daemon(folder, starting), starting
    )
    return f"stopped (process {starting}, which was starting)"


def _wait_for_end(is_there: Callable[[], bool], pid: int) -> None:
    give_up_at = time.monotonic() + STOP_TIMEOUT_S
    while is_there():
        if time.monotonic() > give_up_at:
            raise ControlError(
                f"process {pid} was asked to end and is still there after {STOP_TIMEOUT_S:.0f} s.",
                hint=f"Wait a little, or end process {pid} by force.",
            )
        time.sleep(POLL_S)


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
    found["latency"].add_argument("latency", choices=list(LatencyMode))
    found["use"].add_argument("what", nargs="?", choices=list(Choice))
    found["use"].add_argument(
        "value", nargs="?", help="as the list names it: camera:1, virtual-camera, nano, 2"
    )
    found["use"].add_argument("--try", dest="is_trial", action="store_true", help="change nothing")
    found["picture"].add_argument(
        "--fit",
        choices=[fit.value for fit in Fit],
        help="bars: all of it; crop: over all of the output; stretch: out of shape",
    )
    found["picture"].add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="exchange left and right"
    )
    found["page"].add_argument(
        "--new-token", action="store_true", help="make a new address; the old one opens nothing"
    )
    found["page"].add_argument("--open", action="store_true", help="open it in the browser")
    found["status"].add_argument("--watch", action="store_true", help="go on until Ctrl-C")
    found["status"].add_argument("--json", action="store_true", help="print all figures as JSON")
    return parser


def _add_edit_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("prompt", nargs="+", help='the instruction, such as "make the background blue"')
    add(
        "--strength", type=_share, default=1.0, metavar="0..1", help="how much of the edit is shown"
    )
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


def _share(text: str) -> float:
    try:
        return share_of(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
        return region_of(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
