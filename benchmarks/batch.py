"""Do the streams of several cameras cost less edited together than one after another?

    python benchmarks/batch.py [--model nano] [--streams 2 4 8]

A denoising step of N streams side by side (their latents and caches as one batch), against the same
step of one stream, in turn, with the window full and nothing reused: the most that editing in
batches could give. Processor time where the device is a processor, so that other programs do not
count; 1.0 = a batch costs what its streams cost one by one.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from bench import Figure, print_result

from liveedit_cam.model import EditStream, load
from liveedit_cam.model.generator import denoise_step
from liveedit_cam.model.kv_cache import KVCache

ROUNDS = 15


class Batch:
    """So many streams in one cache, their window full."""

    def __init__(self, stream: EditStream, count: int) -> None:
        config, device, dtype = stream.config, stream.device, stream.dtype
        width, height = config.size.of(1280, 720)
        grid = (height // config.token_px, width // config.token_px)
        self._stream = stream
        self._cache = KVCache(config, grid, device, dtype, count)
        stride = stream.codec.spatial_stride
        shape = (count, stream.codec.latent_channels, config.chunk_latents)
        self._source = torch.randn(*shape, height // stride, width // stride, device=device).to(
            dtype
        )
        kv = stream.encode_text("make it night").kv
        self._text = [(k.expand(count, -1, -1, -1), v.expand(count, -1, -1, -1)) for k, v in kv]
        self._noise = torch.Generator(device)
        while not self._cache.is_rolling:
            self.step()
            self._cache.commit()

    @torch.inference_mode()
    def step(self) -> None:
        """One denoising step."""
        stream = self._stream
        denoise_step(
            stream.dit,
            self._source,
            self._source,
            self._text,
            stream.schedule,
            0,
            self._cache,
            self._noise,
        )

    def seconds(self) -> float:
        """What a step takes."""
        is_cpu = self._stream.device.type == "cpu"
        clock = time.process_time if is_cpu else time.perf_counter
        began = clock()
        self.step()
        if not is_cpu:
            torch.cuda.synchronize()
        return clock() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--streams", type=int, nargs="+", default=[2, 4, 8])
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    stream = load(wanted.model)
    batches = {count: Batch(stream, count) for count in (1, *wanted.streams)}
    took: dict[int, list[float]] = {count: [] for count in batches}
    for _ in range(ROUNDS):
        for count, batch in batches.items():
            took[count].append(batch.seconds())
    one_s = statistics.median(took[1])
    figures: dict[str, Figure] = {"one_ms": 1000 * one_s, "device": str(stream.device)}
    for count in wanted.streams:
        figures[f"{count}_cost_to_one_by_one"] = statistics.median(took[count]) / count / one_s
    print_result("Do streams cost less side by side?", figures)


if __name__ == "__main__":
    main()
