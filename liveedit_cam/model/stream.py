"""Live editing as a library: chunks of frames in, edited chunks out. Knows no daemon.

stream = load("nano")
conditioning = stream.encode_text("make it black and white")
edited = stream.edit(frames, conditioning)     # uint8 (T, H, W, 3), T = stream.chunk_frames
"""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from liveedit_cam.compositing import put_on
from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.config import model_size
from liveedit_cam.model.dit import TextKV
from liveedit_cam.model.field import Change, bind, fit
from liveedit_cam.model.governor import Setting
from liveedit_cam.model.latent_stream import LatentStream
from liveedit_cam.model.matte import clear
from liveedit_cam.model.prompts import condition
from liveedit_cam.model.stream_codec import LimitedText, refused_chunk
from liveedit_cam.pixels import shrink
from liveedit_cam.types import ModelFrame, Pixels, Region


class EditStream(LatentStream):
    """One video stream through one model; keeps caches between chunks. One thread owns it."""

    def _begin(self) -> None:
        super()._begin()
        self._next: EditStream | None = None  # makes the next edit of a sentence

    def reset(self) -> None:
        """Forget the stream; weights stay."""
        super().reset()
        self._next = None

    def apply(self, setting: Setting) -> None:
        """Run by ``setting`` from the next chunk on; another window or size starts a new stream."""
        super().apply(setting)
        self._next = None

    @torch.inference_mode()
    def encode_text(self, prompt: str, *, cuts: bool = True) -> TextConditioning:
        """Make an instruction ready; its K and V are computed here, once.

        A small model's sentence of several edits becomes one for each, unless ``cuts`` is False.
        """
        max_words = self.config.text.max_tokens - 1
        text = condition(prompt, self._text_kv, self.words, max_words, cuts=cuts)
        if isinstance(self._text, LimitedText):
            return replace(text, unread=self._text.unread)
        return text

    def _text_kv(self, prompt: str) -> list[TextKV]:
        return self.dit.text_kv(self._text([prompt]).to(self.device, self.dtype))

    @torch.inference_mode()
    def edit(
        self,
        frames: Pixels,
        conditioning: TextConditioning,
        *,
        strength: float = 1.0,
        region: Region | None = None,
        seed: int = 0,
    ) -> Pixels:
        """Edit one chunk: uint8 (T, H, W, 3) RGB in, the same shape out.

        T must be ``chunk_frames``; another H and W start a new stream, whose first T may be
        shorter. Same seed, same frames since ``reset``. Raises EditorError.
        """
        if frames.ndim != 4 or frames.shape[3] != 3:
            raise refused_chunk(frames.shape, self.chunk_frames, "H, W")
        height, width = model_size(self.config, *frames.shape[1:3])
        self._settle(height, width, frames.shape, "H, W")
        with ThreadPoolExecutor() as pool:  # 12 pictures of 1248x720 take one core 26 ms
            small = np.stack([*pool.map(lambda one: shrink(one, width, height), frames)])
            change = self.change(small, conditioning, strength=strength, region=region, seed=seed)
            fields = bind(change, [ModelFrame(one, t, 0.0) for t, one in enumerate(small)], 0)
            edited = np.empty_like(frames)
            list(pool.map(put_on, frames, fields, edited))  # a list: raises what one raised
        return edited

    @torch.inference_mode()
    def change(
        self,
        small: Pixels,
        conditioning: TextConditioning,
        *,
        strength: float = 1.0,
        region: Region | None = None,
        seed: int = 0,
        every_frame: bool = True,
    ) -> Change:
        """What an edit changes in one chunk, uint8 (T, h, w, 3) RGB at model size.

        h and w are whole tokens (``config.size``); another size than before starts a new stream.
        ``every_frame`` False fits the newest frame only. What was not understood changes nothing.
        Raises EditorError.
        """
        strength = strength if conditioning.is_understood else 0.0
        before, after, plain = self._edited(small, conditioning, seed, every_frame=every_frame)
        passed = 1 if every_frame else len(small)
        return fit(before, after, strength, region, self._past.steadier, passed, plain)

    def _edited(
        self, small: Pixels, conditioning: TextConditioning, seed: int, *, every_frame: bool
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """As ``decoded``, mattes made clear and all edits of a sentence made, one on another.

        ``every_frame`` False gives the newest frame only. The third is how surely each frame's edit
        is a transform times a matte, None = nobody looked.
        """
        before, after = self.decoded(small, conditioning, seed)
        if conditioning.then is None:
            self._next = None
            if not every_frame:
                before, after = before[-1:], after[-1:]
        plain = None
        if self._past.steadier is not None:
            after, plain = clear(before, after, spares=conditioning.spares)
        if conditioning.then is None:
            return before, after, plain
        if self._next is None:
            self._next = copy.copy(self)
            self._next.codec = copy.deepcopy(self.codec)
            self._next._begin()
        changed = 255 * (after - before).permute(0, 2, 3, 1).cpu()
        shown = (torch.from_numpy(small) + changed).round().clamp(0, 255).to(torch.uint8).numpy()
        again, last, other = self._next._edited(
            shown, conditioning.then, seed, every_frame=every_frame
        )
        kept = len(again)
        both = None if plain is None or other is None else plain[-kept:] * other
        return before[-kept:], (after[-kept:] + last - again).clamp(0, 1), both
