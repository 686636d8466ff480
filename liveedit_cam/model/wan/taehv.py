"""The light codec: TAEHV's tiny autoencoder for Wan2.1 latents (taew2_1), as a stream.

About 11 million weights instead of 127. Architecture and tensor names are TAEHV's; here a clip is
one group of a stream and a stream a clip in groups, since every layer with a past gets it from
outside. The published weights see pixels in [0, 1] and Wan's normalised latents; LiveEdit lives in
the bright half of that range, and this file does the mapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveedit_cam.model.speed.compiling import Compiler, guarded
from liveedit_cam.model.stream_codec import check_frames, check_latents
from liveedit_cam.model.weight_files import load_weights

FRAMES_PER_LATENT = 4
SPATIAL_STRIDE = 8
NUM_START_FRAMES = 3
"""Frames the first latent decodes to before frame 0, and copies of frame 0 its encoding needs."""

Past = Tensor | None
"""Newest frame (B, C, h, w) that a layer saw; None at the start of a stream, or for most layers."""


def _conv3x3(width_in: int, width_out: int, stride: int = 1, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=bias)


class SoftClamp(nn.Module):
    """Latents to (-3, 3), smoothly."""

    def forward(self, x: Tensor) -> Tensor:
        """3 tanh(x / 3)."""
        return 3 * torch.tanh(x / 3)


class MemoryBlock(nn.Module):
    """A residual block that also sees its own input one frame earlier (zeros at the start)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv3x3(2 * width, width),
            nn.ReLU(),
            _conv3x3(width, width),
            nn.ReLU(),
            _conv3x3(width, width),
        )

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """x (B, T, C, h, w); ``past`` is the frame before the first of them."""
        first = torch.zeros_like(x[:, 0]) if past is None else past
        before = torch.cat((first.unsqueeze(1), x[:, :-1]), dim=1)
        h = self.conv(torch.cat((x, before), dim=2).flatten(0, 1))
        return F.relu(h.unflatten(0, x.shape[:2]) + x)


class TimePool(nn.Module):
    """``stride`` frames to one: their channels in order of time, then a 1x1 convolution."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(stride * width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N stride, C, h, w) to (N, C, h, w)."""
        return self.conv(x.unflatten(0, (-1, self.stride)).flatten(1, 2))


class TimeGrow(nn.Module):
    """One frame to ``stride``: a 1x1 convolution to the channels of all, in order of time."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width, stride * width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to (N stride, C, h, w)."""
        return self.conv(x).unflatten(1, (self.stride, -1)).flatten(0, 1)


