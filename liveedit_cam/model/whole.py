"""Edit whole clips the slow, guided way: 50 steps, two evaluations each.

For checkpoints of the paper's first stage, which see a clip in both directions (all latents at
once), and of its second, which see the past alone (chunk by chunk). What takes 8 s with the four
steps of the third stage takes minutes here (the paper: 200 s for 81 frames).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from liveedit_cam.errors import EditorError
from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.field import bind, fit
from liveedit_cam.model.one_by_one import Picture, put_on_each, small_copies
from liveedit_cam.model.sampling import sample_causal, sample_offline
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.weights import load
from liveedit_cam.types import ModelFrame, Pixels, Region

NUM_LATENTS, NUM_STEPS, GUIDANCE = 21, 50, 4.0
"""The paper's clip (81 frames), its steps, and the ordinary scale of its guidance (facts 7.4)."""


class WholeClips:
    """An EditStream that edits clip after clip, each whole and on its own. One thread owns it."""

    def __init__(
        self,
        stream: EditStream,
        *,
        num_latents: int = NUM_LATENTS,
        num_steps: int = NUM_STEPS,
        guidance: float = GUIDANCE,
        is_causal: bool = False,
    ) -> None:
        """Use the networks of ``stream``, which edits nothing else meanwhile.

        ``is_causal``: as the second stage was trained, not the first.
        """
        self._stream = stream
        self._num_latents = num_latents
        self._num_steps = num_steps
        self._guidance = guidance
        self._sample = sample_causal if is_causal else sample_offline
        self._no_text = stream.encode_text("")

    @property
    def chunk_frames(self) -> int:
        """Frames of a clip."""
        self._stream.codec.reset()
        return self._stream.codec.frames_for(self._num_latents)

    def encode_text(self, prompt: str) -> TextConditioning:
        """As EditStream."""
        return self._stream.encode_text(prompt, cuts=False)

    @torch.inference_mode()
    def edit_each(
        self,
        pictures: Sequence[Picture],
        conditioning: TextConditioning,
        *,
        strength: float = 1.0,
        region: Region | None = None,
    ) -> Iterator[Pixels]:
        """Edit one clip, picture by picture. Raises EditorError."""
        if len(pictures) != self.chunk_frames:
            raise EditorError(f"got {len(pictures)} pictures, expected {self.chunk_frames}")
        stream = self._stream
        small = small_copies(pictures, stream.config)
        source = self._encode(small)
        x0 = self._sample(
            stream.dit,
            source,
            conditioning.kv,
            self._no_text.kv,
            num_steps=self._num_steps,
            guidance=self._guidance,
            shift=stream.config.shift,
            noise=torch.Generator().manual_seed(0),
        )
        stream.codec.reset()
        start = 0
        for latents in torch.stack((source, x0), dim=1)[0].split(stream.config.chunk_latents, 2):
            before, after = stream.codec.decode(latents).transpose(1, 2).float()
            change = fit(before, after, strength, region)
            end = start + len(before)
            group = [ModelFrame(one, n, 0.0) for n, one in enumerate(small[start:end])]
            yield from put_on_each(pictures[start:end], bind(change, group, 0))
            start = end

    def _encode(self, small: Pixels) -> Tensor:
        """Latents of shape (1, C, T, h, w) of a clip, a chunk at a time."""
        stream, start, parts = self._stream, 0, []
        stream.codec.reset()
        while start < len(small):
            end = start + stream.codec.frames_for(stream.config.chunk_latents)
            pixels = torch.from_numpy(small[start:end]).to(stream.device).float() / 255
            parts.append(stream.codec.encode(pixels.permute(3, 0, 1, 2).unsqueeze(0)))
            start = end
        return torch.cat(parts, dim=2)


def load_whole(model: str = "nano", device: str = "auto", *, is_causal: bool = False) -> WholeClips:
    """``load`` for whole clips, as WholeClips. Raises what it raises."""
    stream = load(model, device, warms_up=False)
    return WholeClips(stream, num_latents=NUM_LATENTS, num_steps=NUM_STEPS, is_causal=is_causal)
