"""Attention kernels of this machine, and the fastest of them by a short measurement."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from liveedit_cam.errors import UsageError, kept
from liveedit_cam.model.attention import attend
from liveedit_cam.model.config import ModelConfig

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""q, k, v (B, N, H, D) to (B, N, H, D)."""

T = TypeVar("T")

FOREIGN: dict[str, tuple[str, dict[str, object]]] = {
    "flash_attn_interface": ("flash_attn_func", {}),  # FlashAttention 3, written for Hopper
    "flash_attn": ("flash_attn_func", {}),
    "sageattention": ("sageattn", {"tensor_layout": "NHD"}),  # queries and keys in 8 bits
}
"""Module -> its function of q, k, v (B, N, H, D), and what it is called with; used where it is
installed, can be imported and is the fastest."""

NUM_COMPARED = 16
LARGEST_ERROR = 0.1
"""Share of the largest value by which a kernel's result may be off: 8-bit keys are by 0.02."""

_log = logging.getLogger(__name__)


def attention_candidates(device: torch.device) -> dict[str, Attend]:
    """Attention functions worth a measurement on ``device``, by name; one may turn out missing."""
    if device.type != "cuda":
        return {"plain": attend}
    backends = {
        "cudnn": SDPBackend.CUDNN_ATTENTION,
        "flash": SDPBackend.FLASH_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
    }
    found: dict[str, Attend] = {
        name: partial(_attend_with, backend) for name, backend in backends.items()
    }
    for module, (function, options) in FOREIGN.items():
        if find_spec(module) is not None and (known := imported(module, function)) is not None:
            found[module] = partial(_attend_foreign, partial(known, **options))
    return found


def imported(module: str, function: str) -> Callable[..., Any] | None:
    """``function`` of a foreign module; None, with a line in the log, where it cannot be had.

    A build for another torch or CUDA fails in many ways as it is imported.
    """
    with kept(lambda error: _log.warning("attention of %s is not used: %r", module, error)):
        return cast("Callable[..., Any]", getattr(import_module(module), function))
    return None


def _attend_with(backend: SDPBackend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return attend(q, k, v)


def _attend_foreign(function: Callable[..., Any], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = function(q, k, v)
    return cast("Tensor", out[0] if isinstance(out, tuple) else out)


def fastest(candidates: Mapping[str, T], seconds: Callable[[T], float]) -> str:
    """Name of the candidate of least ``seconds``, which raises for one not usable.

    Raises UsageError with every reason where none is usable.
    """
    taken: dict[str, float] = {}
    reasons: list[str] = []
    for name, candidate in candidates.items():

        def note(error: Exception, name: str = name) -> None:
            reasons.append(f"{name}: {error}")

        with kept(note):
            taken[name] = seconds(candidate)
    if not taken:
        raise UsageError(
            f"got no usable attention kernel ({'; '.join(reasons)}), expected one of "
            f"{', '.join(candidates)}",
            hint="Load with Speed(chooses_attention=False).",
        )
    return min(taken, key=lambda name: taken[name])


def attention_seconds(
    config: ModelConfig, device: torch.device, dtype: torch.dtype, num_tries: int = 5
) -> Callable[[Attend], float]:
    """Measures a candidate at the sizes of a whole pass with the window full.

    The measurement raises RuntimeError where the first rows differ from plain attention by more
    than LARGEST_ERROR: the least of a fast kernel is that it is right.
    """
    chunk, window = (
        torch.randn(
            1, latents * config.num_tokens, config.num_heads, config.head_dim,
            device=device, dtype=dtype,
        )
        for latents in (config.chunk_latents, config.window_latents)
    )  # fmt: skip

    few = chunk[:, :NUM_COMPARED]

    def measure(candidate: Attend) -> float:
        exact = attend(few.float(), window.float(), window.float())
        error = (candidate(chunk, window, window)[:, :NUM_COMPARED].float() - exact).abs().amax()
        share = float(error / exact.abs().amax())
        if not share <= LARGEST_ERROR:  # so that NaN is refused
            raise RuntimeError(f"its result is {share:.2f} of the largest value off")
        best = float("inf")
        for _ in range(num_tries):
            began = time.perf_counter()
            candidate(chunk, window, window)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - began)
        return best

    return measure
