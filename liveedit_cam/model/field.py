"""Fit the edit field: what a model changed, so that it can be put on another size and moment.

What is carried over is the *change*, the decoded edit less the decoded source, so that the codec's
blur cancels. Near each point it is written as an affine function of the source colour, change = B
colour + c (a guided filter with the source as guide, He et al. 2013). What no affine function
explains (content that is replaced) is kept beside it. Where the change is below what a viewer can
see the field is zero, and the camera's own pixels come out, bit for bit. Runs on the model's
device; ``compositing`` puts the field on pictures.

A model edits each chunk anew, and its small errors differ from chunk to chunk: a flicker. Where the
source holds still, and the new change is within such an error of the last one, ``Steadier`` moves
the fitted change only a small part of the way from frame to frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.errors import EditorError
from liveedit_cam.model.guided_fit import CELL_PX, VISIBLE, affine, fit_cells, ramp
from liveedit_cam.model.region import inside, seen_from
from liveedit_cam.types import EditField, Floats, ModelFrame, Pixels, Region

STEADY_SHARE = 0.07
"""Share of the way to its new value that the change goes in a frame where nothing moves."""
STILL, MOVING = 10 / 255, 28 / 255
"""Change of the source from frame to frame below which it holds still, and above which it moves."""
SAME, OTHER = 10 / 255, 30 / 255
"""Difference to the held change below which a new one is the model's error, above another edit.

With these and the same noise in every chunk, edits flicker 0.98 times as much as their source
instead of 1.11 (exact targets: 0.77), at -0.14 dB: 8 edits on two test clips,
``benchmarks/flicker.py --clips 2``. The four levels and the share were chosen on other clips.
"""


class Steadier:
    """Holds the fitted change where the source holds still; one for each stream."""

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor, Tensor] | None = None

    def reset(self) -> None:
        """Forget the last frame: the next one is shown as it is, as after another instruction."""
        self._last = None

    def __call__(
        self, before: Tensor, cells: Tensor, rest: Tensor, num_passed: int = 1
    ) -> tuple[Tensor, Tensor]:
        """Cells (T, 12, h/4, w/4) and rest (T, 3, h, w) of the next frames, held.

        ``before`` (T, 3, h, w) is the source; another size than the last one's starts anew. The
        first lies ``num_passed`` frames after the last one seen, the others one after another.
        """
        cells, rest = cells.clone(), rest.clone()
        if self._last is not None and self._last[0].shape != before.shape[1:]:
            self._last = None
        for t in range(len(before)):
            if self._last is not None:
                last_before, last_cells, last_rest = self._last
                passed = num_passed if t == 0 else 1
                share = _share_to_go(
                    before[t], before[t] - last_before, cells[t] - last_cells, passed
                )
                cells[t] = torch.lerp(last_cells, cells[t], share[0])
                fine = F.interpolate(share, rest.shape[-2:], mode="bilinear")
                rest[t] = torch.lerp(last_rest, rest[t], fine[0])
            self._last = before[t], cells[t], rest[t]
        return cells, rest


def _share_to_go(source: Tensor, moved: Tensor, differs: Tensor, num_passed: int) -> Tensor:
    """STEADY_SHARE a frame where source and edit hold still, 1 where either moved.

    ``source`` and how far it ``moved`` (3, h, w); ``differs``: new less held cells, shape
    (12, h/4, w/4). Returns (1, 1, h/4, w/4).
    """
    colour = F.avg_pool2d(source, CELL_PX)
    other = affine(differs[None, :9], colour[None], differs[None, 9:]).abs().amax(dim=1)
    size = F.avg_pool2d(moved.abs().amax(dim=0, keepdim=True), CELL_PX)
    going = torch.maximum(ramp(size, STILL, MOVING), ramp(other, SAME, OTHER))
    going = F.max_pool2d(going, 3, stride=1, padding=1)
    share = 1 - (1 - STEADY_SHARE) ** num_passed
    return share + (1 - share) * going.unsqueeze(0)


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """The fitted change of some frames, not yet bound to their times."""

    cells: Floats
    """float32 (T, 12, h/4, w/4) as ``EditField.cells``."""
    rest: Floats | None
    """float32 (T, 3, h, w); None = nothing in any of the frames."""
    visible: float
    """Share of the last frame, 0..1, that differs visibly from its source."""


def fit(
    before: Tensor,
    after: Tensor,
    strength: float = 1.0,
    region: Region | None = None,
    steadier: Steadier | None = None,
    num_passed: int = 1,
    plain: Tensor | None = None,
) -> Change:
    """Fit the change from ``before`` to ``after``, float (T, 3, h, w) in [0, 1] on one device.

    They are the decoded source and the decoded edit; h and w are multiples of 4. ``strength`` 0..1
    scales the change, ``region`` limits it; ``steadier`` saw the frames before, the last of them
    ``num_passed`` frames before the first of these. ``plain`` (T,) 0..1 is how surely a frame's
    edit is one colour transform times a matte: what little the field then leaves unexplained is a
    fringe, the coarseness of that matte, and is left out, but where a slope was cut. Raises
    EditorError where a value is not finite: what cannot be computed must never look "unchanged".
    """
    source = before.float()
    cells, rest = fit_cells(source, after.float(), plain)
    if steadier is not None:
        cells, rest = steadier(source, cells, rest, num_passed)
    if strength != 1.0:
        cells, rest = cells * strength, rest * strength
    if region is not None:
        cells = cells * inside(region, (cells.shape[-2], cells.shape[-1])).to(cells)
        rest = rest * inside(region, (rest.shape[-2], rest.shape[-1])).to(rest)
    visible = _visible_share(source[-1], cells[-1], rest[-1])
    total = (cells.sum() + rest.sum()).view(1)
    host_cells, host_rest, told = to_host(cells, rest, torch.cat((total, visible.view(1))))
    # here, where everything is anyway: a look at the device would wait for it once more
    if not np.isfinite(told[0]):
        raise EditorError(
            "The model's output holds values that are not finite, expected numbers.",
            hint="The stream starts anew; if it repeats, choose another --model or --device.",
        )
    return Change(host_cells, host_rest if host_rest.any() else None, float(told[1]))


def to_host(*tensors: Tensor) -> list[Floats]:
    """float32 tensors of one device as arrays of their shapes: one copy, through pinned memory."""
    if tensors[0].device.type == "cpu":
        return [tensor.numpy() for tensor in tensors]
    flat = packed(tensors)
    host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
    host.copy_(flat, non_blocking=True)
    torch.accelerator.current_stream(flat.device).synchronize()
    return unpacked(host, [tensor.shape for tensor in tensors])


def packed(tensors: Sequence[Tensor]) -> Tensor:
    """All their values in one row, float32, shape (N,)."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def unpacked(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Floats]:
    """What ``packed`` put into one row on the processor, in their ``shapes``; no copy."""
    parts = flat.split([shape.numel() for shape in shapes])
    return [part.view(shape).numpy() for part, shape in zip(parts, shapes, strict=True)]


