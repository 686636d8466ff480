"""The daemon's Controller as the control plane wants it: one that knows where the page is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from liveedit_cam.commands.choices import check_model, find_choices
from liveedit_cam.presets import Applied, PresetBook, apply
from liveedit_cam.types import Choice, Status

if TYPE_CHECKING:
    from liveedit_cam.daemon.controller import Controller


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
        self.wait_settled = controller.wait_settled

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
