"""Matrix products in 8-bit floats: by the GPU's own units, and by a twin in float arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.dit import CausalDiT

FP8 = torch.float8_e4m3fn
LARGEST_FP8 = 448.0
"""Largest number of that format (e4m3: three bits of mantissa)."""
LEAST_CAPABILITY = (8, 9)
"""Of CUDA GPUs with 8-bit products: Ada, Hopper and later."""

Product = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, torch.dtype], Tensor]
"""x (n, I) and weight (O, I) in 8 bits, their scales float32 (n, 1) and (O, 1), bias (O,), the type
of the result: (scale_x x) @ (scale_w weight).T + bias, (n, O)."""


def has_fp8(device: torch.device) -> bool:
    """Whether ``device`` has 8-bit products."""
    if device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device) >= LEAST_CAPABILITY


def scaled_product(
    x: Tensor, weight: Tensor, scale_x: Tensor, scale_w: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """x (N, I) by weight (O, I) with their scales and bias (O,): (N, O), by 8-bit units.

    Sums lose a few bits of float32 for speed (CUDA's fast accumulation).
    """
    return torch._scaled_mm(
        x, weight.T, scale_a=scale_x, scale_b=scale_w.T, bias=bias, out_dtype=dtype,
        use_fast_accum=True,
    )  # fmt: skip


def float_product(
    x: Tensor, weight: Tensor, scale_x: Tensor, scale_w: Tensor, bias: Tensor, dtype: torch.dtype
) -> Tensor:
    """The twin of ``scaled_product``, shapes too: the same 8-bit numbers, multiplied in float32."""
    out = F.linear(x.float(), weight.float()) * scale_x * scale_w.T
    return (out + bias.float()).to(dtype)


def to_8bit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of ``x`` (N, I) divided by a scale each, in 8 bits, and the scales, float32 (N, 1).

    All on the device. A scale a row needs no look at the others, so that a compiler joins this to
    what makes the row: one scale for all took as long as the product (H100).
    Relative error of a number 2^-4 at most, of those below 2^-15 of its row's largest more.
    """
    largest = x.abs().amax(-1, keepdim=True).float()
    scale = (largest / LARGEST_FP8).clamp_min(torch.finfo(torch.float32).tiny)
    return (x.float() / scale).clamp(-LARGEST_FP8, LARGEST_FP8).to(FP8), scale


class Fp8Linear(nn.Module):
    """A Linear of rounded weights, for inference.

    Weights and their scale are kept as whole numbers of the same bits: ``to`` another type, of a
    network that holds this, would round floats once more.
    """

    weight: Tensor
    """uint8 (O, I), e4m3."""
    scale: Tensor
    """int32 (O, 1), float32."""
    bias: Tensor

    def __init__(self, linear: nn.Linear, product: Product) -> None:
        """Round ``linear``'s weights; its bias stays as it is."""
        super().__init__()
        weight, scale = to_8bit(linear.weight.detach())
        self.register_buffer("weight", weight.view(torch.uint8))
        self.register_buffer("scale", scale.view(torch.int32))
        self.register_buffer("bias", linear.bias.detach())
        self._product = product

    def forward(self, x: Tensor) -> Tensor:
        """Shape (..., I) to (..., O), the type kept."""
        rows, scale = to_8bit(x.flatten(0, -2))
        weight, scale_w = self.weight.view(FP8), self.scale.view(torch.float32)
        out = self._product(rows, weight, scale, scale_w, self.bias, x.dtype)
        return out.unflatten(0, x.shape[:-1])


def sample_pass(dit: CausalDiT) -> Tensor:
    """Output of one small pass over random latents and text, the same each time.

    float32, shape (1, C, 1, 8, 8) at a patch of 2.
    """
    config, drawn = dit.config, torch.Generator().manual_seed(0)
    like = dit.patch_embedding.weight
    side = 4 * config.patch
    noisy, source = torch.randn(2, 1, config.latent_channels, 1, side, side, generator=drawn)
    text = torch.randn(1, 16, config.text.width, generator=drawn).to(like)
    attend = MaskedAttend(rotation_table(range(1), (4, 4), config.head_dim, like.device), None)
    timestep = torch.full((1, 1), 500.0, device=like.device)
    with torch.inference_mode():
        out = dit(noisy.to(like), source.to(like), timestep, dit.text_kv(text), attend)
    return out.float()


def decibels(exact: Tensor, changed: Tensor) -> float:
    """Signal to noise of ``changed``, in dB: 10 lg of signal over squared difference; inf if equal.

    Weights that nothing was loaded into give zeros, which 8 bits keep.
    """
    if torch.equal(exact, changed):
        return math.inf
    noise = (changed - exact).square().sum().clamp_min(1e-30)
    return float(10 * torch.log10(exact.square().sum() / noise))


PRODUCTS = ("ffn.0", "ffn.2")
"""Layers of a block that are replaced: two thirds of its products. The square ones of the attention
gain nothing by 8 bits (4,680 tokens by 1536 x 1536 on an H100: 35 us, and 34 with fast sums)."""


def use_fp8(dit: CausalDiT, product: Product) -> None:
    """Replace both products of every FFN, in place; a second call changes nothing."""
    for block in dit.blocks:
        for name in PRODUCTS:
            layer = block.get_submodule(name)
            if isinstance(layer, nn.Linear):
                block.set_submodule(name, Fp8Linear(layer, product))
