"""What lies between the convolutions of Wan's codec, as one function each.

diffusers' residual block normalises, activates, joins the past, pads and adds biases in a dozen
steps, each of which reads and writes the widest tensors there are: on an H100 they took 150 of the
236 ms that a chunk's decoding took, the convolutions 88. Here a block is two functions around
two bare convolutions, exact but for rounding, and a compiler makes one kernel or two of each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveedit_cam.model.speed.compiling import Compiler, guarded

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_wan import (
        AutoencoderKLWan,
        WanResidualBlock,
        WanRMS_norm,
    )

Feature = Tensor | Literal["Rep"] | None
"""Last frames a causal layer saw; None before its first call, "Rep" after the first call of one
that doubles the frames, which only marks it (diffusers' word)."""

CACHED_FRAMES = 2
"""Past frames that a causal convolution of three sees."""


def activated(x: Tensor, bias: Tensor | None, gamma: Tensor) -> Tensor:
    """SiLU of x (B, C, T, H, W) plus ``bias`` (C,), RMS-normalised, times ``gamma`` (C, 1, 1, 1).

    Of x's type; the norm is computed in float32.
    """
    biased = x if bias is None else x + bias.view(-1, 1, 1, 1)
    direction = F.normalize(biased.float(), dim=1).to(x.dtype)
    return F.silu(direction * x.shape[1] ** 0.5 * gamma)


def before_convolution(
    x: Tensor, bias: Tensor | None, gamma: Tensor, past: Tensor | None
) -> tuple[Tensor, Tensor]:
    """What a bare convolution of three takes of x (B, C, T, H, W), and what the next call must see.

    ``activated``, behind ``past`` (B, C, 1 or 2, H, W) or zeros, one pixel of zeros around it:
    (B, C, T + 2, H + 2, W + 2). The second is its last two frames, or one where it saw no more;
    with channels last whoever made it, or a compiler would take it for another shape.
    """
    new = activated(x, bias, gamma)
    both = new if past is None else torch.cat((past, new), dim=2)
    missing = CACHED_FRAMES - (0 if past is None else past.shape[2])
    return F.pad(both, (1, 1, 1, 1, missing, 0)), both[:, :, -CACHED_FRAMES:].clone(
        memory_format=torch.channels_last_3d
    )


def after_convolution(y: Tensor, bias: Tensor, shortcut: Tensor) -> Tensor:
    """y plus ``bias`` (C,) plus ``shortcut``; both (B, C, T, H, W)."""
    return y + bias.view(-1, 1, 1, 1) + shortcut


def doubled(x: Tensor) -> Tensor:
    """Rows and columns of x (N, C, H, W) twice each: (N, C, 2 H, 2 W), in its type.

    diffusers goes to float32 and back for it: the same values (a copy rounds nothing), for twice
    the memory of the widest tensors there are.
    """
    return F.interpolate(x, scale_factor=2.0, mode="nearest-exact")


@dataclass(frozen=True, slots=True)
class CodecParts:
    """The functions between the convolutions; exchangeable for faster ones of the same meaning."""

    activated: Callable[..., Tensor] = activated
    before: Callable[..., tuple[Tensor, Tensor]] = before_convolution
    after: Callable[..., Tensor] = after_convolution
    doubled: Callable[..., Tensor] = doubled


PLAIN_CODEC_PARTS = CodecParts()


def compiled_codec_parts(compiler: Compiler) -> CodecParts:
    """The parts through ``compiler``, plain from the first thing on that it cannot do."""
    plain = PLAIN_CODEC_PARTS
    return CodecParts(
        activated=guarded(plain.activated, compiler),
        before=guarded(plain.before, compiler),
        after=guarded(plain.after, compiler),
        doubled=guarded(plain.doubled, compiler),
    )


def fuse(vae: AutoencoderKLWan, parts: CodecParts = PLAIN_CODEC_PARTS) -> None:
    """Let ``vae``'s blocks, heads and doublings run by ``parts``, in place.

    Exact but for rounding; weights keep their names. A second call changes nothing but the parts.
    """
    from diffusers.models.autoencoders.autoencoder_kl_wan import WanResidualBlock

    for name, module in list(vae.named_modules()):
        if isinstance(module, WanResidualBlock):
            vae.set_submodule(name, FusedBlock(module, parts))
        elif isinstance(module, nn.Upsample):
            assert module.mode == "nearest-exact", f"{name} upsamples by {module.mode}"
            assert module.scale_factor == (2.0, 2.0), f"{name} scales by {module.scale_factor}"
            vae.set_submodule(name, Doubling(parts))
        elif isinstance(module, FusedBlock | FusedNorm | Doubling):
            module.parts = parts
    for network in (vae.encoder, vae.decoder):
        if not isinstance(network.norm_out, FusedNorm):
            network.set_submodule("norm_out", FusedNorm(network.norm_out, parts))
            network.nonlinearity = nn.Identity()


class Doubling(nn.Module):
    """``doubled`` where diffusers upsamples."""

    def __init__(self, parts: CodecParts) -> None:
        super().__init__()
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2 H, 2 W)."""
        return self.parts.doubled(x)


class FusedNorm(nn.Module):
    """Norm and activation before the last convolution of a network."""

    def __init__(self, norm: WanRMS_norm, parts: CodecParts) -> None:
        """Take over the weight of ``norm``."""
        super().__init__()
        self.gamma = norm.gamma
        self.parts = parts

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W), shape and type kept."""
        return self.parts.activated(x, None, self.gamma)


class FusedBlock(nn.Module):
    """diffusers' WanResidualBlock for inference on a stream, by the parts; weights are shared."""

    def __init__(self, block: WanResidualBlock, parts: CodecParts) -> None:
        """Take over the layers of ``block``."""
        super().__init__()
        self.norm1, self.conv1 = block.norm1, block.conv1
        self.norm2, self.conv2 = block.norm2, block.conv2
        self.conv_shortcut = block.conv_shortcut
        self.parts = parts

    def forward(
        self, x: Tensor, feat_cache: list[Feature] | None = None, feat_idx: list[int] | None = None
    ) -> Tensor:
        """(B, C, T, H, W) to (B, C', T, H, W); renews its two places in ``feat_cache``.

        Without one it sees zeros before x, as diffusers' block does.
        """
        features: list[Feature] = [None, None] if feat_cache is None else feat_cache
        at = [0] if feat_idx is None else feat_idx
        first, second = at[0], at[0] + 1
        at[0] += 2
        parts = self.parts if _is_steady(features[first]) else PLAIN_CODEC_PARTS
        y, features[first] = parts.before(x, None, self.norm1.gamma, features[first])
        y = F.conv3d(y, self.conv1.weight)
        gamma = self.norm2.gamma
        y, features[second] = parts.before(y, self.conv1.bias, gamma, features[second])
        y = F.conv3d(y, self.conv2.weight)
        return parts.after(y, self.conv2.bias, self.conv_shortcut(x))


def _is_steady(past: Feature) -> bool:
    """Whether a block saw all it ever sees; no kernel is made for what comes before."""
    assert past is None or isinstance(past, Tensor), f"got {past} as the past of a block"
    return past is not None and past.shape[2] == CACHED_FRAMES
