"""The video codec of nano: 4 frames to one latent and back, as a stream or as a whole clip.

The encoder is the Karhunen-Loeve transform of 8x8 pixels x 4 frames, so a latent is a linear
function of its pixels: a colour edit is the same small matrix at every cell, which is what a
small editor can learn. The decoder is the transpose plus a learned residual that sees the
latent's neighbours and the latent before it (causal), and mends block borders and lost detail.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveedit_cam.errors import EditorError
from liveedit_cam.model.config import CodecConfig


class Codec(nn.Module):
    """Encode (B, 3, T, H, W) in [0, 1] to (B, C, T/4, H/8, W/8), unit variance, and decode it."""

    mean: Tensor
    basis: Tensor
    scale: Tensor

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.block_values = 3 * config.frames_per_latent * config.spatial_stride**2
        self.register_buffer("mean", torch.zeros(self.block_values))
        self.register_buffer("basis", torch.zeros(config.latent_channels, self.block_values))
        self.register_buffer("scale", torch.ones(config.latent_channels))
        width = config.decoder_width
        self.mix = nn.Conv2d(2 * config.latent_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.GELU("tanh"),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(config.decoder_blocks)
        )
        self.residual = nn.Conv2d(width, self.block_values, 1)
        nn.init.zeros_(self.residual.weight)
        assert self.residual.bias is not None
        nn.init.zeros_(self.residual.bias)

    @torch.no_grad()
    def fit(self, blocks: Tensor) -> None:
        """Set the transform to the principal axes of ``blocks`` (N, block values), in [0, 1]."""
        values = blocks.double()
        mean = values.mean(0)
        covariance = (values - mean).T @ (values - mean) / len(values)
        variance, axes = torch.linalg.eigh(covariance)
        order = variance.argsort(descending=True)[: self.config.latent_channels]
        self.mean.copy_(mean)
        self.basis.copy_(axes[:, order].T)
        self.scale.copy_(variance[order].sqrt())

    def split_blocks(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) to (B, block values, T/4, H/8, W/8). Raises EditorError for odd sizes."""
        s, t = self.config.spatial_stride, self.config.frames_per_latent
        if frames.shape[2] % t or frames.shape[3] % s or frames.shape[4] % s:
            raise EditorError(
                f"got frames of shape {tuple(frames.shape)}, expected (B, 3, T, H, W) with T a "
                f"multiple of {t}, H and W of {s}",
                hint="Resize the picture and pass whole chunks.",
            )
        x = frames.unflatten(4, (-1, s)).unflatten(3, (-1, s)).unflatten(2, (-1, t))
        return x.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)

    def join_blocks(self, blocks: Tensor) -> Tensor:
        """Inverse of ``split_blocks``."""
        s, t = self.config.spatial_stride, self.config.frames_per_latent
        x = blocks.unflatten(1, (3, t, s, s))  # (B, 3, t, s, s, T, h, w)
        return x.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, C, T, h, w) of frames (B, 3, 4T, H, W) in [0, 1].

        Needs no state: a latent depends on its own 4 frames only.
        """
        blocks = self.split_blocks(frames)
        weight = self.basis / self.scale.unsqueeze(1)
        centred = blocks - self.mean.view(1, -1, 1, 1, 1).to(blocks)
        return torch.einsum("cv,bvthw->bcthw", weight.to(blocks), centred)

    def decode(self, latents: Tensor, before: Tensor | None = None) -> Tensor:
        """Frames (B, 3, 4T, H, W) in [0, 1] of latents (B, C, T, h, w).

        ``before`` is the latent (B, C, 1, h, w) that came before the first one; None = a new
        stream, whose first latent stands for its own past. Decoding a clip latent by latent with
        ``before`` equals decoding it whole.
        """
        previous = latents[:, :, :1] if before is None else before
        past = torch.cat((previous, latents[:, :, :-1]), dim=2)
        batch, steps = latents.shape[0], latents.shape[2]
        pairs = torch.cat((latents, past), dim=1).transpose(1, 2).flatten(0, 1)  # (B T, 2C, h, w)
        pairs = pairs.contiguous(memory_format=torch.channels_last)
        h = self.mix(pairs)
        for block in self.blocks:
            h = h + block(h)
        learned = self.residual(F.gelu(h, approximate="tanh"))
        learned = learned.unflatten(0, (batch, steps)).transpose(1, 2)
        return self.join_blocks(self._linear(latents) + learned).clamp(0, 1)

    def _linear(self, latents: Tensor) -> Tensor:
        """The transposed transform: (B, C, T, h, w) to (B, block values, T, h, w)."""
        weight = (self.basis * self.scale.unsqueeze(1)).to(latents)
        mean = self.mean.view(1, -1, 1, 1, 1).to(latents)
        return torch.einsum("cv,bcthw->bvthw", weight, latents) + mean


class CodecStream:
    """One stream through a Codec; a StreamCodec. One thread owns it."""

    def __init__(self, codec: Codec) -> None:
        """Use ``codec`` where it lies; another stream may use it too."""
        self.codec = codec
        self._last: Tensor | None = None

    @property
    def latent_channels(self) -> int:
        return self.codec.config.latent_channels

    @property
    def spatial_stride(self) -> int:
        return self.codec.config.spatial_stride

    def frames_for(self, num_latents: int) -> int:
        return self.codec.config.frames_per_latent * num_latents

    def encode(self, frames: Tensor) -> Tensor:
        return self.codec.encode(frames)

    def decode(self, latents: Tensor) -> Tensor:
        frames = self.codec.decode(latents, self._last)
        self._last = latents[:, :, -1:]
        return frames

    def reset(self) -> None:
        self._last = None
