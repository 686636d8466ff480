"""What the routes need of the Controller."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from liveedit_cam.control.waiting import Settled
from liveedit_cam.presets import Applied, PresetBook, Steering
from liveedit_cam.types import Choice, Fit, Frame, Status


class Commands(Steering, Protocol):
    """What the routes need of the Controller; they call it from several threads."""

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

    def set_picture(self, fit: Fit | None, mirror: bool | None) -> None:
        """How the source's picture gets the sinks' shape; None leaves it as it is."""
        ...

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> str:
        """Try another source, output, model or steps, or take it. Raises LiveEditError."""
        ...

    def start_recording(
        self,
        path: Path | None,
        *,
        with_source: bool,
        has_badge: bool,
        microphone: str | None = None,
    ) -> Path:
        """Record beside the run; where it goes. Raises LiveEditError."""
        ...

    def stop_recording(self) -> tuple[Path, ...]:
        """End the recording; its files. Raises LiveEditError."""
        ...

    def choices(self) -> dict[Choice, list[tuple[str, str]]]:
        """What this computer has of each: value, and words for people."""
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
