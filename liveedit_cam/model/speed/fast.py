"""What makes the same edit faster on a GPU: which of it is on, and the fast twins themselves.

Compiled parts of a block, the best attention kernel by a short measurement, recorded passes (see
``replay``), products in 8-bit floats. Each has the plain code beside it and is handed in where that
stands, so a ``Speed()`` of nothing is exactly the plain path.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.model.attention import PLAIN_KERNELS, Kernels
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import PLAIN_PARTS, Block, BlockParts, CausalDiT
from liveedit_cam.model.generator import Denoiser
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.speed.compiling import Compiler
from liveedit_cam.model.speed.fp8 import (
    decibels,
    has_fp8,
    sample_pass,
    scaled_product,
    use_fp8,
)
from liveedit_cam.model.speed.kernels import attention_candidates, attention_seconds, fastest
from liveedit_cam.model.speed.replay import Recorder, ReplayedDiT

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Speed:
    """What is done for speed. The default is the plain path, as on a CPU."""

    compiles: bool = False
    """The parts of a block and the rotation go through torch.compile."""
    replays: bool = False
    """Passes are recorded as CUDA graphs once the window is full."""
    chooses_attention: bool = False
    """The attention kernel is the fastest of those this machine has, measured at load."""
    num_buckets: int = 0
    """Different counts of tokens that masked steps may have; 0 = any. Recording needs few."""
    keeps_rotated: bool = True
    """Rotated keys are kept beside the others: a third more memory for the KV cache, less work."""
    channels_last: bool = False
    """The codec's convolutions keep their channels last, as tensor cores read them."""
    compiles_codec: bool = False
    """What lies between the codec's convolutions (all of the light one) goes through torch.compile;
    plain where that fails."""
    uses_fp8: bool = False
    """Matrix products of the blocks in 8-bit floats, where the GPU has them; costs accuracy."""

    @property
    def needs_warm_up(self) -> bool:
        """Whether the first chunks of a size take longer than all others."""
        return self.compiles or self.replays or self.channels_last or self.compiles_codec

    def __post_init__(self) -> None:
        if self.replays and self.num_buckets < 1:
            raise UsageError(
                f"got recorded passes with {self.num_buckets} buckets, expected at least 1",
                hint="Use Speed(replays=True, num_buckets=8).",
            )


def best_speed(device: torch.device) -> Speed:
    """What gives the same edit fastest on ``device``: everything exact on CUDA, else nothing."""
    if device.type != "cuda":
        return Speed()
    has_compiler = find_spec("triton") is not None  # Windows' torch brings none
    return Speed(
        compiles=has_compiler,
        replays=True,
        chooses_attention=True,
        num_buckets=8,
        channels_last=True,
        compiles_codec=has_compiler,
        keeps_rotated=not has_compiler,  # turning all keys in every pass is cheap only if fused
    )


def prepare(dit: CausalDiT, speed: Speed, compiler: Compiler | None = None) -> None:
    """Give ``dit`` its parts, and 8-bit products where asked for; it lies on its device already.

    Raises UsageError where this device has no 8-bit products.
    """
    if speed.uses_fp8:
        device = dit.patch_embedding.weight.device
        if not has_fp8(device):
            raise UsageError(
                f"got 8-bit products on {device}, expected a CUDA GPU of capability 8.9 or more",
                hint="Leave fp8 out.",
            )
        exact = sample_pass(dit)
        use_fp8(dit, scaled_product)
        cost = decibels(exact, _sample_in_8bit(dit, device))
        _log.warning("8-bit products: %.1f dB signal to noise of one pass", cost)
    parts = compiled_parts(compiler or _compile) if speed.compiles else PLAIN_PARTS
    for block in dit.blocks:
        assert isinstance(block, Block), f"got a {type(block).__name__} among the blocks"
        block.parts = parts


def _sample_in_8bit(dit: CausalDiT, device: torch.device) -> Tensor:
    """``sample_pass``; where this torch has no such product for ``device``, UsageError."""
    try:
        return sample_pass(dit)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"got 8-bit products that torch {torch.__version__} refuses on {device}: {reason}",
            hint="Leave fp8 out, or use a newer torch.",
        ) from error


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, fullgraph=True)


def compiled_parts(compiler: Compiler) -> BlockParts:
    """The parts of a block, each through ``compiler``; all blocks share them."""
    plain = PLAIN_PARTS
    return BlockParts(
        enter=compiler(plain.enter),
        project=compiler(plain.project),
        cross=compiler(plain.cross),
        feed=compiler(plain.feed),
        leave=compiler(plain.leave),
    )


def kernels_for(
    speed: Speed, config: ModelConfig, device: torch.device, dtype: torch.dtype
) -> Kernels:
    """Rotation and attention for ``config`` on ``device``; measures where ``speed`` says so."""
    kernels = PLAIN_KERNELS
    if speed.compiles:
        turn = _compile(rotate_pairs)
        kernels = replace(kernels, rotate=lambda x, by: turn(x, torch.view_as_real(by)))
    if speed.chooses_attention:
        candidates = attention_candidates(device)
        name = fastest(candidates, attention_seconds(config, device, dtype))
        kernels = replace(kernels, attend=candidates[name])
    return kernels


def rotate_pairs(x: Tensor, turn: Tensor) -> Tensor:
    """``attention.rotate`` in real numbers, which compilers fuse; turn (N, 1, D/2, 2) cos, sin."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = turn.unbind(-1)
    pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return pairs.flatten(-2).to(x.dtype)


def denoiser_for(
    speed: Speed, dit: CausalDiT, cache: KVCache, recorder: Callable[[torch.device], Recorder]
) -> Denoiser:
    """``dit`` as passes over ``cache`` should run it; ``recorder`` makes one for a device."""
    device = dit.patch_embedding.weight.device
    return ReplayedDiT(dit, cache, recorder(device)) if speed.replays else dit
