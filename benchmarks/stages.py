"""Where does the time of one chunk go, and how near is the network to what the machine can do?

One stream in this process, as the engine runs it, on the drawn scene or on a clip
(--source file:clip.mp4): resize and encode, each denoising step, the clean-context pass if there is
one, decode, fit of the newest field. Beside them, measured in the same run, what the machine
reaches for a matrix product, a 3x3 convolution and an attention of the model's own sizes. The work
of the network is counted from its ModelConfig; a multiplication and its addition are two
operations. The last line is one JSON object.

    python benchmarks/stages.py [--source file:clip.mp4] [--model nano] [--chunks 30]
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from bench import percentile, print_result

from liveedit_cam import registry
from liveedit_cam.cores import share_cores, usable_cores

share_cores(os.environ, usable_cores())  # before torch is loaded, as the engine does

import numpy as np  # noqa: E402 - after share_cores
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from liveedit_cam.model import EditStream, ModelConfig, TextConditioning, load  # noqa: E402
from liveedit_cam.model.config import model_size  # noqa: E402
from liveedit_cam.model.field import fit  # noqa: E402
from liveedit_cam.pixels import shrink  # noqa: E402

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

QUESTION = "Where does the time of one chunk go?"
WARMUP_CHUNKS = 5
CEILING_S = 0.5
"""Time spent on each ceiling."""


class PassClock:
    """Notes when each pass of the network begins and ends, by the hooks torch offers."""

    def __init__(self, stream: EditStream) -> None:
        """Hook into the network of ``stream``."""
        self.spans: list[tuple[float, float]] = []
        self._sync = _synchronise(stream.device)
        self._began = 0.0
        blocks = stream.dit.blocks
        blocks[0].register_forward_pre_hook(lambda *_: self._begin())
        blocks[-1].register_forward_hook(lambda *_: self._end())

    def _begin(self) -> None:
        self._sync()
        self._began = time.perf_counter()

    def _end(self) -> None:
        self._sync()
        self.spans.append((self._began, time.perf_counter()))


def small_copies(frames: Pixels, config: ModelConfig) -> Pixels:
    """Frames uint8 (T, H, W, 3) at the size the model edits them."""
    height, width = model_size(config, *frames.shape[1:3])
    return np.stack([shrink(one, width, height) for one in frames])


def main() -> None:
    """Measure and print."""
    wanted = _parse()
    stream = load(wanted.model, wanted.device)
    conditioning = stream.encode_text(wanted.prompt)
    passes = PassClock(stream)
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    operations: list[float] = []
    chunks = _chunks(wanted.source, stream.chunk_frames)
    with torch.inference_mode():
        for number, chunk in zip(range(WARMUP_CHUNKS + wanted.chunks), chunks, strict=False):
            passes.spans.clear()
            stages = time_chunk(stream, chunk, conditioning, passes)
            if number >= WARMUP_CHUNKS:
                operations.append(chunk_operations(stream.config, stream.skip_ratio))
                for name, value in stages.items():
                    seconds[name].append(value)
        reached = ceilings(stream)
    assert seconds, "the source ended before the warm-up was over"
    print_result(QUESTION, _figures(seconds, operations, reached))


def time_chunk(
    stream: EditStream, chunk: Pixels, conditioning: TextConditioning, passes: PassClock
) -> dict[str, float]:
    """Seconds of each stage of ``EditStream.edit``, which this follows line by line."""
    sync = _synchronise(stream.device)
    marks = [time.perf_counter()]

    def mark() -> None:
        sync()
        marks.append(time.perf_counter())

    stream._resize(*model_size(stream.config, *chunk.shape[1:3]))
    stream._prepare(conditioning, 0)
    small = (
        torch.from_numpy(small_copies(chunk, stream.config)).permute(3, 0, 1, 2)[None].float() / 255
    )
    source = stream.codec.encode(small.to(stream.device))
    mark()
    edited = stream._edit_latents(source, conditioning)
    mark()
    before, after = stream._decode(small, source, edited)
    mark()
    fit(before[-1:], after[-1:], steadier=stream._past.steadier, num_passed=len(before))
    mark()
    encode, denoise, decode, fitted = np.diff(marks).tolist()
    spent = [end - begin for begin, end in passes.spans]
    num_steps = len(stream.config.timesteps)
    steps, context = spent[:num_steps], sum(spent[num_steps:])
    return {
        "encode": encode,
        **{f"step_{number}": step for number, step in enumerate(steps, start=1)},
        "context": context,
        "around_the_blocks": denoise - sum(steps) - context,
        "decode": decode,
        "fit": fitted,
        "chunk": marks[-1] - marks[0],
    }


def chunk_operations(config: ModelConfig, skip_ratio: float) -> float:
    """Operations of the blocks for one chunk: all steps and the clean-context pass."""
    num_steps = len(config.timesteps)
    num_middle = max(0, num_steps - 2)
    tokens = config.num_tokens * config.chunk_latents
    whole = block_operations(config, tokens)
    thinned = block_operations(config, (1 - skip_ratio) * tokens)
    per_step = (num_steps - num_middle) * whole + num_middle * thinned
    visible = config.num_tokens * config.window_latents
    # the last block of the clean-context pass ends after its attention
    last = 3 * 2 * tokens * config.dim**2 + 4 * tokens * visible * config.dim
    return config.num_layers * per_step + (config.num_layers - 1) * whole + last


def block_operations(config: ModelConfig, fresh_tokens: float) -> float:
    """Operations of one block where ``fresh_tokens`` tokens recompute their self-attention."""
    dim, tokens = config.dim, config.num_tokens * config.chunk_latents
    visible = config.num_tokens * config.window_latents
    self_attention = 4 * 2 * fresh_tokens * dim**2 + 4 * fresh_tokens * visible * dim
    cross_attention = 2 * 2 * tokens * dim**2 + 4 * tokens * config.text.max_tokens * dim
    ffn = 2 * 2 * tokens * dim * config.ffn_dim
    return self_attention + cross_attention + ffn


def ceilings(stream: EditStream) -> dict[str, float]:
    """GFLOP/s this machine reaches for the three kinds of work, at the model's own sizes."""
    config, like = stream.config, {"device": stream.device, "dtype": stream.dtype}
    tokens, visible = (
        config.num_tokens * config.chunk_latents,
        config.num_tokens * config.window_latents,
    )
    x, weight = (
        torch.randn(tokens, config.dim, **like),
        torch.randn(config.ffn_dim, config.dim, **like),
    )
    width, stride = config.codec.decoder_width, config.codec.spatial_stride
    rows, columns = config.height // stride, config.width // stride
    picture = torch.randn(2, width, rows, columns, **like).contiguous(
        memory_format=torch.channels_last
    )
    kernel = torch.randn(width, width, 3, 3, **like).contiguous(memory_format=torch.channels_last)
    query = torch.randn(1, config.num_heads, tokens, config.head_dim, **like)
    keys = torch.randn(1, config.num_heads, visible, config.head_dim, **like)
    return {
        "product_gflops": _rate(
            lambda: F.linear(x, weight), 2 * tokens * config.dim * config.ffn_dim, stream.device
        ),
        "convolution_gflops": _rate(
            lambda: F.conv2d(picture, kernel, padding=1),
            2 * 2 * rows * columns * 9 * width**2,
            stream.device,
        ),
        "attention_gflops": _rate(
            lambda: F.scaled_dot_product_attention(query, keys, keys),
            4 * tokens * visible * config.dim,
            stream.device,
        ),
    }


