"""One safetensors file into one network: exact names and shapes, or an error that lists them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from liveedit_cam.errors import WeightsError

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
        tensors = load_file(path, device=str(device))
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
