"""Where does the time of an 8-bit product go: the product itself, or making its numbers 8 bits?

The products of one block of liveedit-1.3b at 832x480, a chunk of three latents: 16-bit as they are,
8-bit ones (a scale a row) with sums in float32 and with the GPU's faster ones, the rounding alone,
plainly and compiled, and a whole Fp8Linear, compiled. Median of many calls. The last line is one
JSON object.

    python benchmarks/fp8.py [--scale full|tiny] [--device cuda]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from bench import Figure, percentile, print_result
from torch import nn

from liveedit_cam.model import WAN_1_3B
from liveedit_cam.model.speed.fp8 import Fp8Linear, float_product, has_fp8, scaled_product, to_8bit
from liveedit_cam.model.weights import choose_device, fast_dtype

QUESTION = "What does an 8-bit product cost here, and what of it is rounding?"
CALLS, WARM_UPS = 30, 5
TOKENS = {"full": WAN_1_3B.num_tokens * WAN_1_3B.chunk_latents, "tiny": 64}


def shapes(scale: str) -> dict[str, tuple[int, int]]:
    """Inner and outer size of each product of a block."""
    dim, ffn = (WAN_1_3B.dim, WAN_1_3B.ffn_dim) if scale == "full" else (64, 128)
    return {"square": (dim, dim), "widen": (dim, ffn), "narrow": (ffn, dim)}


def ways(
    inner: int, outer: int, tokens: int, device: torch.device
) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is timed for one shape."""
    dtype, is_cuda = fast_dtype(device), device.type == "cuda"
    x = torch.randn(tokens, inner, device=device, dtype=dtype)
    linear = nn.Linear(inner, outer, device=device, dtype=dtype).requires_grad_(False)
    yield "bits16", partial(F.linear, x, linear.weight, linear.bias)
    rows, scale = to_8bit(x)
    weight, scale_w = to_8bit(linear.weight.detach())
    for name, is_fast in (("exact_sums", False), ("fast_sums", True)) if has_fp8(device) else ():
        yield name, partial(
            torch._scaled_mm, rows, weight.T, scale_a=scale, scale_b=scale_w.T, bias=linear.bias,
            out_dtype=dtype, use_fast_accum=is_fast,
        )  # fmt: skip
    yield "rounding", partial(to_8bit, x)
    layer: nn.Module = Fp8Linear(linear, scaled_product if has_fp8(device) else float_product)
    yield "layer", partial(layer, x)
    if is_cuda:
        yield "rounding_compiled", partial(torch.compile(to_8bit), x)
        yield "layer_compiled", partial(torch.compile(layer), x)


def median_ms(call: Callable[[], object], sync: Callable[[], object]) -> float:
    """Of CALLS calls, each waited for."""
    seconds = []
    for number in range(WARM_UPS + CALLS):
        sync()
        began = time.perf_counter()
        call()
        sync()
        if number >= WARM_UPS:
            seconds.append(time.perf_counter() - began)
    return 1000 * percentile(seconds, 0.5)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--scale", choices=tuple(TOKENS), default="full")
    parser.add_argument("--device", default="auto")
    wanted = parser.parse_args()
    device = choose_device(wanted.device)
    sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name() if is_cuda else "cpu"
    figures: dict[str, Figure] = {"device": name, "tokens": TOKENS[wanted.scale]}
    with torch.inference_mode():
        for shape, (inner, outer) in shapes(wanted.scale).items():
            for way, call in ways(inner, outer, TOKENS[wanted.scale], device):
                figures[f"{shape}_{way}_ms"] = median_ms(call, sync)
    print_result(QUESTION, figures)


if __name__ == "__main__":
    main()
