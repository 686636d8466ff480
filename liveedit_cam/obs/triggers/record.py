"""The recording has started or stopped."""

from __future__ import annotations

from liveedit_cam.obs.triggers._output import output_trigger
from liveedit_cam.protocols import Trigger


def describe() -> str:
    """One line of help."""
    return 'record  { record = "started" } or "stopped"'


def create() -> Trigger:
    """Make the trigger."""
    return output_trigger("record", "RecordStateChanged")
