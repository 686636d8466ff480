"""The mask cache made visible: reused tokens are dark, recomputed ones as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from torch import Tensor

from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.one_by_one import OneByOne, Picture
from liveedit_cam.model.weights import load
from liveedit_cam.types import Pixels, Region

REUSED_BRIGHTNESS = 0.4


def darken_reused(
    frame: Pixels, num_after: int, recomputed: Tensor | None, per_latent: int
) -> None:
    """Darken in uint8 (H, W, 3), in place, what was taken from the mask cache.

    ``frame`` has ``num_after`` frames of its chunk behind it. ``recomputed`` bool (T, h, w) of the
    chunk's latents; None = everything was recomputed. A latent is ``per_latent`` frames; of a
    shorter first chunk, the first latent is the shorter.
    """
    if recomputed is None:
        return
    mask = recomputed[-1 - num_after // per_latent].cpu().numpy()
    shade = np.where(mask, 1.0, REUSED_BRIGHTNESS).astype(np.float32)
    full = cv2.resize(shade, frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    frame[:] = np.rint(frame * full[..., None])


class MaskShown(OneByOne):
    """Its edits show what the mask cache reused. One thread owns it."""

    def edit_each(
        self,
        pictures: Sequence[Picture],
        conditioning: TextConditioning,
        *,
        strength: float = 1.0,
        region: Region | None = None,
    ) -> Iterator[Pixels]:
        """As OneByOne, then darkened."""
        per_latent = self._stream.config.codec.frames_per_latent
        edited = super().edit_each(pictures, conditioning, strength=strength, region=region)
        for number, picture in enumerate(edited):
            num_after = len(pictures) - 1 - number
            darken_reused(picture, num_after, self._stream.recomputed, per_latent)
            yield picture


def load_with_mask(model: str = "nano", device: str = "auto") -> MaskShown:
    """``load`` with the mask shown. Raises what it raises."""
    return MaskShown(load(model, device))
