"""One safetensors file into one network: exact names and shapes, or an error that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from liveedit_cam.errors import WeightsError

ROW_SCALE = ".row_scale"
"""Ending of the tensor that holds the scale of each row of a matrix kept in 8 bits."""
LEAST_PACKED = 4096
"""Values of the smallest matrix that is; smaller ones save nothing."""
RENEW = "Reinstall liveedit-cam or pull the model again."


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill ``network`` with exactly the tensors of a safetensors file. Raises WeightsError."""
    network.load_state_dict(_fitting(network, path, torch.device("cpu")))


def load_weights_to(
    network: nn.Module, path: Path, device: torch.device, dtype: torch.dtype
) -> None:
    """Give a network made on the device "meta" the tensors of a file, on ``device``, in ``dtype``.

    One copy is in memory at a time. Raises WeightsError.
    """
    tensors = _fitting(network, path, device)
    for name in tensors:
        tensors[name] = tensors[name].to(dtype)
    network.load_state_dict(tensors, assign=True)


def _fitting(network: nn.Module, path: Path, device: torch.device) -> dict[str, Tensor]:
    """The tensors of a file, if they are exactly those of ``network``."""
    try:
        tensors = unpacked(load_file(path, device=str(device)))
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"got {path} ({path.stat().st_size if path.is_file() else 0} bytes), which is no "
            f"whole safetensors file ({error})",
            hint=RENEW,
        ) from error
    problems = name_problems(network.state_dict(), tensors)
    if problems:
        raise WeightsError(f"got {path}, which does not fit the model: {problems}", hint=RENEW)
    return tensors


def name_problems(expected: dict[str, Tensor], got: dict[str, Tensor]) -> str:
    """What is missing, extra or of another shape, the first few each; empty when all fits."""
    shapes = [
        f"{name} is {tuple(got[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected.keys() & got.keys()
        if got[name].shape != expected[name].shape
    ]
    groups = (
        ("missing", sorted(expected.keys() - got.keys())),
        ("extra", sorted(got.keys() - expected.keys())),
        ("wrong shape", sorted(shapes)),
    )
    return "; ".join(
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in groups
        if names
    )


def packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` for a small file: matrices in 8 bits, the rest in 16.

    A row of a matrix (of any number of axes, the first are its rows) has a scale by which its
    largest value is 127, so no value is off by more than 0.4 % of that.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.ndim < 2 or len(tensor) == 1 or tensor.numel() < LEAST_PACKED:
            found[name] = tensor.half().contiguous()
            continue
        rows = tensor.float().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp_min(1e-7).half().float()
        levels = (rows / scale[:, None]).round().clamp(-127, 127).to(torch.int8)
        found[name] = levels.view(tensor.shape).contiguous()
        found[name + ROW_SCALE] = scale.half()
    return found


def unpacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Inverse of ``packed``; what it did not pack stays as it is."""
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        scale = tensors.get(name + ROW_SCALE)
        if scale is not None:
            rows = scale.float().view(-1, *(1,) * (tensor.ndim - 1))
            found[name] = tensor.float() * rows
        elif not name.endswith(ROW_SCALE):
            found[name] = tensor
    return found
