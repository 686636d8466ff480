"""The benchmark: a stream, pairs and clips in; figures against exact targets out.

For every wording of a pair the stream is reset and ``num_chunks`` chunks are edited at the clip's
full size. Pictures are measured on the last chunk, motion over all of them. Writes no file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.evaluation.flow import MotionFigures, motion_figures
from liveedit_cam.lab.evaluation.metrics import PictureFigures, capped_psnr, picture_figures
from liveedit_cam.lab.evaluation.pairs import SUBJECT_SHARES, Shelf, VideoPair, Wording, window
from liveedit_cam.lab.evaluation.paper_metrics import PaperFigure, PaperMetrics
from liveedit_cam.lab.evaluation.phrasing import describe
from liveedit_cam.lab.evaluation.rivals import Judge
from liveedit_cam.model import TextConditioning
from liveedit_cam.model.stream_codec import StreamCodec

Video = NDArray[np.uint8]
"""uint8 (T, H, W, 3) RGB."""
MOTION_SHORT_SIDE_PX = 216
CODEC_LATENTS = 6
"""So much of a clip measures the codec alone."""


class Stream(Protocol):
    """What is measured; an ``EditStream`` is one."""

    @property
    def chunk_frames(self) -> int: ...

    def reset(self) -> None: ...

    def encode_text(self, prompt: str) -> TextConditioning: ...

    def edit(self, frames: Video, conditioning: TextConditioning, /) -> Video: ...


@dataclass(frozen=True, slots=True)
class Understood:
    """Whether one wording led to the edit it asks for."""

    wording: Wording
    is_right: bool
    """Nearer to its own target than to that of every other instruction."""
    nearest: str
    """The edit the output is nearest to, in words."""
    num_rivals: int


@dataclass(frozen=True, slots=True)
class Result:
    """All figures of one pair."""

    pair: VideoPair
    picture: PictureFigures
    motion: MotionFigures
    understood: tuple[Understood, ...]
    """One per wording, in the pair's order."""
    paper: tuple[PaperFigure, ...] = ()
    """Of the paper's own metrics, those whose models were there; () = not asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A result and what it was measured on."""

    result: Result
    source: Video
    """Every frame that was edited."""
    output: Video
    target: NDArray[np.uint8]
    """uint8 (H, W, 3): the exact target of the last frame."""


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """One edited stretch of a clip."""

    source: Video
    subject: NDArray[np.uint8]
    """uint8 (T, H, W)."""
    output: Video
    last: int
    """First frame of the last chunk."""


def measure(
    stream: Stream, pairs: Iterable[VideoPair], shelf: Shelf, paper: PaperMetrics | None = None
) -> Iterator[Measured]:
    """Measure one pair after the other; ``paper`` = also by the paper's own metrics.

    Raises UsageError for a pair whose clip is not there, or begins past its end.
    """
    for pair in pairs:
        clip = shelf.get(pair.clip)
        if pair.start >= len(clip.frames):
            raise UsageError(
                f"got pair {pair.number} from frame {pair.start} on, but {pair.clip} has "
                f"{len(clip.frames)}",
                hint="Draw the pairs anew: leave --pairs out.",
            )
        runs = [_edit(stream, clip, pair, wording.text) for wording in pair.wordings]
        measured = _measure_pair(pair, clip, runs)
        if paper is None:
            yield measured
            continue
        fps = shelf.get(pair.clip).fps
        figures = paper.figures(measured.output, pair.prompt, fps)
        yield replace(measured, result=replace(measured.result, paper=figures))


def codec_db(codec: StreamCodec, clip: Clip, size: tuple[int, int], device: torch.device) -> float:
    """PSNR in dB of the clip's first frames through the codec, at ``size`` (height, width).

    The size is whole tokens; the codec lies on ``device`` and is reset before and after.
    """
    codec.reset()
    frames = window(clip.frames, 0, codec.frames_for(CODEC_LATENTS))
    planes = torch.from_numpy(frames).permute(3, 0, 1, 2).float() / 255
    small = F.interpolate(planes, size, mode="area").unsqueeze(0)
    with torch.inference_mode():
        again = codec.decode(codec.encode(small.to(device))).float().cpu()
    codec.reset()
    return capped_psnr(again.movedim(1, -1), small.movedim(1, -1))


def _edit(stream: Stream, clip: Clip, pair: VideoPair, prompt: str) -> _Run:
    stream.reset()
    conditioning = stream.encode_text(prompt)
    outputs: list[Video] = []
    done = last = 0
    for _ in range(pair.num_chunks):
        count, last = stream.chunk_frames, done
        source = window(clip.frames, pair.start + done, count)
        outputs.append(stream.edit(source, conditioning))
        done += count
    return _Run(
        window(clip.frames, pair.start, done),
        window(clip.subject, pair.start, done),
        np.concatenate(outputs),
        last,
    )


def _measure_pair(pair: VideoPair, clip: Clip, runs: list[_Run]) -> Measured:
    run = runs[0]
    source, output, subject = (
        as_tensor(x[run.last :]) for x in (run.source, run.output, run.subject)
    )
    target, mask = apply_edit(source, subject, pair.spec)
    share = float(subject.mean())
    has_subject = clip.has_subject and SUBJECT_SHARES[0] <= share <= SUBJECT_SHARES[1]
    judge = Judge(source, subject, pair.spec, has_subject=has_subject)
    understood = tuple(
        _understood(judge, wording, as_tensor(one.output[one.last :]))
        for wording, one in zip(pair.wordings, runs, strict=True)
    )
    picture = picture_figures(output, source, target, mask)
    result = Result(pair, picture, _motion(run, pair), understood)
    return Measured(result, run.source, run.output, as_pixels(target[-1]))


def _understood(judge: Judge, wording: Wording, output: Tensor) -> Understood:
    answer = judge.answer(output)
    return Understood(wording, answer.is_right, describe(answer.nearest), answer.num_rivals)


def _motion(run: _Run, pair: VideoPair) -> MotionFigures:
    """Flicker and motion of the whole stretch; the exact target is made at the smaller size."""
    height, width = run.source.shape[1:3]
    scale = min(1.0, MOTION_SHORT_SIDE_PX / min(height, width))
    size = (round(width * scale), round(height * scale))

    def small(video: NDArray[np.uint8]) -> NDArray[np.uint8]:
        frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in video]
        return np.stack(frames).astype(np.uint8, copy=False)

    source = small(run.source)
    target, _ = apply_edit(as_tensor(source), as_tensor(small(run.subject)), pair.spec)
    return motion_figures(small(run.output), as_pixels(target), source)


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 of any shape to float32 in [0, 1]."""
    return torch.from_numpy(pixels).float() / 255


def as_pixels(tensor: Tensor) -> NDArray[np.uint8]:
    """float32 in [0, 1] of any shape to uint8, rounded."""
    pixels: NDArray[np.uint8] = (tensor * 255).round().byte().numpy()
    return pixels
