"""Has the presets encoded before they are wanted, so that one is seen with the next chunk."""

from __future__ import annotations

import logging
from typing import Protocol

from liveedit_cam.errors import InstructionError
from liveedit_cam.presets.book import PresetBook

_log = logging.getLogger(__name__)


class Encoder(Protocol):
    """What is needed of the Controller."""

    def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
        """None = it is not encoded yet, and will be. Raises InstructionError."""
        ...


class Ahead:
    """One prompt at a time, while the program has nothing better to do. One thread owns it."""

    def __init__(self, book: PresetBook, encoder: Encoder) -> None:
        """Do nothing yet."""
        self._book = book
        self._encoder = encoder
        self._told: tuple[str, ...] = ()

    def poll(self) -> None:
        """Have the first preset encoded that is not; log what is wrong with the file, once."""
        shelf = self._book.shelf()
        if shelf.problems != self._told:
            self._told = shelf.problems
            for problem in shelf.problems:
                _log.warning("A preset cannot be used: %s", problem)
        prompts = (preset.edit for preset in shelf.presets if preset.edit is not None)
        for prompt in prompts:
            try:
                if self._encoder.unknown_words(prompt) is None:
                    return
            except InstructionError:  # told when it is applied
                continue

    def stop(self) -> None:
        """Nothing is left behind."""
