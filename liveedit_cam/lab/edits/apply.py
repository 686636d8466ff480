"""Exact edits: the target picture and the exact mask of every ``EditSpec``. Knows no model.

An edit is a pure function of float32 frames (T, H, W, 3) in [0, 1] and a subject mask (T, H, W) in
[0, 1]; it returns the target and the exact edit mask. Training makes its pairs with it, and
evaluation measures against it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from liveedit_cam.lab.edits.colours import colour_membership, smoothstep
from liveedit_cam.lab.edits.looks import look, repaint
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope

SOFT_BORDER = 0.02
"""Half the width of a region's soft border, as a share of the picture."""


def apply_edit(frames: Tensor, subject: Tensor, spec: EditSpec) -> tuple[Tensor, Tensor]:
    """Return the exact target (T, H, W, 3) and the edit mask (T, H, W) of ``spec``."""
    target, mask = _apply_one(frames, subject, spec)
    if spec.then is None:
        return target, mask
    target, second = apply_edit(target, subject, spec.then)
    return target, torch.maximum(mask, second)


def _apply_one(frames: Tensor, subject: Tensor, spec: EditSpec) -> tuple[Tensor, Tensor]:
    if spec.family is Family.IDENTITY:
        return frames.clone(), torch.zeros_like(subject)
    mask = scope_mask(subject, spec.scope)
    if spec.family is Family.REPLACE_COLOUR:
        assert spec.from_colour is not None, "REPLACE_COLOUR without from_colour"
        mask = mask * colour_membership(frames, spec.from_colour)
    edited = look(frames, mask, spec)
    if spec.family is Family.RECOLOUR and spec.scope is Scope.NAMED and spec.colour is not None:
        edited = repaint(frames, spec.colour)
    weight = spec.strength * mask.unsqueeze(-1)
    return torch.lerp(frames, edited, weight).clamp(0, 1), mask


def scope_mask(subject: Tensor, scope: Scope) -> Tensor:
    """Where ``scope`` is, 0..1; same shape as ``subject`` (T, H, W)."""
    if scope is Scope.WHOLE:
        return torch.ones_like(subject)
    if scope in (Scope.SUBJECT, Scope.NAMED):
        return subject
    if scope is Scope.BACKGROUND:
        return 1 - subject
    _, height, width = subject.shape
    x = (torch.arange(width, dtype=subject.dtype, device=subject.device) + 0.5) / width
    y = (torch.arange(height, dtype=subject.dtype, device=subject.device) + 0.5) / height
    column, row = x.view(1, 1, -1), y.view(1, -1, 1)
    masks = {
        Scope.LEFT: _below(column, 0.5),
        Scope.RIGHT: 1 - _below(column, 0.5),
        Scope.TOP: _below(row, 0.5),
        Scope.BOTTOM: 1 - _below(row, 0.5),
        Scope.CENTRE: _below((column - 0.5).abs(), 0.25) * _below((row - 0.5).abs(), 0.25),
    }
    return masks[scope].expand_as(subject)


def _below(place: Tensor, border: float) -> Tensor:
    return 1 - smoothstep(place, border - SOFT_BORDER, border + SOFT_BORDER)
