"""Pairs drawn by processes of their own, for a device that learns faster than one can draw.

A process draws whole iterations, packs the pairs of each into one block of bytes and hands it over
through shared memory; edits and encoding are the device's. Knows no loss.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from liveedit_cam.lab.training.batches import ExpectedChange, LatentBatch, Plan, collate
from liveedit_cam.lab.training.data import Pair
from liveedit_cam.model.codec import Codec

AHEAD = 2
"""Iterations that each process draws before they are asked for."""
SHARES = ("source", "subject", "known", "shown")
"""Tensors of a pair in 0..1: they travel in 256 levels, as a camera's pixels do."""
IDS = "parts"
"""Tensor of a pair that is bytes already."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """Pairs on their way: all their pixels in one block of bytes."""

    data: Tensor
    """uint8 (N,)."""
    shapes: tuple[dict[str, torch.Size], ...]
    """Of each pair's tensors, in the order in which they lie in ``data``."""
    rest: tuple[Pair, ...]
    """The pairs without their pixels."""


def pack(pairs: list[Pair]) -> Parcel:
    """``pairs`` on the processor, as one parcel; pixels and masks are rounded to 256 levels."""
    blocks, shapes, rest = [], [], []
    nothing = torch.empty(0)
    for pair in pairs:
        tensors = {name: getattr(pair, name) for name in (*SHARES, IDS)}
        given = {name: value for name, value in tensors.items() if value is not None}
        for name, value in given.items():
            bytes_ = value if name == IDS else (255 * value).round().to(torch.uint8)
            blocks.append(bytes_.flatten())
        shapes.append({name: value.shape for name, value in given.items()})
        rest.append(
            replace(pair, source=nothing, subject=nothing, known=None, parts=None, shown=None)
        )
    return Parcel(torch.cat(blocks), tuple(shapes), tuple(rest))


def unpack(parcel: Parcel, device: torch.device) -> list[Pair]:
    """The pairs of ``parcel`` on ``device``: one copy for all of them."""
    data, at, pairs = parcel.data.to(device), 0, []
    levels = data.float() / 255
    for shapes, rest in zip(parcel.shapes, parcel.rest, strict=True):
        tensors: dict[str, Any] = {}
        for name, shape in shapes.items():
            source = data if name == IDS else levels
            tensors[name] = source[at : at + shape.numel()].view(shape)
            at += shape.numel()
        pairs.append(replace(rest, **tensors))
    return pairs


class Parcels(Dataset[Parcel]):
    """The parcel of each iteration of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def __len__(self) -> int:
        return self.plan.iterations

    def __getitem__(self, iteration: int) -> Parcel:
        return pack(self.plan.pairs(iteration))


def drawn_beside(
    plan: Plan, codec: Codec, first: int, workers: int, expected: ExpectedChange | None = None
) -> Iterator[LatentBatch]:
    """The twin of ``batches``, drawn by so many processes; but for the rounding, the same batches.

    Each holds its own iterations, so the order is theirs whichever is done first. An error of a
    process is raised here.
    """
    cv2.setNumThreads(0)  # here: a process that inherits a pool of threads waits for it for ever
    loader = DataLoader(
        Parcels(plan),
        batch_size=None,
        sampler=range(first, plan.iterations),
        num_workers=workers,
        prefetch_factor=AHEAD,
        multiprocessing_context="fork",  # clips and pictures are shared, not copied
        worker_init_fn=_alone,
    )
    device = codec.basis.device
    for parcel in loader:
        yield collate(unpack(parcel, device), codec, expected)


def _alone(_worker: int) -> None:
    """One thread for a process that has a core of its own; it gives way to the training."""
    os.nice(5)
    torch.set_num_threads(1)
