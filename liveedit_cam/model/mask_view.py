"""The mask cache made visible: reused tokens are dark, recomputed ones as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

REUSED_BRIGHTNESS = 0.4


def darken_reused(frames: Pixels, recomputed: Tensor | None) -> None:
    """Darken in ``frames`` uint8 (N, H, W, 3), in place, what was taken from the mask cache.

    ``recomputed`` bool (T, h, w) of the chunk's latents; None = everything was recomputed. A latent
    is as many frames as any other; of a shorter first chunk, the first latent is the shorter.
    """
    if recomputed is None:
        return
    masks = recomputed.cpu().numpy()
    num_frames, height, width = frames.shape[:3]
    per_latent = -(-num_frames // len(masks))
    for latent, mask in enumerate(masks):
        until = num_frames - per_latent * (len(masks) - 1 - latent)
        shade = np.where(mask, 1.0, REUSED_BRIGHTNESS).astype(np.float32)
        full = cv2.resize(shade, (width, height), interpolation=cv2.INTER_NEAREST)
        for frame in frames[max(0, until - per_latent) : until]:
            frame[:] = np.rint(frame * full[..., None])
