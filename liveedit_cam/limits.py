"""What the numbers of an instruction may be: one way for page, OBS, files, consoles and servers.

Its text has ``prompt``. The types are for bodies that pydantic checks, the functions for values of
any type.
"""

from __future__ import annotations

from typing import Annotated, TypeGuard

from pydantic import Field

from liveedit_cam.errors import InstructionError, shown
from liveedit_cam.types import MAX_TRANSITION_S, Region

MAX_SEED = 2**32 - 1
_ROUNDING = 1e-6
"""Shares such as 0.7 + 0.3 may come out a hair above 1."""

Strength = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def is_number(value: object, most: float) -> TypeGuard[float]:
    """Whether it is a number from 0 to ``most``; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def is_inside(region: Region) -> bool:
    """Whether it has numbers only, an extent, and does not reach beyond the picture."""
    sides = (region.x, region.y, region.width, region.height)
    return (
        all(is_number(side, 1 + _ROUNDING) for side in sides)
        and min(region.width, region.height) > 0
        and max(region.x + region.width, region.y + region.height) <= 1 + _ROUNDING
    )


def checked_strength(value: object) -> float:
    """How much of the edit is shown, 0 to 1. Raises InstructionError."""
    if not is_number(value, 1):
        raise InstructionError(
            f"Got strength {shown(value)}, expected a number from 0 to 1.",
            hint="0 leaves the picture as it is, 1 is the whole edit.",
        )
    return float(value)


def checked_transition(seconds: object) -> float:
    """Seconds of a cross-fade, 0 to 10. Raises InstructionError."""
    if not is_number(seconds, MAX_TRANSITION_S):
        raise InstructionError(
            f"Got transition_s {shown(seconds)}, expected seconds from 0 to {MAX_TRANSITION_S:g}.",
            hint="0 is a cut.",
        )
    return float(seconds)


def checked_seed(seed: object) -> int:
    """Start of the random numbers, from 0 to ``MAX_SEED``. Raises InstructionError."""
    if not is_number(seed, MAX_SEED) or not isinstance(seed, int):
        raise InstructionError(
            f"Got seed {shown(seed)}, expected a whole number from 0 to {MAX_SEED}.",
            hint="Leave it out for 0.",
        )
    return seed


def checked_region(region: Region | None) -> Region | None:
    """A rectangle inside the picture, None = everywhere. Raises InstructionError."""
    if region is not None and not is_inside(region):
        values = (region.x, region.y, region.width, region.height)
        raise InstructionError(
            f"Got region x,y,width,height = {','.join(map(str, values))}, expected shares of the "
            "picture from 0 to 1 that do not reach beyond it.",
            hint="The left half is 0,0,0.5,1.",
        )
    return region
