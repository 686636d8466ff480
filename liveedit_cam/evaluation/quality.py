"""Edits against exact targets on clips the model never saw: PSNR by group, right-target rate.

For every case the stream is reset, three chunks are edited at the clip's full size, and the last
one is measured. ``nearest`` asks whether the output is nearer to its own target than to the
target of any other instruction for that clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.evaluation.cases import Case, as_tensors, cases_for
from liveedit_cam.model import EditStream
from liveedit_cam.training.clips import Clip
from liveedit_cam.training.edits import apply_edit
from liveedit_cam.training.losses import psnr

NUM_CHUNKS = 3
COMPARED_HEIGHT_PX = 144
"""Outputs and targets are compared with each other at this height."""


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of one case, PSNR in dB against the exact target at full size."""

    clip: str
    case: Case
    whole_db: float
    inside_db: float
    """Inside the exact edit mask."""
    unedited_inside_db: float
    """The source itself against the target inside the mask: what doing nothing scores."""
    outside_db: float
    """Outside the exact mask; nan where the edit is of the whole picture."""
    is_nearest: bool
    nearest_prompt: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A source and an edited frame, for the contact sheet; uint8 (H, W, 3)."""

    source: NDArray[np.uint8]
    edited: NDArray[np.uint8]
    result: Result


def evaluate(
    stream: EditStream, clips: Sequence[Clip], on_result: Callable[[Shown], None]
) -> list[Result]:
    """Measure every case of every clip; ``on_result`` sees each one as it is done."""
    results = []
    for clip in clips:
        for shown in _evaluate_clip(stream, clip):
            on_result(shown)
            results.append(shown.result)
    return results


def _evaluate_clip(stream: EditStream, clip: Clip) -> Iterator[Shown]:
    size = stream.chunk_frames
    first = max(0, len(clip.frames) // 2 - size * NUM_CHUNKS // 2)
    last = min(first + size * (NUM_CHUNKS - 1), len(clip.frames) - size)
    frames, subject = as_tensors(clip, last, size)
    cases = cases_for(clip)
    targets = {case.prompt: _small(apply_edit(frames, subject, case.spec)[0]) for case in cases}
    for case in cases:
        edited = _edit(stream, clip, case.prompt, first, last)
        output = torch.from_numpy(edited).float() / 255
        target, mask = apply_edit(frames, subject, case.spec)
        small = _small(output)
        nearest = min(targets, key=lambda p: float((targets[p] - small).square().mean()))
        outside = 1 - mask
        has_outside = float((outside > 0.98).float().mean()) > 0.02
        result = Result(
            clip=clip.name,
            case=case,
            whole_db=psnr(output, target),
            inside_db=psnr(output, target, mask),
            unedited_inside_db=psnr(frames, target, mask),
            outside_db=psnr(output, target, (outside > 0.98).float()) if has_outside else np.nan,
            is_nearest=nearest == case.prompt,
            nearest_prompt=nearest,
        )
        yield Shown(clip.frames[last], edited[0], result)


def _edit(stream: EditStream, clip: Clip, prompt: str, first: int, last: int) -> NDArray[np.uint8]:
    stream.reset()
    conditioning = stream.encode_text(prompt)
    edited = clip.frames[:0]
    for start in (*range(first, last, stream.chunk_frames), last):
        edited = stream.edit(clip.frames[start : start + stream.chunk_frames], conditioning)
    return edited


def _small(frames: Tensor) -> Tensor:
    width = round(COMPARED_HEIGHT_PX * frames.shape[2] / frames.shape[1])
    planes = frames.permute(0, 3, 1, 2)
    return F.interpolate(planes, (COMPARED_HEIGHT_PX, width), mode="area")


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """Means over the cases of one group."""

    group: str
    num_cases: int
    whole_db: float
    inside_db: float
    gain_db: float
    """Inside the mask, above the unedited source."""
    outside_db: float
    nearest_share: float


def summarise(results: Sequence[Result]) -> list[GroupFigures]:
    """One row per group, and "all"."""
    groups = list(dict.fromkeys(result.case.group for result in results))
    rows = [(g, [r for r in results if r.case.group == g]) for g in groups]
    return [_figures(group, chosen) for group, chosen in (*rows, ("all", list(results)))]


def _figures(group: str, results: Sequence[Result]) -> GroupFigures:
    def mean(values: Sequence[float]) -> float:
        kept = [value for value in values if np.isfinite(value)]
        return float(np.mean(kept)) if kept else float("nan")

    return GroupFigures(
        group=group,
        num_cases=len(results),
        whole_db=mean([r.whole_db for r in results]),
        inside_db=mean([r.inside_db for r in results]),
        gain_db=mean([r.inside_db - r.unedited_inside_db for r in results]),
        outside_db=mean([r.outside_db for r in results]),
        nearest_share=mean([float(r.is_nearest) for r in results]),
    )
