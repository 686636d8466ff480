"""Looks by name: what a preset is, the file they stand in, and how one is put into force.

Knows no HTTP and no OBS.
"""

from liveedit_cam.presets.apply import Applied, Steering, apply, change_strength
from liveedit_cam.presets.book import PresetBook, Shelf, presets_path
from liveedit_cam.presets.table import Preset, checked

__all__ = [
    "Applied",
    "Preset",
    "PresetBook",
    "Shelf",
    "Steering",
    "apply",
    "change_strength",
    "checked",
    "presets_path",
]
