"""Tokens gone astray: in an edit of the whole picture, the few that differ wildly are mended.

A small network's error is not spread evenly: at a sharp edge (an eye, hair before a wall) one token
now and then comes out black or unedited, a block 16 pixels wide that everybody sees. Where one
affine colour transform explains nearly the whole change of a picture, what it does not explain is
measured against the picture's own middle: cells far above it, and far from their neighbours, take
the transform and what those differ from it by. Light that comes from a side, fog or a vignette
differ smoothly, so none of their cells stands out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.guided_fit import ramp

CELL_PX = 8
"""Side of a cell: half a token."""
NEAR_CELLS = 4
"""Neighbours are so many cells around."""
ODD = (3.0, 4.5)
"""Times the median: from the first a cell is doubted, from the second it is replaced."""
LEAST = 0.05
"""Of the median, in root of summed squares of R, G, B: a smaller error is no block."""
WHOLE = (0.8, 0.9)
"""Share of the picture that must change by about the whole transform."""
MANY = (0.01, 0.03)
"""Share of the cells that are odd: from the first this may be something that is meant, from the
second it is. A token is 0.0045 of nano's picture."""
TELLS = 16 / 255
"""Least change that the transform makes (root of the summed squares of R, G, B) for the share of it
that is seen to mean something."""


def projected(change: Tensor, full: Tensor, dim: int) -> Tensor:
    """How much of ``full`` each ``change`` is; both hold R, G, B along ``dim``, which goes."""
    return (change * full).sum(dim) / (full.square().sum(dim) + 1e-3)


def mend(before: Tensor, after: Tensor, full: Tensor, sure: Tensor) -> Tensor:
    """``after`` with such cells mended; the pictures float32 (T, 3, h, w), the frames apart.

    ``full`` is what the transform changes everywhere, like ``before`` and ``after``, and ``sure``
    (T,) 0..1 how surely it is the edit and spares no part. What needs no mending stays bit for bit.
    """
    rest = after - before - full
    cells = F.avg_pool2d(rest, CELL_PX)
    size = cells.norm(dim=1, keepdim=True)
    middle = size.flatten(1).median(1).values.clamp_min(LEAST).view(-1, 1, 1, 1)
    odd = ramp(size / middle, *ODD)
    near = _neighbours(cells, odd)
    odd = odd * ramp((cells - near).norm(dim=1, keepdim=True) / middle, *ODD)
    sure = sure * _is_whole(full, after - before) * (1 - ramp(odd.mean((1, 2, 3)), *MANY))
    odd = F.max_pool2d(odd, 3, 1, 1)
    near = _neighbours(cells, odd)
    share, smooth = (
        F.interpolate(x, rest.shape[2:], mode="bilinear")
        for x in (odd * sure.view(-1, 1, 1, 1), near)
    )
    mended = (after + share * (smooth - rest)).clamp(0, 1)
    return torch.where(share > 0, mended, after)


def _neighbours(cells: Tensor, odd: Tensor) -> Tensor:
    """Mean of the cells around each, (T, 3, h, w) as ``cells``, but for those that are ``odd``."""
    span = 2 * NEAR_CELLS + 1
    kept = torch.cat((cells * (1 - odd), 1 - odd), 1)
    sums = F.avg_pool2d(kept, span, 1, NEAR_CELLS, count_include_pad=False)
    return sums[:, :3] / sums[:, 3:].clamp_min(1e-3)


def _is_whole(full: Tensor, change: Tensor) -> Tensor:
    """How surely each picture is changed all over by about ``full``, (T,) 0..1."""
    full, change = F.avg_pool2d(full, CELL_PX), F.avg_pool2d(change, CELL_PX)
    tells = (full.norm(dim=1) > TELLS).float()
    near = ((projected(change, full, 1) - 1).abs() < 0.4) * tells
    return ramp(near.sum((1, 2)) / tells.sum((1, 2)).clamp_min(1), *WHOLE)
