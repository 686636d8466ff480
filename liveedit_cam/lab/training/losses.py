"""Losses of the diffusion stages. Knows tensors only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.config import Prediction


def channel_weights(scale: Tensor) -> Tensor:
    """Weight (C,) of each latent channel, mean 1: its standard deviation in pixels.

    Latents have unit variance; plain mean squares would count a detail nobody sees like the
    brightness of a block, squared deviations (pixel error) would leave out texture.
    """
    return scale / scale.mean()


def edit_loss(
    x0: Tensor,
    target: Tensor,
    source: Tensor,
    weights: Tensor,
    known: Tensor | None = None,
    expected: Tensor | None = None,
) -> Tensor:
    """Squared error of x0 (B, C, T, H, W), each sample relative to the size of such changes.

    A small edit would vanish in the mean; a sample's error is divided by its own mean squared
    change (plus 0.01) to the power 0.8, so that a cup counts nearly as much as a background. Then
    a model in doubt learns to do nothing, because pairs without a change count most. ``expected``
    (B,) is what edits of its kind change in the mean: with it that takes the place of the own
    change, more mildly (plus 0.05, to the power 0.5), since a kind holds edits of all sizes; with
    0.01 and 0.8 a few large ones drowned the rest, and 330 iterations learnt next to nothing.
    ``known`` (B, T, H, W) leaves out cells whose target nobody knows.
    """
    weights = weights.view(1, -1, 1, 1, 1)
    square = (x0 - target).square() * weights
    moved = (target - source).square() * weights
    if expected is not None:
        square = square * inside_weights(moved.mean(1))[:, None]
    error = (square if known is None else square * known[:, None]).mean((1, 2, 3, 4))
    if expected is not None:
        return (error / (0.05 + expected) ** 0.5).mean()
    change = moved.mean((1, 2, 3, 4))
    return (error / (0.01 + change) ** 0.8).mean()


MOST_INSIDE, MOST_LEFT = 2.5, 4.0
"""A cell of a small thing counts at most so many times as much as one around it: where the thing is
what an edit changes, and where it is what an edit leaves."""
LEFT_ALONE = 0.02
"""Of the mean squared change: a cell that changes by less is one that the edit leaves."""


def inside_weights(change: Tensor) -> Tensor:
    """How much each cell counts, by ``change`` (B, T, H, W), its mean squared change; that shape.

    Squared error answers doubt with its probability: a cell that is hair in two of five cases gets
    two fifths of the edit, and all such cells of a small thing are lost. Its mask overlaps best
    with the true one where cells above about half of the overlap reached are taken (Lipton et al.,
    "Thresholding classifiers to maximize F1 score", 2014), below one half. So what is changed
    counts sqrt((1 - s) / s) times as much, s being its share of the picture, 1 to ``MOST_INSIDE``;
    and the face in "everything except my face", where the rest is most of the picture, likewise.
    """
    mean = change.mean((1, 2, 3), keepdim=True)
    inside, left = (change > 0.5 * mean).float(), (change < LEFT_ALONE * mean).float()
    return 1 + (_boost(inside, MOST_INSIDE) - 1) * inside + (_boost(left, MOST_LEFT) - 1) * left


def _boost(cells: Tensor, most: float) -> Tensor:
    """sqrt((1 - s) / s) of the share s that ``cells`` (B, T, H, W) are, 1..most; (B, 1, 1, 1)."""
    share = cells.mean((1, 2, 3), keepdim=True).clamp_min(1e-3)
    return ((1 - share) / share).sqrt().clamp(1, most)


def diffusion_loss(
    prediction: Prediction,
    x0: Tensor,
    target: Tensor,
    source: Tensor,
    sigma: Tensor,
    weights: Tensor,
    known: Tensor | None = None,
    expected: Tensor | None = None,
) -> Tensor:
    """The loss of one noise level: flow matching, or ``edit_loss`` for models of the change.

    The flow's error is (x0 - target) / sigma; ``sigma`` (B, T). For a network whose output is the
    change that quotient has no bound near sigma 0, so its error is measured in x0; ``known`` and
    ``expected`` are its alone.
    """
    if prediction == "source_change":
        return edit_loss(x0, target, source, weights, known, expected)
    error = flow_error(x0, target, sigma)
    return (error * bell_weight(1000 * sigma)).mean()


def flow_error(x0: Tensor, target: Tensor, sigma: Tensor) -> Tensor:
    """Mean squared error of the flow, (B, T), of x0 (B, C, T, H, W) at ``sigma`` (B, T)."""
    error = ((x0 - target) / sigma[:, None, :, None, None].clamp_min(1e-3)).square()
    return error.mean((1, 3, 4))


LEAST_WEIGHT = 0.1
"""Of a timestep, before all are normalised to mean 1. Wan's own bell ends at zero, and a sampler of
four steps begins at that end: t = 1000 would never be learnt."""


def bell_weight(timestep: Tensor) -> Tensor:
    """Weight of a timestep 0..1000: exp(-2 ((t - 500) / 1000)^2) minus its minimum, mean 1.

    The training weight of Wan2.1's flow models (facts 7.2), normalised over the plain table, with
    LEAST_WEIGHT of its mean mixed in: no timestep counts nothing.
    """
    table = torch.arange(1, 1001, dtype=torch.float64)
    bell = torch.exp(-2 * ((table - 500) / 1000) ** 2)
    mean = float((bell - bell.min()).mean())
    weight = torch.exp(-2 * ((timestep.double() - 500) / 1000) ** 2) - bell.min()
    mixed = (1 - LEAST_WEIGHT) * weight.clamp_min(0) / mean + LEAST_WEIGHT
    return mixed.to(timestep)


def parts_loss(logits: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy of what each cell is; logits and shares (B, T, h, w, P), weights (P,).

    ``shares`` of a cell add up to how much of it is known, 0 for a pair without labels.
    """
    weighted = shares * weights
    return -(weighted * logits.log_softmax(-1)).sum() / weighted.sum().clamp_min(1.0)


def named_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of where named things are, plus Dice over those that are there.

    logits and masks (N, h, w). A small thing hardly shows in the mean over cells; Dice weighs all
    things alike (Milletari et al., "V-Net", 2016, with squares).
    """
    if len(masks) == 0:
        return logits.sum() * 0.0
    loss = F.binary_cross_entropy_with_logits(logits, masks)
    is_there = masks.sum((1, 2)) > 1
    if bool(is_there.any()):
        found, there = logits[is_there].sigmoid().flatten(1), masks[is_there].flatten(1)
        both = (found * there).sum(1) / (found.square() + there.square()).sum(1)
        loss = loss + (1 - 2 * both).mean()
    return loss


def subject_loss(logits: Tensor, subject: Tensor, has_subject: Tensor) -> Tensor:
    """Cross-entropy of the auxiliary subject mask; logits and subject (B, T, h, w).

    ``has_subject`` bool (B,) leaves out samples whose mask means nothing.
    """
    if not bool(has_subject.any()):
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[has_subject], subject[has_subject])
