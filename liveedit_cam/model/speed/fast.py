"""What makes the same edit faster on a GPU: which of it is on, and the fast twins themselves.

Compiled parts of a block, the best attention kernel by a short measurement, recorded passes (see
``replay``), products in 8-bit floats. Each has the plain code beside it and is handed in where that
stands, so a ``Speed()`` of nothing is exactly the plain path.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from liveedit_cam.errors import UsageError
from liveedit_cam.model.attention import PLAIN_KERNELS, Kernels, Rotation, attend
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import PLAIN_PARTS, Block, BlockParts, CausalDiT
from liveedit_cam.model.generator import Denoiser
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.speed.replay import Recorder, ReplayedDiT

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
"""q, k, v (B, N, H, D) to (B, N, H, D)."""

Fn = TypeVar("Fn", bound=Callable[..., Any])
T = TypeVar("T")


FP8 = torch.float8_e4m3fn
LARGEST_FP8 = 448.0
"""Largest number of that format (e4m3: three bits of mantissa)."""
LEAST_CAPABILITY = (8, 9)
"""Of CUDA GPUs with 8-bit products: Ada, Hopper and later."""

Product = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, torch.dtype], Tensor]
"""x (n, I) and weight (O, I) in 8 bits, their scales float32 (), bias (O,), the type of the result:
scale_x x @ (scale_w weight).T + bias, (n, O)."""


class Compiler(Protocol):
    """``torch.compile``, or what stands for it in a test."""

    def __call__(self, function: Fn, /) -> Fn:
        """A faster function that does the same."""
        ...


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
    uses_fp8: bool = False
    """Matrix products of the blocks in 8-bit floats, where the GPU has them; costs accuracy."""

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
        use_fp8(dit, scaled_product)
    parts = compiled_parts(compiler or _compile) if speed.compiles else PLAIN_PARTS
    for block in dit.blocks:
        assert isinstance(block, Block), f"got a {type(block).__name__} among the blocks"
        block.parts = parts


def _compile(function: Fn, /) -> Fn:
    return cast("Fn", torch.compile(function, fullgraph=True))


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


def rotate_real(x: Tensor, rotation: Rotation) -> Tensor:
    """``attention.rotate`` by ``rotate_pairs``: same arguments, same result but for rounding."""
    return rotate_pairs(x, torch.view_as_real(rotation))


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
    for module in ("flash_attn_interface", "flash_attn"):  # the former is written for Hopper
        if find_spec(module) is not None:
            found[module] = partial(_attend_flash, import_module(module).flash_attn_func)
    return found


def _attend_with(backend: SDPBackend, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return attend(q, k, v)


def _attend_flash(function: Callable[..., Any], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = function(q, k, v)
    return cast("Tensor", out[0] if isinstance(out, tuple) else out)


def fastest(candidates: Mapping[str, T], seconds: Callable[[T], float]) -> str:
    """Name of the candidate of least ``seconds``, which raises RuntimeError for one not usable.

    Raises UsageError with every reason where none is usable.
    """
    taken, reasons = {}, []
    for name, candidate in candidates.items():
        try:
            taken[name] = seconds(candidate)
        except RuntimeError as error:  # how torch says that a kernel does not do this
            reasons.append(f"{name}: {error}")
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
    """Measures a candidate at the sizes of a whole pass with the window full."""
    chunk, window = (
        torch.randn(
            1, latents * config.num_tokens, config.num_heads, config.head_dim,
            device=device, dtype=dtype,
        )
        for latents in (config.chunk_latents, config.window_latents)
    )  # fmt: skip

    def measure(candidate: Attend) -> float:
        best = float("inf")
        for _ in range(num_tries):
            began = time.perf_counter()
            candidate(chunk, window, window)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best = min(best, time.perf_counter() - began)
        return best

    return measure


def denoiser_for(
    speed: Speed, dit: CausalDiT, cache: KVCache, recorder: Callable[[torch.device], Recorder]
) -> Denoiser:
    """``dit`` as passes over ``cache`` should run it; ``recorder`` makes one for a device."""
    device = dit.patch_embedding.weight.device
    return ReplayedDiT(dit, cache, recorder(device)) if speed.replays else dit


def has_fp8(device: torch.device) -> bool:
    """Whether ``device`` has 8-bit products."""
    if device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device) >= LEAST_CAPABILITY


def scaled_product(
    x: Tensor, weight: Tensor, scale_x: Tensor, scale_w: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """The product by the GPU's 8-bit units."""
    return torch._scaled_mm(
        x, weight.T, scale_a=scale_x, scale_b=scale_w, bias=bias, out_dtype=dtype
    )


def float_product(
    x: Tensor, weight: Tensor, scale_x: Tensor, scale_w: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """The twin of ``scaled_product``: the same 8-bit numbers, multiplied in float32."""
    out = F.linear(x.float(), weight.float()) * (scale_x * scale_w)
    return (out + bias.float()).to(dtype)


def to_8bit(x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` divided by its scale, in 8 bits, and the scale, float32 (); on the device throughout.

    Relative error of a number 2^-4 at most, of those below 2^-15 of the largest more.
    """
    scale = (x.abs().amax().float() / LARGEST_FP8).clamp_min(torch.finfo(torch.float32).tiny)
    return (x.float() / scale).clamp(-LARGEST_FP8, LARGEST_FP8).to(FP8), scale


class Fp8Linear(nn.Module):
    """A Linear of rounded weights, for inference."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear, product: Product) -> None:
        """Round ``linear``'s weights; its bias stays as it is."""
        super().__init__()
        weight, scale = to_8bit(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", linear.bias.detach())
        self._product = product

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) to (..., O), the type kept."""
        rows, scale = to_8bit(x.flatten(0, -2))
        out = self._product(rows, self.weight, scale, self.scale, self.bias, x.dtype)
        return out.unflatten(0, x.shape[:-1])


PRODUCTS = (
    *(f"self_attn.{name}" for name in "qkvo"),
    *(f"cross_attn.{name}" for name in "qo"),
    "ffn.0",
    "ffn.2",
)
"""Layers of a block that are replaced; the text's keys and values are made once an instruction."""


def use_fp8(dit: CausalDiT, product: Product) -> None:
    """Replace the large products of every block, in place; a second call changes nothing."""
    for block in dit.blocks:
        for name in PRODUCTS:
            layer = block.get_submodule(name)
            if isinstance(layer, nn.Linear):
                block.set_submodule(name, Fp8Linear(layer, product))
