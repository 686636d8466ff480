"""What doctor finds of the virtual camera, before and after its own commands. Loads no model."""

from __future__ import annotations

import os
import sys

from liveedit_cam.config import Config
from liveedit_cam.setup.computer import this_computer
from liveedit_cam.setup.findings import certain_fixes, lines
from liveedit_cam.setup.fixing import mend
from liveedit_cam.setup.virtual_camera import virtual_camera


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def main() -> None:
    computer = this_computer(Config(), os.environ, is_quick=True)
    for title in ("before", "after the module", "after all"):
        found = list(virtual_camera(computer))
        say(title)
        for finding in found:
            say("\n".join(lines(finding)))
        mend(certain_fixes(found), say)
    say("done")


if __name__ == "__main__":
    main()