def fields_of(
    frames: Sequence[ModelFrame],
    pictures: Pixels,
    revision: int,
    *,
    strength: float = 1.0,
    region: Region | None = None,
) -> list[EditField]:
    """Fields that turn ``frames`` into ``pictures``: for an editor that makes pictures.

    ``pictures`` uint8 (T, h, w, 3) RGB, one for each frame and of its size, whose sides are
    multiples of 4. ``strength`` and ``region`` are the instruction's. Raises EditorError.
    """
    sources = np.stack([frame.pixels for frame in frames])
    if pictures.shape != sources.shape or pictures.dtype != np.uint8:
        raise EditorError(
            f"got pictures {pictures.shape} of {pictures.dtype}, expected {sources.shape} of uint8",
            hint="Return one picture for each frame, of the frame's own size.",
        )
    before, after = (
        torch.from_numpy(p).permute(0, 3, 1, 2).float() / 255 for p in (sources, pictures)
    )
    seen = None if region is None else seen_from(frames[0].part, region)
    change = fit(before, after, strength, seen)
    return bind(change, frames, revision)


def bind(change: Change, frames: Sequence[ModelFrame], revision: int) -> list[EditField]:
    """One field for each of the last frames that ``change`` covers, in order."""
    count = len(change.cells)
    return [
        EditField(
            cells=change.cells[t],
            rest=None if change.rest is None else change.rest[t],
            guide=np.asarray(cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2GRAY), np.uint8),
            index=frame.index,
            captured_at=frame.captured_at,
            revision=revision,
            part=frame.part,
        )
        for t, frame in enumerate(frames[len(frames) - count :])
    ]


def _visible_share(source: Tensor, cells: Tensor, rest: Tensor) -> Tensor:
    """Share of cells whose mean colour changes by VISIBLE or more.

    ``source`` and ``rest`` of shape (3, h, w), ``cells`` (12, h/4, w/4).
    """
    colour = F.avg_pool2d(source, CELL_PX)[None]
    change = affine(cells[None, :9], colour, cells[None, 9:])
    change = change + F.avg_pool2d(rest, CELL_PX)[None]
    changed = (colour + change).clamp(0, 1) - colour
    return (changed.abs().amax(dim=1) >= VISIBLE).float().mean()
