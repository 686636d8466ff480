"""The daemon's Controller as the control plane wants it: one that knows where the page is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from liveedit_cam.commands.choices import check_model, find_choices
from liveedit_cam.control.wire import Progress
from liveedit_cam.daemon.ledger import Settled
from liveedit_cam.presets import Applied, PresetBook, Steering, apply
from liveedit_cam.types import Choice, Fit, Frame, Status


class Controller(Steering, Protocol):
    """The daemon's Controller, as far as page, command line and OBS need it."""

    def prepare(self, prompt: str) -> None:
        """Have a prompt encoded that may come. Raises InstructionError."""
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

    def note_obs(self, state: str, detail: str | None) -> None:
        """Put where the connection to OBS stands into the status."""
        ...

    def status(self) -> Status:
        """One snapshot."""
        ...

    def shown(self) -> Frame | None:
        """The frame written to the sinks last; None before the first."""
        ...

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        """What became of an instruction, in up to so many seconds. Raises ControlError."""
        ...


class Adapted:
    """Hands everything on, knows the presets, and says where a browser sees the pictures."""

    def __init__(self, controller: Controller, pictures_url: str, presets: PresetBook) -> None:
        """``pictures_url`` is for people and programs that may look and change nothing."""
        self.presets = presets
        self._controller = controller
        self.pictures_url = pictures_url
        self.instruct = controller.instruct
        self.prepare = controller.prepare
        self.unknown_words = controller.unknown_words
        self.set_mode = controller.set_mode
        self.set_latency = controller.set_latency
        self.set_on_failure = controller.set_on_failure
        self.choices = find_choices
        self.set_picture = controller.set_picture
        self.start_recording = controller.start_recording
        self.stop_recording = controller.stop_recording
        self.note_obs = controller.note_obs
        self.shown = controller.shown

    def status(self) -> Status:
        """One snapshot."""
        return replace(self._controller.status(), preview_url=self.pictures_url)

    def apply_preset(self, name: str, origin: str) -> Applied:
        """Put a preset into force. Raises UsageError for a name nobody knows."""
        return apply(self.presets.find(name), self._controller, origin)

    def choose(self, what: Choice, value: str, *, is_trial: bool) -> str:
        """Try another source, output, model or steps, or take it. Raises LiveEditError."""
        if what is Choice.MODEL:
            check_model(value)
        return self._controller.choose(what, value, is_trial=is_trial)

    def wait_settled(self, revision: int, timeout_s: float) -> Progress:
        """What became of that instruction. Raises ControlError for one nobody gave."""
        settled = self._controller.wait_settled(revision, timeout_s)
        return Progress(
            revision=revision,
            encoded_s=settled.encoded_s,
            visible_s=settled.visible_s,
            refused=settled.refused,
            notice=settled.notice,
            changed=None if settled.visible_s is None else self._controller.status().changed,
        )
