"""The measures: PSNR and SSIM by place, flicker and motion."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from liveedit_cam.lab.evaluation.flow import motion_figures
from liveedit_cam.lab.evaluation.metrics import CAP_DB, picture_figures, ssim


def halves() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A textured source, a target that is brighter on the left, and that mask."""
    source = torch.rand(2, 40, 60, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    mask = torch.zeros(2, 40, 60)
    mask[:, :, :30] = 1
    return source, source + 0.2 * mask.unsqueeze(-1), mask


def test_inside_and_outside_are_told_apart() -> None:
    """Catches a mask the wrong way round: half the change made, and noise of 0.1 outside.

    A remaining error of 0.1 is exactly 20 dB, so is a stray change of 0.1; nothing done: 14 dB.
    """
    source, target, mask = halves()
    output = source + 0.1 * mask.unsqueeze(-1)
    figures = picture_figures(output, source, target, mask)
    assert figures.inside_db == pytest.approx(20.0, abs=1e-3)
    assert figures.source_inside_db == pytest.approx(13.979, abs=1e-3)
    assert figures.outside_db == CAP_DB
    stray = picture_figures(target + 0.1 * (1 - mask).unsqueeze(-1), source, target, mask)
    assert stray.inside_db == CAP_DB
    assert stray.outside_db == pytest.approx(20.0, abs=1e-3)


def test_a_part_that_does_not_exist_has_no_figure() -> None:
    """Catches a 0 or a nan for the outside of a whole-picture edit, or the inside of none."""
    source, _, mask = halves()
    nothing = picture_figures(source, source, source, torch.zeros_like(mask))
    assert (nothing.inside_db, nothing.inside_ssim) == (None, None)
    assert nothing.outside_db == CAP_DB
    whole = picture_figures(source, source, source, torch.ones_like(mask))
    assert whole.outside_db is None


def test_ssim_sees_structure_where_it_is_lost() -> None:
    """Catches SSIM that ignores the mask or only compares brightness."""
    source, _, mask = halves()
    blurred = torch.from_numpy(
        np.stack([cv2.GaussianBlur(frame, (9, 9), 3) for frame in source.numpy()])
    )
    output = torch.where(mask.unsqueeze(-1) > 0, blurred, source)
    assert ssim(source, source) == pytest.approx(1.0, abs=1e-6)
    assert ssim(output, source, mask) < 0.5
    far_right = torch.zeros_like(mask)
    far_right[:, :, 40:] = 1  # past the reach of the window
    assert ssim(output, source, far_right) == pytest.approx(1.0, abs=1e-6)


def test_ssim_follows_its_formula() -> None:
    """Catches wrong constants: for flat pictures only the brightness term is left."""
    a, b = torch.full((1, 20, 20, 3), 0.25), torch.full((1, 20, 20, 3), 0.5)
    wanted = (2 * 0.25 * 0.5 + 1e-4) / (0.25**2 + 0.5**2 + 1e-4)
    assert ssim(a, b) == pytest.approx(wanted, abs=1e-4)


def drifting(step_px: int, num_frames: int = 5) -> NDArray[np.uint8]:
    """Smooth noise, 96x128, that drifts to the right."""
    noise = np.random.default_rng(0).uniform(0, 255, (96, 128 + 40, 3)).astype(np.float32)
    wide = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 20, 235, cv2.NORM_MINMAX)
    frames = [wide[:, 40 - step_px * t : 168 - step_px * t] for t in range(num_frames)]
    return np.stack(frames).round().astype(np.uint8)


def test_motion_is_no_flicker() -> None:
    """Catches flicker without motion compensation: frames 3 pixels apart differ by 20 levels.

    The flow is right to a tenth of a pixel, which on this picture is under 2 levels.
    """
    video = drifting(3)
    assert np.abs(np.diff(video.astype(float), axis=0)).mean() > 10
    figures = motion_figures(video, video, video)
    assert figures.source_flicker < 2.0
    assert figures.flicker == figures.source_flicker


def test_flicker_is_seen_through_motion() -> None:
    """Catches a flicker that is blind: every second frame is 20 levels brighter."""
    source = drifting(3)
    output = source.astype(int)
    output[1::2] += 20
    figures = motion_figures(np.clip(output, 0, 255).astype(np.uint8), source, source)
    assert figures.flicker == pytest.approx(20, abs=2.5)
    assert figures.target_flicker == figures.source_flicker


def test_dynamic_degree_is_the_length_of_the_motion() -> None:
    """Catches a frozen output that passes for a moving one, and a wrong unit.

    3 pixels of 96 are 3.1 %; the border that comes into sight takes a little off.
    """
    source = drifting(3)
    frozen = np.repeat(source[:1], len(source), axis=0)
    figures = motion_figures(frozen, source, source)
    assert figures.source_motion == pytest.approx(3.125, rel=0.15)
    assert figures.motion < 0.05