def _rate(work: Callable[[], torch.Tensor], operations: float, device: torch.device) -> float:
    """GFLOP/s of ``work`` by its median time."""
    sync = _synchronise(device)
    seconds: list[float] = []
    ends_at = time.perf_counter() + CEILING_S
    while time.perf_counter() < ends_at:
        sync()
        began = time.perf_counter()
        work()
        sync()
        seconds.append(time.perf_counter() - began)
    return operations / percentile(seconds, 0.5) / 1e9


def _figures(
    seconds: dict[str, list[float]], operations: list[float], reached: dict[str, float]
) -> dict[str, float]:
    figures: dict[str, float] = {"chunks": len(operations)}
    for name, values in seconds.items():
        figures[f"{name}_p50_ms"] = 1000 * percentile(values, 0.5)
        figures[f"{name}_p95_ms"] = 1000 * percentile(values, 0.95)
    passes = [name for name in seconds if name.startswith("step_") or name == "context"]
    rates = [
        work / sum(seconds[name][number] for name in passes) / 1e9
        for number, work in enumerate(operations)
    ]
    network = percentile(rates, 0.5)
    figures["blocks_gflop_per_chunk"] = percentile(operations, 0.5) / 1e9
    figures["blocks_gflops"] = network
    figures |= reached
    figures["blocks_share_of_product"] = network / reached["product_gflops"]
    return figures


def _chunks(spec: str, size: int) -> Iterator[Pixels]:
    source = registry.open_source(spec, loop=True, realtime=False)
    try:
        while True:
            yield np.stack([source.read().pixels for _ in range(size)])
    finally:
        source.close()


def _synchronise(device: torch.device) -> Callable[[], None]:
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--source", default="pattern")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--prompt", default="make it night")
    parser.add_argument("--chunks", type=int, default=30)
    return parser.parse_args()


if __name__ == "__main__":
    main()
