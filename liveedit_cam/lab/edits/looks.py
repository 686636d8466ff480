"""The formulas: what each family makes of a whole picture. Knows no mask but that of the blur.

Frames are float32 (T, H, W, 3) in [0, 1]. Lengths are shares of the picture, so that a look is
the same at every size. Nothing is drawn at random: a target that the source does not determine
cannot be learnt or measured.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.lab.edits.colours import smoothstep
from liveedit_cam.lab.edits.spec import RGB, EditSpec, Family, Side

LUMA = (0.299, 0.587, 0.114)
PIXEL_ROWS = 18
"""Rows of blocks in pixel art; at nano's 144 lines one block is one latent cell."""

AFFINE: dict[Family, tuple[tuple[float, float, float, float], ...]] = {
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
    Family.DARKEN: ((0.38, 0, 0, 0.0), (0, 0.38, 0, 0.0), (0, 0, 0.40, 0.0)),
    Family.BRIGHTEN: ((0.85, 0, 0, 0.24), (0, 0.85, 0, 0.24), (0, 0, 0.85, 0.24)),
    Family.VINTAGE: (
        (0.60, 0.22, 0.06, 0.10),
        (0.12, 0.62, 0.08, 0.07),
        (0.10, 0.22, 0.42, 0.08),
    ),
    Family.UNDERWATER: (
        (0.18, 0.12, 0.00, 0.00),
        (0.10, 0.62, 0.12, 0.08),
        (0.08, 0.28, 0.60, 0.20),
    ),
}
"""Rows give R, G, B of the result from (R, G, B, 1) of the source."""

PALETTES: dict[Family, tuple[RGB, ...]] = {
    Family.NEON: ((0.04, 0.00, 0.14), (0.42, 0.02, 0.50), (0.95, 0.10, 0.70), (0.20, 0.95, 1.0)),
    Family.THERMAL: (
        (0.00, 0.00, 0.22),
        (0.36, 0.00, 0.58),
        (0.90, 0.16, 0.28),
        (1.00, 0.66, 0.00),
        (1.00, 1.00, 0.85),
    ),
}
"""Colours from black to white of the source, evenly spaced, linear between."""


def look(frames: Tensor, mask: Tensor, spec: EditSpec) -> Tensor:
    """What ``spec.family`` makes of ``frames``; ``mask`` (T, H, W) is read by the blur alone."""
    family = spec.family
    if family in (Family.RECOLOUR, Family.REPLACE_COLOUR):
        assert spec.colour is not None, f"{family} without a colour"
        return recolour(frames, spec.colour)
    if family is Family.BLUR:
        return _blur_inside(frames, mask)
    if family is Family.GRADIENT:
        assert spec.colour is not None, "GRADIENT without a colour"
        return _gradient(frames, spec.colour, spec.second_colour or spec.colour)
    if family is Family.LIGHT:
        assert spec.colour is not None, "LIGHT without a colour"
        assert spec.side is not None, "LIGHT without a side"
        return _light(frames, spec.colour, spec.side)
    if family in PALETTES:
        return _palette(frames, family)
    edited = _affine(frames, family) if family in AFFINE else frames
    return _shaped(edited, family).clamp(0, 1)


def _shaped(frames: Tensor, family: Family) -> Tensor:
    """The rest of a look, (T, H, W, 3): what depends on place or on neighbours."""
    x, y = _places(frames)
    if family is Family.BLACK_AND_WHITE:
        return luma(frames).expand_as(frames)
    if family is Family.SKETCH:
        return _sketch(frames)
    if family is Family.CARTOON:
        return _cartoon(frames)
    if family is Family.PIXEL_ART:
        return _pixel_art(frames)
    if family is Family.VINTAGE:
        return frames * (1.08 - 0.75 * ((x - 0.5).square() + (y - 0.5).square()) * 1.6)
    if family is Family.UNDERWATER:
        return frames * (1.15 - 0.5 * y)
    if family is Family.FOG:
        return torch.lerp(frames, frames.new_tensor((0.82, 0.84, 0.87)), 0.72 - 0.28 * y)
    if family is Family.SNOW:
        pale = torch.lerp(frames, luma(frames).expand_as(frames), 0.75)
        return pale * frames.new_tensor((0.72, 0.75, 0.80)) + 0.20 + 0.14 * y
    if family is Family.SUNSET:
        top, bottom = frames.new_tensor((1.0, 0.56, 0.22)), frames.new_tensor((0.62, 0.26, 0.46))
        tint = torch.lerp(top.expand(frames.shape), bottom.expand(frames.shape), y)
        return (0.15 + 0.85 * frames) * tint * 0.95 + 0.10 * tint
    if family is Family.SPOTLIGHT:
        aspect = frames.shape[2] / frames.shape[1]
        distance = ((x - 0.5) * aspect).square() + (y - 0.45).square()
        return frames * (0.12 + 1.05 * torch.exp(-distance / 0.075))
    return frames


def luma(frames: Tensor) -> Tensor:
    """BT.601 luma, shape (..., 3) to (..., 1)."""
    return (frames * frames.new_tensor(LUMA)).sum(-1, keepdim=True)


