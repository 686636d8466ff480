"""Clear mattes: where an edit is one colour transform in one part of the picture, take a side.

A network trained by regression answers doubt with half an edit: round a person lies a halo of half
the new background, and its border is as coarse as a token. But most edits are one affine colour
transform M times a matte alpha: after = before + alpha (M before - before). Both can be read off
the output: M by least squares where the change is largest, alpha by projecting each pixel's change
on what M would do there. Then alpha is made clear as in image matting: each pixel's colour is
compared with the colours on either side of the border near it (local Gaussian colour models, as in
Chuang et al., "A Bayesian approach to digital matting", 2001), and doubt is pushed to a side.

What is no such edit stays as it is, bit for bit: where M does not explain the change (pixel art,
blur), where no part of the picture is left alone (night, sepia), where the border is soft by
intent (light, vignette, spotlight).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.astray import TELLS, mend, projected
from liveedit_cam.model.guided_fit import ramp

CELL_PX = 4
"""Transform, border and colours of the sides are taken from means over cells, alpha is by pixel."""
NUM_FITS = 4
"""Least squares anew, each weighing by the matte of the one before."""
PLAIN, CERTAIN = 0.85, 0.92
"""Share of the change that M must explain: below the first nothing is done, from the second on
all."""
EXPLAINED = (0.75, 0.85)
"""The same for tokens gone astray, which are part of what is not explained."""
OUTSIDE, LEAST_OUTSIDE = 0.15, (0.02, 0.06)
"""Alpha below which a pixel is left alone, and the share of the picture that must be."""
STEEP = (0.030, 0.045)
"""Slope of alpha by pixel at the border. A border one token wide has 1/16; lamps and vignettes fall
off over 50 pixels and more."""
LOW, HIGH = 0.32, 0.75
"""Alpha that becomes 0 and 1, with a smooth step between them.

NEAR_CELLS and TRUST were chosen on 115 named pairs of training pictures. There 0.35 and 0.75 have
unedited pixels at 36.9 dB, 0.25 and 0.7 at 35.7, with PSNR, IoU (0.786, 0.789) and border error
alike; but two weak edits of the 115 are lost. 0.32 is between them.
"""
NEAR_CELLS = 2
"""Colours of either side are taken from so many cells around, 10 pixels."""
LONELY = 0.05
"""Weight of a side's cells that have others beside them; those in its midst count 1 more."""
TRUST = 0.07
"""Weight of the colours' log-likelihood ratio beside alpha's own log-odds: colours of neighbouring
pixels go together, so a pixel is far from one independent observation."""
LEAST_STD = 6 / 255
"""Of a side's colours: below the codec's own error nothing can be told."""


def clear(before: Tensor, after: Tensor, *, spares: bool = False) -> tuple[Tensor, Tensor]:
    """``after`` with its matte made clear, or tokens gone astray mended where it has none; float32
    (T, 3, h, w) in [0, 1], all three.

    ``before`` is the decoded source and ``after`` the decoded edit, each frame by itself; h and w
    are multiples of 4. ``spares``: a part is meant to be left alone, so a small one that is, is no
    fault. Beside it, (T,) 0..1: how surely each edit is a transform times a matte, and so brings no
    content of its own. No value is read back from the device.
    """
    change = after - before
    matrix, explained = _transform(before, change)
    full = torch.einsum("tcd,tchw->tdhw", matrix[:, :3], before) + matrix[:, 3, :, None, None]
    alpha = projected(change, full, 1)
    border = _has_border(full, alpha)
    sure = ramp(explained, PLAIN, CERTAIN) * border
    sided = _take_sides(before, alpha) * alpha.clamp_min(1)
    moved = (sure.view(-1, 1, 1) * (sided - alpha)).unsqueeze(1) * full
    cleared = torch.where(sure.view(-1, 1, 1, 1) > 0, (after + moved).clamp(0, 1), after)
    if spares:
        return cleared, sure
    return mend(before, cleared, full, ramp(explained, *EXPLAINED) * (1 - border)), sure


