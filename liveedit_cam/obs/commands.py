"""What OBS needs of the Controller."""

from __future__ import annotations

from typing import Protocol

from liveedit_cam.types import EditInstruction, Mode, Region, Status


class Commands(Protocol):
    """The Controller, as far as OBS needs it; called from the connection's thread.

    ``note_obs`` is called from the thread that polls the session.
    """

    def instruct(
        self, prompt: str, *, strength: float, region: Region | None, seed: int, origin: str
    ) -> EditInstruction:
        """Accept an instruction and number it. Raises InstructionError."""
        ...

    def set_mode(self, mode: Mode) -> None:
        """Change what the sinks show."""
        ...

    def apply_preset(self, name: str, origin: str) -> object:
        """Put a preset into force. Raises UsageError for a name nobody knows."""
        ...

    def prepare(self, prompt: str) -> None:
        """Encode an instruction that may be given soon. Raises InstructionError."""
        ...

    def status(self) -> Status:
        """One snapshot."""
        ...

    def note_obs(self, state: str, detail: str | None) -> None:
        """Put where the connection stands into the status."""
        ...
