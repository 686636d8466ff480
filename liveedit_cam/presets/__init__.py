"""Looks by name: what a preset is, the file they stand in, and how one is put into force.

Knows no HTTP and no OBS.
"""

from liveedit_cam.presets.apply import apply, change_strength
from liveedit_cam.presets.book import PresetBook, Shelf, presets_path
from liveedit_cam.presets.commands import Commands
from liveedit_cam.presets.table import Applied, Preset, checked

__all__ = [
    "Applied",
    "Commands",
    "Preset",
    "PresetBook",
    "Shelf",
    "apply",
    "change_strength",
    "checked",
    "presets_path",
]