def _transform(before: Tensor, change: Tensor) -> tuple[Tensor, Tensor]:
    """M less the identity, rows R, G, B, 1, (T, 4, 3), and how much of the change it explains."""
    colours, wanted = (
        F.avg_pool2d(x, CELL_PX).flatten(2).transpose(1, 2) for x in (before, change)
    )
    colours = torch.cat((colours, torch.ones_like(colours[..., :1])), -1)  # (T, N, 4)
    size = wanted.norm(dim=-1)
    top = size.amax(1, keepdim=True)
    weight = (size / top.clamp_min(1e-6)).square()
    ridge = 1e-3 * torch.diag(before.new_tensor((1.0, 1.0, 1.0, 0.01)))
    for _ in range(NUM_FITS):
        weighted = (colours * weight.unsqueeze(-1)).transpose(1, 2)
        normal = weighted @ colours + (weight.sum(1).view(-1, 1, 1) + 1e-6) * ridge
        matrix = torch.linalg.solve_ex(normal, weighted @ wanted)[0]
        full = colours @ matrix
        alpha = projected(wanted, full, -1)
        weight = ramp(alpha, 0.35, 0.75) * size
    error = ((wanted - full).square().sum(-1) * weight).sum(1)
    return matrix, 1 - error / (wanted.square().sum(-1) * weight).sum(1).clamp_min(1e-6)


def _has_border(full: Tensor, alpha: Tensor) -> Tensor:
    """Whether a part of each picture is left alone, with a border that is not soft; (T,) 0..1."""
    cells = F.avg_pool2d(alpha.clamp(-0.2, 1.2), CELL_PX)
    tells = (F.avg_pool2d(full, CELL_PX).norm(dim=1) > TELLS).float()
    outside = ((cells < OUTSIDE) * tells).sum((1, 2)) / tells.sum((1, 2)).clamp_min(1)
    inner = cells[:, 1:-1, 1:-1]
    along = cells[:, 1:-1, 2:] - cells[:, 1:-1, :-2]
    down = cells[:, 2:, 1:-1] - cells[:, :-2, 1:-1]
    between = ((inner > 0.3) & (inner < 0.7)) * tells[:, 1:-1, 1:-1]
    slope = ((along.square() + down.square()).sqrt() * between).sum((1, 2)) / (2 * CELL_PX)
    slope = slope / between.sum((1, 2)).clamp_min(1)
    return ramp(slope, *STEEP) * ramp(outside, *LEAST_OUTSIDE)


def _take_sides(before: Tensor, alpha: Tensor) -> Tensor:
    """Alpha (T, h, w) with doubt decided by colour and by its own side of the middle."""
    colour = F.avg_pool2d(before, CELL_PX)
    square = F.avg_pool2d(before.square(), CELL_PX)
    for _ in range(2):
        inside = ramp(F.avg_pool2d(alpha, CELL_PX), LOW, HIGH).unsqueeze(1)
        sides = [_colours_of(share, colour, square) for share in (1 - inside, inside)]
        models = F.interpolate(torch.cat(sides, 1), before.shape[2:], mode="bilinear")
        ratio = _unlikely(before, models[:, :4]) - _unlikely(before, models[:, 4:])
        odds = ramp(alpha, LOW - 0.2, HIGH + 0.2).clamp(0.02, 0.98).logit()
        alpha = (odds + TRUST * ratio.clamp(-12 / TRUST, 12 / TRUST)).sigmoid()
    return alpha


def _colours_of(share: Tensor, colour: Tensor, square: Tensor) -> Tensor:
    """Mean colour of a side near each cell and its log variance, (T, 4, h/4, w/4).

    ``share`` (T, 1, h/4, w/4) of each cell that is of the side, means of colours and of their
    squares (T, 3, h/4, w/4); one variance for the three channels.
    """
    surrounded = 1 - F.max_pool2d(1 - share, 3, 1, 1)
    weight = share.square() * (LONELY + surrounded)
    parts = torch.cat((weight, weight * colour, weight * square), 1)
    sums = F.avg_pool2d(parts, 2 * NEAR_CELLS + 1, 1, NEAR_CELLS, count_include_pad=False)
    count = sums[:, :1] + 1e-4
    mean = sums[:, 1:4] / count
    variance = (sums[:, 4:] / count - mean.square()).clamp_min(0).mean(1, keepdim=True)
    return torch.cat((mean, (variance + LEAST_STD**2).log()), 1)


def _unlikely(colour: Tensor, model: Tensor) -> Tensor:
    """-2 log-likelihood (T, h, w) of colours (T, 3, h, w) under Gaussians (T, 4, h, w)."""
    log_variance = model[:, 3]
    return (colour - model[:, :3]).square().sum(1) * (-log_variance).exp() + 3 * log_variance
