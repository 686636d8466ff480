"""Exact edits: what a target picture is, for every family of instruction. Knows no model.

An edit is a pure function of float32 frames (T, H, W, 3) in [0, 1] and a subject mask (T, H, W) in
[0, 1]; it returns the target and the exact edit mask. Training makes its pairs with it, and
evaluation measures against it.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass
from enum import StrEnum

import torch
import torch.nn.functional as F
from torch import Tensor

RGB = tuple[float, float, float]
LUMA = (0.299, 0.587, 0.114)


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


class Scope(StrEnum):
    """Where an edit acts."""

    WHOLE = "whole"
    SUBJECT = "subject"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class EditSpec:
    """One edit in exact terms."""

    family: Family
    scope: Scope = Scope.WHOLE
    colour: RGB | None = None
    """Target colour 0..1 of RECOLOUR and REPLACE_COLOUR."""
    from_colour: str | None = None
    """Name in ``HUES`` of the colour that REPLACE_COLOUR changes."""


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
"""Hue 0..1 at the middle of each colour that can be changed into another one."""

# Affine looks: rows give R, G, B of the result from (R, G, B, 1) of the source.
_LOOKS: dict[Family, tuple[tuple[float, float, float, float], ...]] = {
    Family.SEPIA: (
        (0.393, 0.769, 0.189, 0.0),
        (0.349, 0.686, 0.168, 0.0),
        (0.272, 0.534, 0.131, 0.0),
    ),
    Family.INVERT: ((-1.0, 0, 0, 1.0), (0, -1.0, 0, 1.0), (0, 0, -1.0, 1.0)),
    Family.NIGHT: (
        (0.150, 0.100, 0.020, 0.0),
        (0.065, 0.240, 0.025, 0.01),
        (0.110, 0.220, 0.260, 0.05),
    ),
    Family.WARM: ((1.06, 0.05, 0, 0.02), (0.0, 1.0, 0, 0.0), (0, 0, 0.74, 0.0)),
    Family.COLD: ((0.76, 0, 0, 0.0), (0, 0.97, 0.0, 0.0), (0, 0.05, 1.04, 0.04)),
    Family.LAVENDER: (
        (0.70, 0.15, 0.05, 0.08),
        (0.10, 0.62, 0.05, 0.03),
        (0.15, 0.20, 0.60, 0.16),
    ),
    Family.GOLDEN: ((0.75, 0.35, 0.0, 0.06), (0.15, 0.72, 0.0, 0.02), (0.05, 0.15, 0.35, 0.0)),
}


def apply_edit(frames: Tensor, subject: Tensor, spec: EditSpec) -> tuple[Tensor, Tensor]:
    """Return the exact target (T, H, W, 3) and the edit mask (T, H, W) of ``spec``."""
    if spec.family is Family.IDENTITY:
        return frames.clone(), torch.zeros_like(subject)
    mask = {
        Scope.WHOLE: torch.ones_like(subject),
        Scope.SUBJECT: subject,
        Scope.BACKGROUND: 1 - subject,
    }[spec.scope]
    if spec.family is Family.REPLACE_COLOUR:
        assert spec.from_colour is not None, "REPLACE_COLOUR without from_colour"
        mask = mask * colour_membership(frames, HUES[spec.from_colour])
    edited = _whole_edit(frames, mask, spec)
    weight = mask.unsqueeze(-1)
    return torch.lerp(frames, edited, weight).clamp(0, 1), mask


def _whole_edit(frames: Tensor, mask: Tensor, spec: EditSpec) -> Tensor:
    if spec.family is Family.BLACK_AND_WHITE:
        return luma(frames).expand_as(frames)
    if spec.family is Family.BLUR:
        return _blur_inside(frames, mask)
    if spec.family in (Family.RECOLOUR, Family.REPLACE_COLOUR):
        assert spec.colour is not None, f"{spec.family} without a colour"
        return recolour(frames, spec.colour)
    look = torch.tensor(_LOOKS[spec.family], dtype=frames.dtype, device=frames.device)
    return (frames @ look[:, :3].T + look[:, 3]).clamp(0, 1)


def luma(frames: Tensor) -> Tensor:
    """BT.601 luma, (..., 3) to (..., 1)."""
    return (frames * frames.new_tensor(LUMA)).sum(-1, keepdim=True)


def recolour(frames: Tensor, colour: RGB) -> Tensor:
    """Paint with ``colour`` and keep the light: 0.25 + 0.85 luma, plus a tenth of the source."""
    paint = frames.new_tensor(colour)
    return (0.1 * frames + 0.9 * paint * (0.25 + 0.85 * luma(frames))).clamp(0, 1)


def colour_membership(frames: Tensor, hue: float) -> Tensor:
    """How much each pixel is of the colour at ``hue``, 0..1; (T, H, W, 3) to (T, H, W).

    Soft in hue (full within 14 degrees, none beyond 26), saturation (0.22..0.38) and value
    (0.15..0.28), so that a mask has no hard, noisy border.
    """
    high, low = frames.amax(-1), frames.amin(-1)
    span = (high - low).clamp_min(1e-4)
    red, green, blue = frames.unbind(-1)
    angle = torch.where(
        high == red,
        (green - blue) / span,
        torch.where(high == green, 2 + (blue - red) / span, 4 + (red - green) / span),
    )
    distance = ((angle / 6 - hue + 0.5) % 1.0 - 0.5).abs() * 360
    saturation = span / high.clamp_min(1e-4)
    near = 1 - _smoothstep(distance, 14, 26)
    return near * _smoothstep(saturation, 0.22, 0.38) * _smoothstep(high, 0.15, 0.28)


def _smoothstep(x: Tensor, low: float, high: float) -> Tensor:
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _blur_inside(frames: Tensor, mask: Tensor) -> Tensor:
    """Gaussian blur, sigma 4 % of the short side, that takes colour from inside ``mask`` only."""
    sigma = 0.04 * min(frames.shape[1:3])
    weight = mask.unsqueeze(-1) + 1e-4
    stacked = torch.cat((frames * weight, weight), dim=-1).permute(0, 3, 1, 2)
    blurred = _gaussian(stacked, sigma).permute(0, 2, 3, 1)
    return blurred[..., :3] / blurred[..., 3:]


def _gaussian(x: Tensor, sigma: float) -> Tensor:
    """Separable Gaussian blur of (B, C, H, W) with replicated borders."""
    radius = math.ceil(2.5 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=x.shape[1])
    return F.conv2d(rows, kernel.unsqueeze(3), groups=x.shape[1])


def hue_colour(hue: float, saturation: float, value: float) -> RGB:
    """RGB 0..1 of an HSV colour."""
    return colorsys.hsv_to_rgb(hue, saturation, value)
