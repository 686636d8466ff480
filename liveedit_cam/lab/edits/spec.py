"""What an edit is, in exact terms: family, scope, colours, side, strength. Knows no pictures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

RGB = tuple[float, float, float]


class Family(StrEnum):
    """Kinds of edit; the order is the label order of the text encoder's training head."""

    IDENTITY = "identity"
    BLACK_AND_WHITE = "black_and_white"
    SEPIA = "sepia"
    INVERT = "invert"
    NIGHT = "night"
    WARM = "warm"
    COLD = "cold"
    LAVENDER = "lavender"
    GOLDEN = "golden"
    RECOLOUR = "recolour"
    BLUR = "blur"
    REPLACE_COLOUR = "replace_colour"
    SKETCH = "sketch"
    CARTOON = "cartoon"
    NEON = "neon"
    THERMAL = "thermal"
    VINTAGE = "vintage"
    FOG = "fog"
    SNOW = "snow"
    SUNSET = "sunset"
    UNDERWATER = "underwater"
    PIXEL_ART = "pixel_art"
    SPOTLIGHT = "spotlight"
    LIGHT = "light"
    DARKEN = "darken"
    BRIGHTEN = "brighten"
    GRADIENT = "gradient"


class Scope(StrEnum):
    """Where an edit acts."""

    WHOLE = "whole"
    SUBJECT = "subject"
    BACKGROUND = "background"
    LEFT = "left"
    RIGHT = "right"
    TOP = "top"
    BOTTOM = "bottom"
    CENTRE = "centre"
    NAMED = "named"
    """A thing that the instruction names; its mask is handed in as the subject's is."""


REGIONS = (Scope.LEFT, Scope.RIGHT, Scope.TOP, Scope.BOTTOM, Scope.CENTRE)
"""Scopes that are a fixed part of the picture."""


class Side(StrEnum):
    """Where the light of ``Family.LIGHT`` comes from."""

    LEFT = "left"
    RIGHT = "right"
    ABOVE = "above"


@dataclass(frozen=True, slots=True)
class EditSpec:
    """One edit in exact terms."""

    family: Family
    scope: Scope = Scope.WHOLE
    colour: RGB | None = None
    """Target colour 0..1 of RECOLOUR, REPLACE_COLOUR and LIGHT; the upper one of GRADIENT."""
    from_colour: str | None = None
    """Name in ``colours.NAMES`` of the colour that REPLACE_COLOUR changes."""
    second_colour: RGB | None = None
    """The lower colour of GRADIENT."""
    side: Side | None = None
    """Where the light of LIGHT comes from."""
    strength: float = 1.0
    """How much of the change is made: 0.5 for "slightly", 1.4 for "strongly"."""
    region: str | None = None
    """What NAMED names, as ``regions.REGIONS`` calls it; for records, the mask is handed in."""
    then: EditSpec | None = None
    """A second edit, made on the result of this one."""
