"""How fast is liveedit-1.3b on this GPU, where does a chunk's time go, and what does each part buy?

Random weights of the true sizes, so nothing needs to be pulled: the time does not depend on their
values. Measured in one process, one after the other: dense, without the clean-context pass, with
the paper's mask cache, windows of 6, 9 and 21 latents, two steps, the paper's mode, the light
codec, the exact codec latent by latent, not compiled and in its plain layout, rotated keys kept,
8-bit products where the GPU has them, and a plain path as the public code runs it (eager, no
recorded passes, float64 rotation of every key, counters read back in every layer, the text
projected in every pass, diffusers' own codec), with the exact codec and with the light one. Frames
per second come from whole edits without a stop in between; the stages from others, with the device
waited for after each. The work of the network is counted from its ModelConfig (a multiplication and
its addition are two operations) and stands beside what a matrix product reaches in the same run. A
variant that fails, for want of memory or of a compiler, is named and the others go on. The last
line is one JSON object.

    python benchmarks/wan.py [--scale full] [--device cuda] [--chunks 20] [--only dense plain]
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from bench import Figure, percentile, print_result

from liveedit_cam.cores import share_cores, usable_cores

share_cores(os.environ, usable_cores())  # before torch is loaded, as the engine does

import numpy as np  # noqa: E402 - after share_cores
import torch  # noqa: E402
from stages import block_operations, small_copies  # noqa: E402
from wan_codecs import Codecs  # noqa: E402
from wan_passes import (  # noqa: E402
    PlainCache,
    PlainPasses,
    RandomText,
    TimedPasses,
    product_ceiling,
)

from liveedit_cam.errors import LiveEditError  # noqa: E402
from liveedit_cam.model import WAN_1_3B, EditStream, ModelConfig  # noqa: E402
from liveedit_cam.model.config import CacheTarget, model_size, paper_mode  # noqa: E402
from liveedit_cam.model.dit import CausalDiT  # noqa: E402
from liveedit_cam.model.field import fit  # noqa: E402
from liveedit_cam.model.latent_stream import Networks  # noqa: E402
from liveedit_cam.model.speed.fast import Speed, best_speed  # noqa: E402
from liveedit_cam.model.speed.fp8 import has_fp8  # noqa: E402
from liveedit_cam.model.stream_codec import FrugalCodec, StreamCodec  # noqa: E402
from liveedit_cam.model.weights import choose_device, fast_dtype  # noqa: E402

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

QUESTION = "How fast is liveedit-1.3b here, and what does each part buy?"
CAMERA = {"full": (720, 1248), "tiny": (64, 96)}
"""Height and width in pixels, of the aspect ratio of the model's own picture."""
TINY = replace(
    WAN_1_3B,
    name="tiny",
    dim=96,
    ffn_dim=192,
    num_layers=2,
    num_heads=4,
    height=32,
    width=48,
    text=replace(WAN_1_3B.text, width=64, max_tokens=32),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run the model."""

    name: str
    config: ModelConfig
    speed: Speed
    is_masked: bool = False
    is_plain: bool = False
    has_light_codec: bool = False
    one_by_one: bool = False


def variants(config: ModelConfig, device: torch.device) -> Iterator[Variant]:
    """All that is compared, 8 bits last: it changes the weights for good."""
    best = best_speed(device)
    bucketed = replace(best, num_buckets=best.num_buckets or 8)
    yield Variant("dense", config, best)
    yield Variant("masked", config, bucketed, is_masked=True)
    yield Variant("light_codec", config, best, has_light_codec=True)
    yield Variant("masked_light_codec", config, bucketed, is_masked=True, has_light_codec=True)
    two = replace(config, timesteps=(1000, 500))
    yield Variant("two_steps_light_codec", two, best, has_light_codec=True)
    yield Variant("paper", paper_mode(config), bucketed, is_masked=True)
    yield Variant("latent_by_latent", config, best, one_by_one=True)
    if best.compiles_codec:
        yield Variant("codec_as_it_is", config, replace(best, compiles_codec=False))
    kept = replace(bucketed, keeps_rotated=True)
    yield Variant("kept_rotated_masked_light_codec", config, kept, True, has_light_codec=True)
    if best.channels_last:
        yield Variant("channels_first", config, replace(best, channels_last=False))
    short = replace(config, context_pass=False)
    yield Variant("no_context_pass", short, best)
    yield Variant("masked_no_context", short, bucketed, is_masked=True)
    for window in (6, 9, 21):
        yield Variant(f"window_{window}", replace(config, window_latents=window), best)
    yield Variant("eager", config, Speed(keeps_rotated=False))
    plain = Speed(keeps_rotated=False)
    yield Variant("plain", config, plain, is_plain=True)
    yield Variant("plain_light_codec", config, plain, is_plain=True, has_light_codec=True)
    if has_fp8(device):
        eight, masks = (replace(one, uses_fp8=True) for one in (best, bucketed))
        yield Variant("fp8", config, eight)
        yield Variant("fp8_light_codec", config, eight, has_light_codec=True)
        yield Variant("fp8_masked_light_codec", config, masks, True, has_light_codec=True)


class Bench:
    """One variant on the device, ready to be measured."""

    def __init__(
        self, variant: Variant, dit: CausalDiT, codec: StreamCodec, device: torch.device, size: str
    ) -> None:
        target: CacheTarget = "self_attention" if variant.is_masked else "none"
        config, dtype = replace(variant.config, mask_target=target), fast_dtype(device)
        dit.config = config
        self.variant = variant
        self.sync = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        text = RandomText(config, device)
        decodes_source = variant.has_light_codec  # as load_wan does
        networks = Networks(dit, codec, text, decodes_source=decodes_source)
        self.stream = EditStream(config, networks, device, dtype, speed=variant.speed)
        self.text = self.stream.encode_text("")
        self._rng = np.random.default_rng(0)
        self._size = CAMERA[size]
        self.stream.warm_up(*self._size)
        self._fill_window()

    def _fill_window(self) -> None:
        """Edit until the window is full and every shape was met."""
        stream, config = self.stream, self.variant.config
        with torch.inference_mode():
            stream._resize(*model_size(config, *self._size))
            stream._prepare(self.text, 0)
        if self.variant.is_plain:
            assert stream._cache is not None, "_prepare makes the cache"
            like = stream.dit.patch_embedding.weight
            stream._cache = PlainCache(config, stream._cache.grid, like)
            stream._denoiser = PlainPasses(stream.dit)
        for _ in range(config.window_latents // config.chunk_latents + 2):
            self._force_mask()
            stream.edit(self.frames(), self.text)

    def frames(self) -> Pixels:
        """A chunk of random pictures of the camera's size."""
        count = self.stream.chunk_frames
        small = self._rng.integers(0, 256, (count, 9, 16, 3), dtype=np.uint8)
        height, width = self._size
        rows, columns = np.arange(height) * 9 // height, np.arange(width) * 16 // width
        return np.ascontiguousarray(small[:, rows][:, :, columns])

    def _force_mask(self) -> None:
        """Keep the mask of the last chunk: random pictures are all cuts, which would drop it."""
        self.stream._last_source = None

    def edit_seconds(self, num_chunks: int) -> list[float]:
        """Seconds of whole edits, one after the other."""
        seconds = []
        for _ in range(num_chunks):
            chunk = self.frames()
            self._force_mask()
            self.sync()
            began = time.perf_counter()
            self.stream.edit(chunk, self.text)
            self.sync()
            seconds.append(time.perf_counter() - began)
        return seconds

    def stage_seconds(self, num_chunks: int) -> dict[str, list[float]]:
        """Seconds of each stage of ``EditStream.edit``, which this follows line by line."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        inner = self.stream._denoiser
        passes = TimedPasses(inner, self.sync)
        self.stream._denoiser = passes
        for _ in range(num_chunks):
            for name, value in self._time_chunk(passes).items():
                found[name].append(value)
        self.stream._denoiser = inner
        return found

    @torch.inference_mode()
    def _time_chunk(self, passes: TimedPasses) -> dict[str, float]:
        stream, chunk = self.stream, self.frames()
        self._force_mask()
        passes.seconds.clear()
        self.sync()
        marks = [time.perf_counter()]

        def mark() -> None:
            self.sync()
            marks.append(time.perf_counter())

        stream._resize(*model_size(stream.config, *chunk.shape[1:3]))
        stream._prepare(self.text, 0)
        small = torch.from_numpy(small_copies(chunk, stream.config)).to(stream.device)
        small = small.permute(3, 0, 1, 2)[None].float() / 255
        mark()
        source = stream.codec.encode(small)
        mark()
        edited = stream._edit_latents(source, self.text)
        mark()
        before, after = stream._decode(small, source, edited)
        mark()
        fit(before[-1:], after[-1:])
        mark()
        shrink, encode, denoise, decode, fitted = np.diff(marks).tolist()
        num_steps = len(stream.config.timesteps)
        names = [f"step_{number}" for number in range(1, num_steps + 1)] + ["context"]
        timed = dict(zip(names, passes.seconds, strict=False))
        around = denoise - sum(passes.seconds)
        return {"shrink": shrink, "encode": encode, **timed, "around_the_passes": around,
                "decode": decode, "fit": fitted}  # fmt: skip


def chunk_operations(variant: Variant, skip_ratio: float) -> float:
    """Operations of the blocks for one chunk: four steps and, if it is run, the context pass."""
    config = variant.config
    tokens = config.num_tokens * config.chunk_latents
    whole = block_operations(config, tokens)
    thinned = block_operations(config, (1 - skip_ratio) * tokens)
    num_middle = max(0, len(config.timesteps) - 2)
    num_whole = len(config.timesteps) - num_middle
    steps = config.num_layers * (num_whole * whole + num_middle * thinned)
    if not config.context_pass:
        return steps
    if variant.is_plain:
        return steps + config.num_layers * whole
    visible = config.num_tokens * config.window_latents  # the last block ends after attention
    last = 3 * 2 * tokens * config.dim**2 + 4 * tokens * visible * config.dim
    return steps + (config.num_layers - 1) * whole + last


def measure(bench: Bench, num_chunks: int, ceiling: float) -> dict[str, Figure]:
    """Figures of one variant, its name in front of each."""
    edits = bench.edit_seconds(num_chunks)
    skipped = bench.stream.skip_ratio
    stages = bench.stage_seconds(num_chunks)
    passes = [name for name in stages if name.startswith("step_") or name == "context"]
    in_passes = sum(percentile(stages[name], 0.5) for name in passes)
    rate = chunk_operations(bench.variant, skipped) / in_passes
    half = percentile(edits, 0.5)
    device = bench.stream.device
    figures: dict[str, Figure] = {
        "fps": bench.stream.chunk_frames / half,
        "chunk_p50_ms": 1000 * half,
        "chunk_p95_ms": 1000 * percentile(edits, 0.95),
        **{f"{name}_ms": 1000 * percentile(values, 0.5) for name, values in stages.items()},
        "tokens_skipped": skipped,
        "passes_tflops": rate / 1e12,
        "passes_share_of_product": rate / ceiling,
        "vram_gb": torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else None,
    }
    return {f"{bench.variant.name}_{name}": value for name, value in figures.items()}


def main() -> None:
    """Measure and print."""
    wanted = _parse()
    device = choose_device(wanted.device)
    config = WAN_1_3B if wanted.scale == "full" else TINY
    torch.backends.cudnn.benchmark = True  # as load_wan does
    torch.manual_seed(0)
    with torch.device(device):
        dit = CausalDiT(config).to(fast_dtype(device))
    codecs = Codecs(device, base_dim=96 if wanted.scale == "full" else 4)
    ceiling = product_ceiling(config, device, fast_dtype(device))
    is_cuda = device.type == "cuda"
    figures: dict[str, Figure] = {
        "scale": wanted.scale,
        "device": torch.cuda.get_device_name() if is_cuda else "cpu",
        "picture": f"{config.width}x{config.height}",
        "product_tflops": ceiling / 1e12,
    }
    found = {variant.name: variant for variant in variants(config, device)}
    if strange := [name for name in wanted.only or () if name not in found]:
        sys.exit(f"got --only {' '.join(strange)}, expected some of {' '.join(found)}")
    for name in wanted.only or found:
        variant = found[name]
        gc.collect()
        if is_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:  # nothing holds a Bench after its figures: caches of two would count as one's memory
            codec = codecs.of(
                variant.speed, is_light=variant.has_light_codec, is_plain=variant.is_plain
            )
            if isinstance(codec, FrugalCodec):
                codec.one_by_one = variant.one_by_one
            bench = partial(Bench, variant, dit, codec, device, wanted.scale)
            told = measure(bench(), wanted.chunks, ceiling)
            figures |= told
            print(_line(name, told), file=sys.stderr, flush=True)
        except (RuntimeError, LiveEditError) as error:
            figures[f"{name}_failed"] = str(error).partition("\n")[0]
            print(f"{name} failed: {error}", file=sys.stderr)
    for name in [name for name in wanted.only or found if not name.startswith("plain")]:
        plain = "plain_light_codec_fps" if name.endswith("light_codec") else "plain_fps"
        if f"{name}_fps" in figures and plain in figures:
            gain = float(figures[f"{name}_fps"] or 0) / float(figures[plain] or 1)
            figures[f"{name}_against_plain"] = gain
    print_result(QUESTION, figures)


def _line(name: str, told: dict[str, Figure]) -> str:
    """What a variant reached, for who waits for the others."""
    stages = {
        key.removeprefix(f"{name}_").removesuffix("_ms"): float(value)
        for key, value in told.items()
        if key.endswith("_ms") and value is not None and "chunk" not in key
    }
    parts = ", ".join(f"{stage} {ms:.0f}" for stage, ms in stages.items())
    return f"{name}: {told[f'{name}_fps']:.1f} frames a second ({parts} ms)"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--scale", choices=tuple(CAMERA), default="full")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="names of variants; none = all")
    return parser.parse_args()


if __name__ == "__main__":
    main()
