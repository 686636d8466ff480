"""Real clips for training: decoded once, kept as uint8 arrays. Knows files, not edits.

A media folder holds ``NAME.mp4``, ``NAME.mask.mp4`` (grey subject mask, same frame count) and
``clips.json`` with the fixed split. A clip that cannot be decoded is skipped and named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.errors import UsageError

STORED_SHORT_SIDE_PX = 216
"""Clips are kept at this short side: half as much again as the model's, so that crops can zoom."""
MAX_STORED_FRAMES = 240


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One decoded clip with its subject mask."""

    name: str
    frames: NDArray[np.uint8]
    """uint8 (T, H, W, 3) RGB."""
    subject: NDArray[np.uint8]
    """uint8 (T, H, W), 255 = the main subject."""
    fps: float
    has_subject: bool
    """Whether the mask is worth using: subject share between 2 % and 85 %."""


def read_video(path: Path, height_px: int, width_px: int, max_frames: int) -> NDArray[np.uint8]:
    """Decode up to ``max_frames`` frames, spread over no more than the first ``2 * max_frames``.

    Returns uint8 (T, H, W, 3) RGB. Raises UsageError when nothing can be decoded.
    """
    try:
        frames = list(_decode(path, height_px, width_px, max_frames))
    except av.FFmpegError as error:
        raise UsageError(f"got {path.name}, which cannot be decoded ({error})") from error
    if not frames:
        raise UsageError(f"got {path.name} with no video frame, expected at least one")
    return np.stack(frames)


def _decode(
    path: Path, height_px: int, width_px: int, max_frames: int
) -> Iterator[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= max_frames:
                return
            pixels = frame.to_ndarray(format="rgb24")
            small = cv2.resize(pixels, (width_px, height_px), interpolation=cv2.INTER_AREA)
            yield small.astype(np.uint8, copy=False)


def stored_size(width_px: int, height_px: int, short_side_px: int) -> tuple[int, int]:
    """Height and width, both even, with the given short side and the clip's aspect ratio."""
    scale = short_side_px / min(width_px, height_px)
    return 2 * round(height_px * scale / 2), 2 * round(width_px * scale / 2)


def load_clips(
    folder: Path,
    split: str,
    cache: Path | None = None,
    short_side_px: int = STORED_SHORT_SIDE_PX,
    max_frames: int = MAX_STORED_FRAMES,
) -> list[Clip]:
    """Decode every clip of ``split`` ("train" or "test"); ``cache`` keeps the arrays between runs.

    Raises UsageError where the folder has no ``clips.json``; a corrupt clip is named and skipped.
    """
    index = folder / "clips.json"
    if not index.is_file():
        raise UsageError(
            f"got media folder {folder} without clips.json, expected NAME.mp4, NAME.mask.mp4 "
            "and clips.json",
            hint="Give another folder with --media.",
        )
    wanted = sorted(
        (name, facts)
        for name, facts in json.loads(index.read_text()).items()
        if facts["split"] == split
    )

    def load(one: tuple[str, Mapping[str, Any]]) -> Clip | None:
        name, facts = one
        size = stored_size(facts["width"], facts["height"], short_side_px)
        try:
            frames, subject = _load_arrays(folder, name, size, max_frames, cache)
        except (UsageError, OSError) as error:
            print(f"skipped clip {name}: {error}")
            return None
        share = float(subject.mean()) / 255
        return Clip(name, frames, subject, facts["fps"], 0.02 <= share <= 0.85)

    with ThreadPoolExecutor() as threads:  # the decoders hold no lock
        return [clip for clip in threads.map(load, wanted) if clip is not None]


def _load_arrays(
    folder: Path, name: str, size: tuple[int, int], max_frames: int, cache: Path | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    path = folder / f"{name}.mp4"
    stamp = f"{name}-{path.stat().st_size}-{size}-{max_frames}"
    stored = cache / f"{hashlib.sha256(stamp.encode()).hexdigest()[:16]}.npz" if cache else None
    if stored is not None and stored.is_file():
        with np.load(stored) as arrays:
            return arrays["frames"], arrays["subject"]
    frames = read_video(path, *size, max_frames)
    subject = read_video(folder / f"{name}.mask.mp4", *size, max_frames)[..., 0]
    count = min(len(frames), len(subject))
    frames, subject = frames[:count], np.ascontiguousarray(subject[:count])
    if stored is not None:
        stored.parent.mkdir(parents=True, exist_ok=True)
        partial = stored.with_suffix(".partial.npz")
        np.savez(partial, frames=frames, subject=subject)
        partial.replace(stored)
    return frames, subject


def head_of(subject: NDArray[np.uint8]) -> tuple[float, float, float] | None:
    """Top row, middle column of the upper fifth, and height of a subject, in pixels.

    ``subject`` uint8 (H, W), 255 = subject; None where there is none.
    """
    ys, xs = np.nonzero(subject > 127)
    if len(ys) == 0:
        return None
    top, height = float(ys.min()), float(ys.max() - ys.min() + 1)
    return top, float(xs[ys <= top + 0.2 * height].mean()), height


def certainty(subject: NDArray[np.uint8]) -> float:
    """Share, 0..1, of a mask's pixels (over 15 %) that are clearly the subject (over 85 %).

    ``subject`` uint8 (T, H, W). A mask that says "maybe" over half its area teaches half edits.
    """
    maybe = int((subject > 38).sum())
    return int((subject > 217).sum()) / maybe if maybe else 0.0
