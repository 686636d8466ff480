"""How near a picture comes to an exact target: PSNR and SSIM, inside a mask and outside it.

Everything is at full size. Knows tensors, no model and no clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from liveedit_cam.lab.edits.looks import luma

CAP_DB = 60.0
"""Highest PSNR counted: 8-bit rounding alone leaves 58.9 dB, and a mean must stay a mean."""
UNTOUCHED = 0.98
"""Outside the mask is where at least this much of a pixel stays as it was."""
MIN_SHARE = 0.02
"""Share of the picture below which a figure of that part means nothing."""
SSIM_SIGMA, SSIM_SIDE = 1.5, 11
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2


@dataclass(frozen=True, slots=True)
class PictureFigures:
    """An output against its exact target; dB of [0, 1] RGB, SSIM of luma -1..1."""

    whole_db: float
    source_whole_db: float
    """The unedited source against the same target: what doing nothing scores."""
    inside_db: float | None
    """Inside the exact edit mask; None where nothing is to be edited."""
    source_inside_db: float | None
    inside_ssim: float | None
    source_inside_ssim: float | None
    outside_db: float | None
    """Of the unedited pixels; None where (nearly) the whole picture is edited."""


def picture_figures(output: Tensor, source: Tensor, target: Tensor, mask: Tensor) -> PictureFigures:
    """Measure ``output``; all float32 (T, H, W, 3) in [0, 1] but ``mask`` (T, H, W) in [0, 1]."""
    untouched = (1 - mask > UNTOUCHED).float()
    has_inside = float(mask.sum()) >= 1.0
    has_outside = float(untouched.mean()) > MIN_SHARE

    def inside_db(picture: Tensor) -> float | None:
        return capped_psnr(picture, target, mask) if has_inside else None

    def inside_ssim(picture: Tensor) -> float | None:
        return ssim(picture, target, mask) if has_inside else None

    return PictureFigures(
        whole_db=capped_psnr(output, target),
        source_whole_db=capped_psnr(source, target),
        inside_db=inside_db(output),
        source_inside_db=inside_db(source),
        inside_ssim=inside_ssim(output),
        source_inside_ssim=inside_ssim(source),
        outside_db=capped_psnr(output, source, untouched) if has_outside else None,
    )


def psnr(picture: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """PSNR in dB of pictures in [0, 1] of shape (..., 3), inside ``mask`` (...) where given."""
    error = (picture - reference).square().mean(-1)
    weight = torch.ones_like(error) if mask is None else mask
    mean = (error * weight).sum() / weight.sum().clamp_min(1e-6)
    return float(-10 * torch.log10(mean.clamp_min(1e-10)))


def capped_psnr(picture: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """PSNR in dB, at most ``CAP_DB``; inside ``mask`` (T, H, W) where given."""
    return min(CAP_DB, psnr(picture, reference, mask))


def ssim(picture: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """Mean structural similarity of luma (Wang et al. 2004), weighted by ``mask`` where given.

    Pictures (T, H, W, 3) in [0, 1], ``mask`` (T, H, W). Gaussian window of 11 pixels, sigma 1.5;
    the map has the picture's size (borders mirrored).
    """
    values = torch.stack(
        [
            _ssim_map(a.numpy(), b.numpy())
            for a, b in zip(luma(picture)[..., 0], luma(reference)[..., 0], strict=True)
        ]
    )
    weight = torch.ones_like(values) if mask is None else mask
    return float((values * weight).sum() / weight.sum().clamp_min(1e-6))


def _ssim_map(a: np.ndarray, b: np.ndarray) -> Tensor:
    """SSIM of two float32 (H, W) planes in [0, 1], per pixel."""

    def smooth(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(
            plane, (SSIM_SIDE, SSIM_SIDE), SSIM_SIGMA, borderType=cv2.BORDER_REFLECT
        )

    mean_a, mean_b = smooth(a), smooth(b)
    var_a, var_b = smooth(a * a) - mean_a**2, smooth(b * b) - mean_b**2
    covariance = smooth(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + SSIM_C1) / (mean_a**2 + mean_b**2 + SSIM_C1)
    structure = (2 * covariance + SSIM_C2) / (var_a + var_b + SSIM_C2)
    return torch.from_numpy(light * structure)
