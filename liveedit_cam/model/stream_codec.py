"""What an EditStream needs of a video codec and of a text encoder, whichever they are.

Knows no network. Between them a codec keeps what it has seen of one stream; an encoder of prompts
keeps nothing of a stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from liveedit_cam.errors import EditorError


@runtime_checkable
class StreamCodec(Protocol):
    """A causal video codec with the state of one stream. One thread owns it.

    Encoding and decoding have states of their own and may run at different paces. Batch and
    picture size stay the same between two resets; batch rows do not mix.
    """

    @property
    def latent_channels(self) -> int:
        """C of a latent."""

    @property
    def spatial_stride(self) -> int:
        """Pixels per latent cell, both ways."""

    def frames_for(self, num_latents: int) -> int:
        """Frames the next ``encode`` wants for so many latents; the first call may want fewer."""

    def encode(self, frames: Tensor) -> Tensor:
        """The next frames, float (B, 3, T, H, W) in [0, 1], to latents float32 (B, C, t, h, w).

        Latents are normalised as the transformer takes them. Raises EditorError for other numbers
        of frames than ``frames_for`` some number of latents, and for odd picture sizes.
        """

    def decode(self, latents: Tensor) -> Tensor:
        """The next latents (B, C, t, h, w) to their frames, float32 (B, 3, T, H, W) in [0, 1].

        Raises EditorError where the shape does not follow what came before.
        """

    def reset(self) -> None:
        """Start a new stream: forget what was encoded and decoded, keep the weights."""


@runtime_checkable
class FrugalCodec(Protocol):
    """A StreamCodec that can take less memory for the same frames."""

    one_by_one: bool
    """Encode and decode latent by latent, not a call at once; may change between any two calls."""


@runtime_checkable
class PromptEncoder(Protocol):
    """Makes text embeddings of prompts; may take seconds, so it is called off the hot path."""

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (B, L, D) of any float type; rows past the length of a prompt are zero."""


@runtime_checkable
class LimitedText(Protocol):
    """A PromptEncoder that cuts what is too long and tells of it."""

    unread: str
    """The end that was cut off what was encoded last; "" = all was read."""


@runtime_checkable
class MovableText(Protocol):
    """A PromptEncoder large enough to matter where it runs."""

    def to_cpu(self) -> None:
        """Encode on the processor from now on."""

    def let_go(self) -> bool:
        """Keep nothing on the device between prompts from now on; False = it kept nothing."""


def refused_chunk(shape: tuple[int, ...], num_frames: int, size: str) -> EditorError:
    """The error for frames that are not the next chunk; ``size`` says which sizes may be."""
    return EditorError(
        f"got frames of shape {shape}, expected ({num_frames}, {size}, 3)",
        hint="Pass stream.chunk_frames frames at a time. Another picture size starts a new stream.",
    )


def check_frames(
    frames: Tensor, before: tuple[int, ...] | None, frames_per_latent: int, stride: int
) -> None:
    """Raise EditorError unless ``frames`` (B, 3, T, H, W) are whole latents of a causal codec.

    ``before`` is the shape of the call before; None = the first of a stream, which takes 1 + 4 n
    frames where a latent is 4 of them, since frame 0 is a latent of its own. Later calls take 4 n.
    H and W are multiples of ``stride``.
    """
    shape = tuple(frames.shape)
    if len(shape) == 5 and shape[1] == 3 and _keeps_size(shape, before):
        num_frames = shape[2] - 1 if before is None else shape[2]
        least = 0 if before is None else frames_per_latent
        is_whole = num_frames >= least and num_frames % frames_per_latent == 0
        if is_whole and shape[3] % stride == shape[4] % stride == 0:
            return
    frames_word = f"1 + {frames_per_latent} n" if before is None else f"{frames_per_latent} n"
    raise EditorError(
        f"got frames of shape {shape}, expected (B, 3, {frames_word}, H, W) with H and W multiples "
        f"of {stride}{_like(before)}",
        hint="Pass codec.frames_for(n) frames; call reset() before another picture size.",
    )


def check_latents(latents: Tensor, before: tuple[int, ...] | None, channels: int) -> None:
    """Raise EditorError unless ``latents`` (B, C, t, h, w) follow a call of shape ``before``."""
    shape = tuple(latents.shape)
    is_latents = len(shape) == 5 and shape[1] == channels and shape[2] > 0
    if is_latents and _keeps_size(shape, before):
        return
    raise EditorError(
        f"got latents of shape {shape}, expected (B, {channels}, t, h, w){_like(before)}",
        hint="Call reset() before another picture size or batch.",
    )


def _keeps_size(shape: tuple[int, ...], before: tuple[int, ...] | None) -> bool:
    return before is None or shape[:2] + shape[3:] == before[:2] + before[3:]


def _like(before: tuple[int, ...] | None) -> str:
    return "" if before is None else f", in all but time as {before} before"
