"""The mask cache made visible: reused tokens are dark, recomputed ones as they are."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.weights import load
from liveedit_cam.types import Pixels, Region

REUSED_BRIGHTNESS = 0.4


def darken_reused(frames: Pixels, recomputed: Tensor | None, per_latent: int) -> None:
    """Darken in ``frames`` uint8 (N, H, W, 3), in place, what was taken from the mask cache.

    ``recomputed`` bool (T, h, w) of the chunk's latents; None = everything was recomputed. A latent
    is ``per_latent`` frames; of a shorter first chunk, the first latent is the shorter.
    """
    if recomputed is None:
        return
    masks = recomputed.cpu().numpy()
    num_frames, height, width = frames.shape[:3]
    for latent, mask in enumerate(masks):
        until = num_frames - per_latent * (len(masks) - 1 - latent)
        shade = np.where(mask, 1.0, REUSED_BRIGHTNESS).astype(np.float32)
        full = cv2.resize(shade, (width, height), interpolation=cv2.INTER_NEAREST)
        for frame in frames[max(0, until - per_latent) : until]:
            frame[:] = np.rint(frame * full[..., None])


class MaskShown:
    """An EditStream whose edits show what its mask cache reused. One thread owns it."""

    def __init__(self, stream: EditStream) -> None:
        self._stream = stream

    @property
    def chunk_frames(self) -> int:
        """As EditStream."""
        return self._stream.chunk_frames

    def encode_text(self, prompt: str) -> TextConditioning:
        """As EditStream."""
        return self._stream.encode_text(prompt)

    def edit(
        self,
        frames: Pixels,
        conditioning: TextConditioning,
        *,
        strength: float = 1.0,
        region: Region | None = None,
        in_place: bool = False,
    ) -> Pixels:
        """As EditStream, then darkened."""
        edited = self._stream.edit(
            frames, conditioning, strength=strength, region=region, in_place=in_place
        )
        per_latent = self._stream.config.codec.frames_per_latent
        darken_reused(edited, self._stream.recomputed, per_latent)
        return edited


def load_with_mask(model: str = "nano", device: str = "auto") -> MaskShown:
    """``load`` with the mask shown. Raises what it raises."""
    return MaskShown(load(model, device))
