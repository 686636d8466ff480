"""``record`` and ``snapshot``: keep what the running camera shows. One HTTP call each."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

from liveedit_cam.control.client import find_daemon
from liveedit_cam.control.state import runtime_path
from liveedit_cam.errors import ControlError


def main(arguments: Sequence[str]) -> str:
    """Run ``record start|stop`` or ``snapshot``; returns what the user reads.

    Raises LiveEditError; SystemExit after a usage error, which is then printed already.
    """
    wanted = _parser().parse_args(arguments)
    client = find_daemon(runtime_path(os.environ))
    path = None if wanted.file is None else wanted.file.expanduser().absolute()
    if wanted.command == "snapshot":
        return _save(path or Path(time.strftime("liveedit-%Y%m%d-%H%M%S.jpg")), client.snapshot())
    if wanted.action == "start":
        found = client.start_recording(
            path,
            with_source=wanted.with_source,
            badge=wanted.badge,
            microphone=wanted.microphone,
        )
        return f"recording to {found}\nend it with: liveedit-cam record stop"
    files, seconds = client.stop_recording()
    return "\n".join([f"recorded {seconds:.1f} s", *files])


def _save(path: Path, picture: bytes) -> str:
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        raise ControlError(f"got {path.name}, expected a name that ends in .jpg")
    if not picture:
        raise ControlError("There is no picture yet.", hint="Try again in a moment.")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with open(descriptor, "wb") as file:
            file.write(picture)
    except FileExistsError as error:
        raise ControlError(f"{path} is there already.", hint="Name another file.") from error
    except OSError as error:
        raise ControlError(f"{path} cannot be written: {error.strerror or error}.") from error
    return f"wrote {path}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="liveedit-cam", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    record = commands.add_parser(
        "record", description="Record what the running camera shows.", allow_abbrev=False
    )
    record.add_argument("action", choices=["start", "stop"])
    record.add_argument(
        "file", nargs="?", type=Path, help="name that ends in .mp4; none = named by the date"
    )
    record.add_argument(
        "--with-source", action="store_true", help="also the camera's own picture, NAME-source.mp4"
    )
    record.add_argument(
        "--badge", action="store_true", help='write "edited live" into a corner of edited pictures'
    )
    record.add_argument(
        "--microphone",
        nargs="?",
        const="",
        metavar="NAME",
        help="also the sound of this microphone, by a part of its name; no name = the system's",
    )
    snapshot = commands.add_parser(
        "snapshot", description="Save the edited picture of this moment.", allow_abbrev=False
    )
    snapshot.add_argument("file", nargs="?", type=Path, help="new JPEG; none = named by the date")
    return parser
