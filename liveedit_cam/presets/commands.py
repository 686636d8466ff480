"""What page, command line, OBS and consoles need of the Controller, in one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from liveedit_cam.types import (
    Choice,
    EditInstruction,
    Fit,
    Frame,
    LatencyMode,
    Mode,
    OnFailure,
    Region,
    Settled,
    Status,
)

if TYPE_CHECKING:
    from liveedit_cam.presets.book import PresetBook
    from liveedit_cam.presets.table import Applied


class Steering(Protocol):
    """What of the Controller changes the picture; called from any thread."""

    def instruct(
        self,
        prompt: str,
        *,
        strength: float,
        region: Region | None,
        seed: int,
        origin: str,
        transition_s: float = 0.0,
    ) -> EditInstruction:
        """Accept an instruction and number it. Raises InstructionError."""

    def set_mode(self, mode: Mode) -> None:
        """Change what the sinks show."""

    def set_latency(self, latency: LatencyMode) -> None:
        """Change how a frame gets its edit."""

    def set_on_failure(self, rule: OnFailure) -> None:
        """Change what is shown while there is no edited picture."""

    def status(self) -> Status:
        """One snapshot."""


class Commands(Steering, Protocol):
    """The Controller of a run that knows presets and devices; called from any thread."""

    presets: PresetBook
    """Looks by name; any thread."""

    def apply_preset(self, name: str, origin: str) -> Applied:
        """Put a preset into force. Raises UsageError for a name nobody knows."""

    def prepare(self, prompt: str) -> None:
        """Have a prompt encoded that may come. Raises InstructionError."""

    def unknown_words(self, prompt: str) -> tuple[str, ...] | None:
        """Words of a prompt the editor does not know; None = ask again. Raises InstructionError."""

    def set_picture(self, fit: Fit | None, mirror: bool | None) -> None:
        """How the source's picture gets the sinks' shape; None leaves it as it is."""

    def choices(self) -> dict[Choice, list[tuple[str, str]]]:
        """What this computer has of each: value, and words for people."""

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> str:
        """Try another source, output, model or steps, or take it. Raises LiveEditError."""

    def start_recording(
        self,
        path: Path | None,
        *,
        with_source: bool,
        has_badge: bool,
        microphone: str | None = None,
    ) -> Path:
        """Record beside the run; where it goes. Raises LiveEditError."""

    def stop_recording(self) -> tuple[Path, ...]:
        """End the recording; its files. Raises LiveEditError."""

    def note_obs(self, state: str, detail: str | None) -> None:
        """Put where the connection to OBS stands into the status."""

    def shown(self) -> Frame | None:
        """The frame written to the sinks last; None before the first."""

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        """What became of that instruction; with 0 seconds at once. Raises ControlError."""
