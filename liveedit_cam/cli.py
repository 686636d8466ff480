"""The command ``liveedit-cam``: finds the command, and ends it with one line where it fails.

Commands for the running camera go straight to ``commands.remote``, which needs the standard library
only and returns in a tenth of a second; Typer, with its own imports, is loaded for all others.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext

from liveedit_cam.commands import output, remote
from liveedit_cam.errors import LiveEditError


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and its own exit code."""
    arguments = sys.argv[1:]
    output.speak_safely()
    try:
        if arguments and arguments[0] in remote.COMMANDS:
            print(remote.main(arguments))
        else:
            with _announced(arguments):
                from liveedit_cam.commands.app import app

                app(arguments, prog_name="liveedit-cam")
    except LiveEditError as error:
        import logging  # here: `edit` is to return at once

        logging.getLogger(__name__).debug("the command failed", exc_info=True)
        print(f"liveedit-cam: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)  # what a shell expects of a program that Ctrl-C ended


def _announced(arguments: list[str]) -> AbstractContextManager[object]:
    """Where a camera is to be started, let ``stop`` know before anything heavy is loaded."""
    command = next((one for one in arguments if not one.startswith("-")), "")
    is_start = command == "start" and not {"-h", "--help"} & set(arguments)
    return remote.announce_start() if is_start else nullcontext()