def _encoder(width: int, latent_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [_conv3x3(3, width), nn.ReLU()]
    for time_stride in (2, 2, 1):
        layers += [TimePool(width, time_stride), _conv3x3(width, width, 2, bias=False)]
        layers += [MemoryBlock(width) for _ in range(3)]
    return nn.Sequential(*layers, _conv3x3(width, latent_channels))


def _decoder(widths: Sequence[int], latent_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = [SoftClamp(), _conv3x3(latent_channels, widths[0]), nn.ReLU()]
    for width, after, time_stride in zip(widths, widths[1:], (1, 2, 2), strict=False):
        layers += [MemoryBlock(width) for _ in range(3)]
        layers += [nn.Upsample(scale_factor=2), TimeGrow(width, time_stride)]
        layers += [_conv3x3(width, after, bias=False)]
    return nn.Sequential(*layers, nn.ReLU(), _conv3x3(widths[-1], 3))


class TAEHV(nn.Module):
    """The two networks of taew2_1 under their published names; knows no pixel range."""

    def __init__(
        self, latent_channels: int = 16, widths: Sequence[int] = (256, 128, 64, 64)
    ) -> None:
        """``widths`` of the decoder's three levels and its end; the encoder has the last."""
        super().__init__()
        self.latent_channels = latent_channels
        self.encoder = _encoder(widths[-1], latent_channels)
        self.decoder = _decoder(widths, latent_channels)


def run_group(layers: nn.Sequential, x: Tensor, pasts: Sequence[Past]) -> tuple[Tensor, list[Past]]:
    """The next frames or latents (B, T, C, h, w) of a stream through ``layers``.

    ``pasts`` has one entry per layer; the second is what the next call needs. An encoder takes a
    multiple of 4 frames.
    """
    newest: list[Past] = []
    batch = x.shape[0]
    for layer, past in zip(layers, pasts, strict=True):
        if isinstance(layer, MemoryBlock):
            newest.append(x[:, -1].clone())  # a view would keep the whole group alive
            x = layer(x, past)
        else:
            newest.append(None)
            x = layer(x.flatten(0, 1)).unflatten(0, (batch, -1))
    return x, newest


class Direction:
    """One network of a stream: what it saw, and the fast way through it. One thread owns it."""

    def __init__(self, layers: nn.Sequential, compiler: Compiler | None) -> None:
        """``compiler`` makes one of all its layers, for a stream under way."""
        self._layers = layers

        def light_network(x: Tensor, pasts: Sequence[Past]) -> tuple[Tensor, list[Past]]:
            return run_group(layers, x, pasts)

        self._plain = light_network
        self._fast = light_network if compiler is None else guarded(light_network, compiler)
        self.reset()

    def reset(self) -> None:
        """Start a new stream."""
        self._pasts: list[Past] = [None] * len(self._layers)
        self.shape: tuple[int, ...] | None = None  # of the newest call's video

    def __call__(self, video: Tensor, x: Tensor) -> Tensor:
        """``x`` (B, T, C, h, w), made of ``video``, through the network."""
        run = self._plain if self.shape is None else self._fast
        x, self._pasts = run(x, self._pasts)
        self.shape = tuple(video.shape)
        return x


class TaehvCodec:
    """One stream through a TAEHV; a StreamCodec. One thread owns it; weights may be shared."""

    def __init__(self, tae: TAEHV, compiler: Compiler | None = None) -> None:
        """Use ``tae`` on its device and in its dtype; another stream may use it too.

        ``compiler`` makes its networks faster, where it can.
        """
        self.tae = tae
        self._encoder = Direction(tae.encoder, compiler)
        self._decoder = Direction(tae.decoder, compiler)

    @property
    def latent_channels(self) -> int:
        return self.tae.latent_channels

    @property
    def spatial_stride(self) -> int:
        return SPATIAL_STRIDE

    def reset(self) -> None:
        self._encoder.reset()
        self._decoder.reset()

    def frames_for(self, num_latents: int) -> int:
        missing = NUM_START_FRAMES if self._encoder.shape is None else 0
        return FRAMES_PER_LATENT * num_latents - missing

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents of the next frames; shapes as StreamCodec says.

        Wan makes a latent of frame 0 alone, TAEHV of 4 frames: it gets three copies in front.
        """
        check_frames(frames, self._encoder.shape, FRAMES_PER_LATENT, SPATIAL_STRIDE)
        x = self._to_weights((frames + 1) / 2)
        if self._encoder.shape is None:
            x = torch.cat((x[:, :1].expand(-1, NUM_START_FRAMES, -1, -1, -1), x), dim=1)
        return self._encoder(frames, x).transpose(1, 2).float()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The next frames, clamped to [0, 1]; shapes as StreamCodec says."""
        check_latents(latents, self._decoder.shape, self.latent_channels)
        is_first = self._decoder.shape is None
        x = self._decoder(latents, self._to_weights(latents))
        if is_first:
            x = x[:, NUM_START_FRAMES:]
        return (2 * x.transpose(1, 2).float() - 1).clamp(0, 1)

    def _to_weights(self, video: Tensor) -> Tensor:
        """(B, C, T, h, w) to (B, T, C, h, w) on the device and in the dtype of the weights."""
        first = next(self.tae.parameters())
        return video.to(first).transpose(1, 2)


def load_taehv(
    path: Path, device: torch.device, dtype: torch.dtype, *, compiler: Compiler | None = None
) -> TaehvCodec:
    """The codec in the safetensors file ``path`` (taew2_1), as a new stream. Raises WeightsError.

    ``path`` has exactly the 128 tensors of ``TAEHV()``.
    """

    tae = TAEHV()
    load_weights(tae, path)
    return TaehvCodec(tae.to(device, dtype).eval().requires_grad_(False), compiler)
