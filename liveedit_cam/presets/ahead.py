"""Has the presets encoded before they are wanted, so that one is seen with the next chunk."""

from __future__ import annotations

import logging

from liveedit_cam.errors import InstructionError
from liveedit_cam.presets.commands import Commands

_log = logging.getLogger(__name__)


class Ahead:
    """One prompt at a time, while the program has nothing better to do. One thread owns it."""

    def __init__(self, commands: Commands) -> None:
        """Do nothing yet."""
        self._commands = commands
        self._told: tuple[str, ...] = ()

    def poll(self) -> None:
        """Have the first preset encoded that is not; log what is wrong with the file, once."""
        shelf = self._commands.presets.shelf()
        if shelf.problems != self._told:
            self._told = shelf.problems
            for problem in shelf.problems:
                _log.warning("A preset cannot be used: %s", problem)
        prompts = (preset.edit for preset in shelf.presets if preset.edit is not None)
        for prompt in prompts:
            try:
                if self._commands.unknown_words(prompt) is None:
                    return
            except InstructionError:  # told when it is applied
                continue

    def stop(self) -> None:
        """Nothing is left behind."""
