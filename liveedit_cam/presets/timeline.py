"""A show in time: which look a file has from which second on, read from JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liveedit_cam.errors import ConfigError, UsageError, shown
from liveedit_cam.presets.book import read_text
from liveedit_cam.presets.table import Preset, checked
from liveedit_cam.prompt import LEAVE
from liveedit_cam.types import Region

_KEYS = ("at_s", "preset", "edit", "strength", "region")


@dataclass(frozen=True, slots=True)
class Cue:
    """From here on this look."""

    at_s: float
    """Seconds from the begin of the file."""
    edit: str
    strength: float = 1.0
    region: Region | None = None
    """Where it acts; None = everywhere."""


def read_timeline(path: Path, find: Callable[[str], Preset]) -> tuple[Cue, ...]:
    """The cues of a file in the order of their time, the first at 0.

    ``find`` gives a preset by its name. Raises UsageError with the number of the wrong cue.
    """
    try:
        found = json.loads(read_text(path))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}.") from error
    cues = found.get("cues") if isinstance(found, dict) else None
    if not isinstance(cues, list) or not cues:
        raise ConfigError(
            f"{path} has no cues, expected a list of them.",
            hint='Such as {"cues": [{"at_s": 0, "edit": "make it night"}]}',
        )
    made = []
    for number, cue in enumerate(cues, start=1):
        try:
            made.append(_cue(cue, find))
        except UsageError as error:
            where = f"{path} cue {number}: {error.message}"
            raise ConfigError(where, hint=error.hint) from error
    made.sort(key=lambda cue: cue.at_s)
    return tuple(made) if made[0].at_s == 0 else (Cue(0.0, LEAVE), *made)


def cue_at(cues: Sequence[Cue], at_s: float) -> int:
    """Number of the cue in force at a time, from 0."""
    return max((number for number, cue in enumerate(cues) if cue.at_s <= at_s + 1e-6), default=0)


def _cue(found: Any, find: Callable[[str], Preset]) -> Cue:
    if not isinstance(found, Mapping):
        raise ConfigError(f"got {shown(found)}, expected an object with at_s and edit.")
    others = [name for name in found if name not in _KEYS]
    if others:
        raise ConfigError(f"{others[0]} is no key of a cue, expected {', '.join(_KEYS)}.")
    at_s = found.get("at_s")
    is_number = isinstance(at_s, int | float) and not isinstance(at_s, bool)
    if at_s is None or not is_number or not math.isfinite(at_s) or at_s < 0:
        raise ConfigError(f"at_s is {shown(at_s)}, expected seconds from 0.")
    values = {name: found[name] for name in ("edit", "strength", "region") if name in found}
    if "preset" in found:
        if values:
            raise ConfigError("preset stands beside edit, strength or region, expected it alone.")
        look = find(str(found["preset"]))
    else:
        look = checked({"name": "cue", **values})
    if look.edit is None:
        raise ConfigError(f"the preset {look.name!r} has no instruction, expected one.")
    return Cue(float(at_s), look.edit, look.strength, look.region)
