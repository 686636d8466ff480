"""Optical flow (OpenCV's DIS): how much a video flickers, and how much it moves.

Flicker is what remains between two frames once motion is taken out: the frame before is carried
along the *source's* flow and compared with the frame after it. Where the flow is not sure of itself
(forwards and back do not meet, as where something comes into sight) nothing is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_DRIFT_PX = 1.0
"""Farthest that flow forwards and back may miss its start."""

Video = NDArray[np.uint8]
"""uint8 (T, H, W, 3) RGB."""
FlowField = NDArray[np.float32]
"""float32 (H, W, 2): pixels to the right and down."""


@dataclass(frozen=True, slots=True)
class MotionFigures:
    """One video beside its exact target and its source."""

    flicker: float
    """Mean absolute difference along the source's motion, in levels of 255."""
    target_flicker: float
    source_flicker: float
    motion: float
    """Dynamic degree: mean length of the flow from frame to frame, in % of the short side."""
    target_motion: float
    source_motion: float


def motion_figures(output: Video, target: Video, source: Video) -> MotionFigures:
    """Measure three videos of one size, T >= 2."""
    flows = [_flow(before, after) for before, after in pairwise(source)]
    backward = [_flow(after, before) for before, after in pairwise(source)]
    is_sure = [_agree(*both) for both in zip(flows, backward, strict=True)]
    return MotionFigures(
        flicker=flicker(output, backward, is_sure),
        target_flicker=flicker(target, backward, is_sure),
        source_flicker=flicker(source, backward, is_sure),
        motion=mean_motion([_flow(*frames) for frames in pairwise(output)]),
        target_motion=mean_motion([_flow(*frames) for frames in pairwise(target)]),
        source_motion=mean_motion(flows),
    )


def flicker(video: Video, backward: list[FlowField], is_sure: list[NDArray[np.bool_]]) -> float:
    """Mean absolute difference of each frame to the one before, carried along, in levels of 255.

    ``backward`` leads from each frame to the one before it; ``is_sure`` (H, W) says where.
    """
    total, count = 0.0, 0
    for (before, after), flow, sure in zip(pairwise(video), backward, is_sure, strict=True):
        difference = np.abs(_carry(before, flow) - after.astype(np.float32))[sure]
        total += float(np.sum(difference, dtype=np.float64))
        count += int(sure.sum()) * 3
    return total / max(1, count)


def mean_motion(flows: list[FlowField]) -> float:
    """Mean length of the flow vectors in % of the short side."""
    lengths = [float(np.hypot(flow[..., 0], flow[..., 1]).mean()) for flow in flows]
    short_side = float(min(flows[0].shape[:2]))
    return 100 * float(np.mean(lengths)) / short_side


def _flow(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> FlowField:
    """Where each pixel of ``before`` (H, W, 3) is in ``after``."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    start = np.zeros((*before.shape[:2], 2), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(search.calc(grey[0], grey[1], start), np.float32)


def _carry(picture: NDArray[np.generic], backward: FlowField) -> NDArray[np.float32]:
    """``picture`` (H, W, C) seen from the next frame: each pixel from where ``backward`` leads."""
    height, width = backward.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.asarray(
        cv2.remap(
            picture.astype(np.float32),
            x + backward[..., 0],
            y + backward[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )


def _agree(forward: FlowField, backward: FlowField) -> NDArray[np.bool_]:
    """Where the flow back and then forwards ends where it began; (H, W) of the later frame."""
    back_again = _carry(forward, backward) + backward
    return np.asarray(np.hypot(back_again[..., 0], back_again[..., 1]) <= MAX_DRIFT_PX)
