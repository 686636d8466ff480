"""An instruction's region on the model's small picture."""

from __future__ import annotations

import torch
from torch import Tensor

from liveedit_cam.types import Region


def seen_from(part: Region | None, region: Region) -> Region:
    """A region of the whole picture in shares of ``part`` of it; it may reach beyond it."""
    if part is None:
        return region
    return Region(
        (region.x - part.x) / part.width,
        (region.y - part.y) / part.height,
        region.width / part.width,
        region.height / part.height,
    )


def inside(region: Region, size: tuple[int, int]) -> Tensor:
    """1 inside ``region``, 0 outside, with the share of each border cell; shape (1, 1, h, w)."""

    def cover(low: float, length: float, count: int) -> Tensor:
        edges = torch.arange(count + 1) / count
        covered = edges.clamp(low, low + length)
        return covered.diff() * count

    rows = cover(region.y, region.height, size[0])
    columns = cover(region.x, region.width, size[1])
    return (rows[:, None] * columns[None, :]).view(1, 1, *size)
