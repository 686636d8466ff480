"""What is where in the source: a small U-Net over its latents, read by the transformer's tokens.

A transformer over cells of 16 pixels learns slowly what hair or a car looks like, and from a
thousand pictures it hardly does. Convolutions learn it sooner, and can be taught alone, by pixel
labels (U-Net: Ronneberger et al., 2015; convolutions before a transformer: Xiao et al., "Early
convolutions help transformers see better", 2021). Large models need none: they saw enough pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_weights

from liveedit_cam.model.config import SourceEncoderConfig

Sought = tuple[Tensor, Tensor]
"""What the maps look for: a direction of the features, (B, maps, F), and a bias, (B, maps, 1)."""


class SourceEncoder(nn.Module):
    """Features of each latent cell, from latents at full, half and a quarter of their sides."""

    def __init__(
        self, config: SourceEncoderConfig, latent_channels: int, *, normalises: bool = False
    ) -> None:
        """``normalises`` puts a batch norm behind each convolution, to learn by; ``folded`` takes
        them out.
        """
        super().__init__()
        fine, middle, coarse = config.widths

        def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
            bare = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not normalises)
            return nn.Sequential(bare, *([nn.BatchNorm2d(outputs)] if normalises else ()))

        def stack(width: int, count: int, inner: int) -> nn.Sequential:
            return nn.Sequential(
                *(Residual(conv(width, inner), conv(inner, width)) for _ in range(count))
            )

        self.stem, self.fine = conv(latent_channels, fine), stack(fine, config.depths[0], fine)
        self.down_middle = conv(fine, middle, 3, 2)
        self.middle = stack(middle, config.depths[1], middle)
        self.down_coarse = conv(middle, coarse, 3, 2)
        self.coarse = stack(coarse, config.depths[2], middle)
        self.everywhere = nn.Linear(coarse, coarse)
        self.up_middle = conv(coarse + middle, middle, 1)
        self.merged_middle = stack(middle, 2, middle)
        self.up_fine = conv(middle + fine, fine, 1)
        self.merged_fine = stack(fine, 1, fine)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # as the processor's convolutions want them
                module.weight.data = module.weight.contiguous(memory_format=torch.channels_last)

    def forward(self, source: Tensor) -> Tensor:
        """Latents (B, C, T, H, W), each by itself, to features (B, widths[0], T, H, W)."""
        features = self.of_latents(source.transpose(1, 2).flatten(0, 1))
        return features.unflatten(0, (len(source), -1)).transpose(1, 2)

    def of_latents(self, source: Tensor) -> Tensor:
        """The same of (N, C, H, W), to (N, widths[0], H, W)."""
        x = source.contiguous(memory_format=torch.channels_last)
        fine = self.fine(F.silu(self.stem(x)))
        middle = self.middle(F.silu(self.down_middle(fine)))
        coarse = self.coarse(F.silu(self.down_coarse(middle)))
        coarse = coarse + self.everywhere(coarse.mean((2, 3)))[:, :, None, None]
        middle = self.merged_middle(F.silu(self.up_middle(_beside(coarse, middle))))
        features: Tensor = self.merged_fine(F.silu(self.up_fine(_beside(middle, fine))))
        return features


class Match(nn.Module):
    """Where the source is like what the instruction names: cross-attention without its softmax.

    The first map is taught by the masks of what is named, the others find their own use.
    """

    def __init__(self, config: SourceEncoderConfig, width: int) -> None:
        """``width`` of the instructions' embeddings."""
        super().__init__()
        self.num_maps = config.num_matches
        self.query = nn.Linear(width, self.num_maps * (config.widths[0] + 1))

    def sought(self, embeddings: Tensor) -> Sought:
        """What instructions look for; embeddings (B, L, D), whose first row sums them up."""
        query = self.query(embeddings[:, 0]).unflatten(-1, (self.num_maps, -1))
        return query[..., :-1], query[..., -1:]

    def forward(self, features: Tensor, sought: Sought) -> Tensor:
        """features (B, F, T, H, W) to logits (B, maps, T, H, W)."""
        query, bias = sought
        found = torch.einsum("bmf,bfthw->bmthw", query, features)
        logits: Tensor = found / features.shape[1] ** 0.5 + bias[..., None, None]
        return logits


class Residual(nn.Module):
    """x plus two convolutions of it."""

    def __init__(self, first: nn.Sequential, second: nn.Sequential) -> None:
        super().__init__()
        self.first, self.second = first, second
        if isinstance(norm := second[-1], nn.BatchNorm2d):
            nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) of any kind; the same out."""
        out: Tensor = x + self.second(F.silu(self.first(x)))
        return out


@torch.no_grad()
def folded(trained: SourceEncoder) -> dict[str, Tensor]:
    """The weights of the same network without norms: each is part of its convolution."""
    weights: dict[str, Tensor] = {}
    for name, module in trained.named_modules():
        if isinstance(module, nn.Linear):
            weights |= {f"{name}.weight": module.weight, f"{name}.bias": module.bias}
        elif isinstance(module, nn.Sequential) and isinstance(module[0], nn.Conv2d):
            conv, norm = module[0], module[1]
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            weight, bias = fuse_conv_bn_weights(
                conv.weight, None, norm.running_mean, norm.running_var, norm.eps,
                norm.weight, norm.bias,
            )  # fmt: skip
            weights |= {f"{name}.0.weight": weight, f"{name}.0.bias": bias}
    return {name: weight.detach().clone() for name, weight in weights.items()}


@torch.no_grad()
def unfold(network: SourceEncoder, weights: Mapping[str, Tensor], latents: Tensor) -> None:
    """Inverse of ``folded``: let ``network``, which normalises, go on from such weights.

    Its norms get the scales and biases with which they change nothing on ``latents`` (N, C, H, W).
    """
    bias_of: dict[nn.Module, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear):
            module.weight.copy_(weights[f"{name}.weight"])
            module.bias.copy_(weights[f"{name}.bias"])
        elif isinstance(module, nn.Sequential) and isinstance(conv := module[0], nn.Conv2d):
            conv.weight.copy_(weights[f"{name}.0.weight"])
            bias_of[module[1]] = weights[f"{name}.0.bias"].to(latents.device)

    def take_off(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        mean, var = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3), correction=0)
        norm.weight.copy_((var + norm.eps).sqrt())
        norm.bias.copy_(bias_of[norm] + mean)

    hooks = [norm.register_forward_pre_hook(take_off) for norm in bias_of]
    network.train().of_latents(latents)
    for hook in hooks:
        hook.remove()


def _beside(coarse: Tensor, fine: Tensor) -> Tensor:
    """``coarse`` (N, A, h, w) at the size of ``fine`` (N, B, H, W), and that: (N, A + B, H, W)."""
    return torch.cat((F.interpolate(coarse, size=fine.shape[2:], mode="nearest"), fine), 1)
