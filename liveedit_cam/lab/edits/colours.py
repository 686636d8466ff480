"""Which pixels are of a colour that has a name: hues, and brown, white, grey, black."""

from __future__ import annotations

import colorsys

import torch
from torch import Tensor

from liveedit_cam.lab.edits.spec import RGB

HUES: dict[str, float] = {
    "red": 0 / 360,
    "orange": 28 / 360,
    "yellow": 54 / 360,
    "green": 115 / 360,
    "cyan": 182 / 360,
    "blue": 222 / 360,
    "purple": 278 / 360,
    "pink": 330 / 360,
}
"""Hue 0..1 at the middle of each colour that has one."""
NEUTRALS = ("brown", "white", "grey", "black")
"""Colours that are told by saturation and value."""
NAMES = (*HUES, *NEUTRALS)
"""All colours that can be changed into another one; the label order of the text encoder's head."""


def colour_membership(frames: Tensor, name: str) -> Tensor:
    """How much each pixel is of the colour ``name``, 0..1; shape (..., 3) in [0, 1] to (...).

    Soft at every border, so that a mask has no hard, noisy edge. Hues: full within 14 degrees,
    none beyond 26; saturation 0.22..0.38 and value 0.15..0.28.
    """
    high, low = frames.amax(-1), frames.amin(-1)
    span = (high - low).clamp_min(1e-4)
    saturation = span / high.clamp_min(1e-4)
    if name in HUES:
        near = 1 - smoothstep(_hue_distance(frames, high, span, HUES[name]), 14, 26)
        return near * smoothstep(saturation, 0.22, 0.38) * smoothstep(high, 0.15, 0.28)
    if name == "brown":
        near = 1 - smoothstep(_hue_distance(frames, high, span, 22 / 360), 14, 26)
        dark = 1 - smoothstep(high, 0.5, 0.65)
        return near * dark * smoothstep(saturation, 0.22, 0.38) * smoothstep(high, 0.08, 0.16)
    pale = 1 - smoothstep(saturation, 0.15, 0.28)
    if name == "white":
        return pale * smoothstep(high, 0.68, 0.82)
    if name == "grey":
        return pale * smoothstep(high, 0.22, 0.32) * (1 - smoothstep(high, 0.68, 0.82))
    assert name == "black", f"no colour {name!r}; the names are {NAMES}"
    return 1 - smoothstep(high, 0.14, 0.26)


def _hue_distance(frames: Tensor, high: Tensor, span: Tensor, hue: float) -> Tensor:
    """Degrees from ``hue`` (0..1), 0..180; shape (..., 3) to (...), as ``high`` and ``span``."""
    red, green, blue = frames.unbind(-1)
    angle = torch.where(
        high == red,
        (green - blue) / span,
        torch.where(high == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    return ((angle / 6 - hue + 0.5) % 1.0 - 0.5).abs() * 360


def smoothstep(x: Tensor, low: float, high: float) -> Tensor:
    """0 up to ``low``, 1 from ``high``, a smooth cubic between; the shape of ``x``."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def hue_colour(hue: float, saturation: float, value: float) -> RGB:
    """RGB 0..1 of an HSV colour."""
    return colorsys.hsv_to_rgb(hue, saturation, value)