def recolour(frames: Tensor, colour: RGB) -> Tensor:
    """Paint with ``colour`` and keep the light: 0.25 + 0.85 luma, plus a tenth of the source.

    ``frames`` (T, H, W, 3) in [0, 1], as everywhere in this file; the same shape out.
    """
    paint = frames.new_tensor(colour)
    return (0.1 * frames + 0.9 * paint * (0.25 + 0.85 * luma(frames))).clamp(0, 1)


def repaint(frames: Tensor, colour: RGB) -> Tensor:
    """As ``recolour``, the same shape, but lifted: dark hair and coats show their new colour."""
    paint = frames.new_tensor(colour)
    return (0.08 * frames + 0.92 * paint * (0.48 + 0.60 * luma(frames))).clamp(0, 1)


def _affine(frames: Tensor, family: Family) -> Tensor:
    table = torch.tensor(AFFINE[family], dtype=frames.dtype, device=frames.device)
    return (frames @ table[:, :3].T + table[:, 3]).clamp(0, 1)


def _places(frames: Tensor) -> tuple[Tensor, Tensor]:
    """x (1, W, 1) and y (H, 1, 1) of the pixels' middles, 0..1 from the top left."""
    _, height, width, _ = frames.shape
    x = (torch.arange(width, dtype=frames.dtype, device=frames.device) + 0.5) / width
    y = (torch.arange(height, dtype=frames.dtype, device=frames.device) + 0.5) / height
    return x.view(1, -1, 1), y.view(-1, 1, 1)


def _palette(frames: Tensor, family: Family) -> Tensor:
    """Colour by luma, shape kept; in NEON with a fifth of the source, so that things stay apart."""
    stops = torch.tensor(PALETTES[family], dtype=frames.dtype, device=frames.device)
    at = luma(frames)[..., 0].clamp(0, 1) * (len(stops) - 1)
    low = at.floor().clamp(max=len(stops) - 2).long()
    mapped = torch.lerp(stops[low], stops[low + 1], (at - low).unsqueeze(-1))
    return torch.lerp(mapped, frames, 0.2) if family is Family.NEON else mapped


def _gradient(frames: Tensor, upper: RGB, lower: RGB) -> Tensor:
    """A plain surface, shape of ``frames``, from ``upper`` to ``lower``; no source is left."""
    _, y = _places(frames)
    top, bottom = frames.new_tensor(upper), frames.new_tensor(lower)
    return torch.lerp(top.expand(frames.shape), bottom.expand(frames.shape), y)


def _light(frames: Tensor, colour: RGB, side: Side) -> Tensor:
    x, y = _places(frames)
    near = {Side.LEFT: 1 - x, Side.RIGHT: x, Side.ABOVE: 1 - y}[side].expand(*frames.shape[:3], 1)
    glow = near.pow(1.5) * frames.new_tensor(colour)
    return (frames * (0.42 + 1.1 * glow) + 0.14 * glow).clamp(0, 1)


def _sketch(frames: Tensor) -> Tensor:
    """Pencil lines, (T, H, W, 3): luma by its blur (dodge of the inverted blur), darkened."""
    light = luma(frames)
    blurred = _blur(light, 0.014)
    lines = ((light + 0.03) / (blurred + 0.03)).clamp(max=1.0)
    return (lines.pow(2.2) * (0.55 + 0.45 * smoothstep(blurred, 0.0, 0.5))).expand_as(frames)


def _cartoon(frames: Tensor) -> Tensor:
    """Flat areas of five brightnesses with soft steps, stronger colour, dark outlines."""
    smooth = _blur(frames, 0.008)
    light = luma(smooth)
    steps = light * 5
    level = (steps.floor() + smoothstep(steps - steps.floor(), 0.35, 0.65) + 0.2) / 5.2
    flat = smooth * (level / light.clamp_min(0.02))
    flat = luma(flat) + 1.35 * (flat - luma(flat))
    ratio = (luma(frames) + 0.05) / (_blur(luma(frames), 0.014) + 0.05)
    return flat.clamp(0, 1) * (0.2 + 0.8 * smoothstep(ratio, 0.72, 0.92))


def _pixel_art(frames: Tensor) -> Tensor:
    _, height, width, _ = frames.shape
    rows = min(PIXEL_ROWS, max(1, height // 8))
    columns = max(1, round(rows * width / height))
    planes = frames.permute(0, 3, 1, 2)
    blocks = F.interpolate(planes, (rows, columns), mode="area")
    return F.interpolate(blocks, (height, width), mode="nearest").permute(0, 2, 3, 1)


def _blur_inside(frames: Tensor, mask: Tensor) -> Tensor:
    """Gaussian blur of colour inside ``mask`` (T, H, W) alone; sigma 4 % of the short side."""
    weight = mask.unsqueeze(-1) + 1e-4
    blurred = _blur(torch.cat((frames * weight, weight), dim=-1), 0.04)
    return blurred[..., :3] / blurred[..., 3:]


def _blur(frames: Tensor, share: float) -> Tensor:
    """Separable Gaussian blur of (T, H, W, C); sigma is ``share`` of the short side."""
    sigma = share * min(frames.shape[1:3])
    x = frames.permute(0, 3, 1, 2)
    radius = max(1, math.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, -1)
    padded = F.pad(x, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, kernel.unsqueeze(2), groups=x.shape[1])
    return F.conv2d(rows, kernel.unsqueeze(3), groups=x.shape[1]).permute(0, 2, 3, 1)
