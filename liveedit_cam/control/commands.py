"""What the routes need of the Controller."""

from __future__ import annotations

from typing import Protocol

from liveedit_cam.control.waiting import Settled
from liveedit_cam.presets import Applied, PresetBook
from liveedit_cam.types import EditInstruction, Frame, LatencyMode, Mode, Region, Status


class Commands(Protocol):
    """What the routes need of the Controller; they call it from several threads."""

    def instruct(
        self,
        prompt: str,
        *,
        strength: float,
        region: Region | None,
        seed: int,
        origin: str,
        transition_s: float,
    ) -> EditInstruction:
        """Accept an instruction and number it. Raises InstructionError."""
        ...

    @property
    def presets(self) -> PresetBook:
        """Looks by name; any thread."""
        ...

    def apply_preset(self, name: str, origin: str) -> Applied:
        """Put a preset into force. Raises UsageError for a name nobody knows."""
        ...

    def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
        """Words of a prompt the editor does not know; None = ask again. Raises InstructionError."""
        ...

    def set_mode(self, mode: Mode) -> None:
        """Change what the sinks show."""
        ...

    def set_latency(self, latency: LatencyMode) -> None:
        """Change how a frame gets its edit."""
        ...

    def status(self) -> Status:
        """One snapshot."""
        ...

    def shown(self) -> Frame | None:
        """The frame written to the sinks last; None before the first."""
        ...

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        """What became of that instruction; with 0 seconds at once. Raises ControlError."""
        ...
