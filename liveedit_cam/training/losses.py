"""Losses of the diffusion stages. Knows tensors only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def channel_weights(scale: Tensor) -> Tensor:
    """Weight (C,) of each latent channel, mean 1: its standard deviation in pixels.

    Latents have unit variance; plain mean squares would count a detail nobody sees like the
    brightness of a block, squared deviations (pixel error) would leave out texture.
    """
    return scale / scale.mean()


def edit_loss(x0: Tensor, target: Tensor, source: Tensor, weights: Tensor) -> Tensor:
    """Squared error of x0 (B, C, T, H, W), each sample relative to the size of its change.

    A small edit would vanish in the mean; a sample's error is divided by its own mean squared
    change (plus 0.02) to the power 0.65, so that a cup counts nearly as much as a background.
    """
    weights = weights.view(1, -1, 1, 1, 1)
    error = ((x0 - target).square() * weights).mean((1, 2, 3, 4))
    change = ((target - source).square() * weights).mean((1, 2, 3, 4))
    return (error / (0.02 + change) ** 0.65).mean()


def subject_loss(logits: Tensor, subject: Tensor, has_subject: Tensor) -> Tensor:
    """Cross-entropy of the auxiliary subject mask; logits and subject (B, T, h, w).

    ``has_subject`` bool (B,) leaves out samples whose mask means nothing.
    """
    if not bool(has_subject.any()):
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[has_subject], subject[has_subject])


def psnr(picture: Tensor, reference: Tensor, mask: Tensor | None = None) -> float:
    """PSNR in dB of pictures in [0, 1] of shape (..., 3), inside ``mask`` (...) where given."""
    error = (picture - reference).square().mean(-1)
    weight = torch.ones_like(error) if mask is None else mask
    mean = (error * weight).sum() / weight.sum().clamp_min(1e-6)
    return float(-10 * torch.log10(mean.clamp_min(1e-10)))
