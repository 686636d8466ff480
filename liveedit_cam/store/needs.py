"""What a model needs to run, computed from its sizes, and what this machine has."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.model.config import ModelConfig
from liveedit_cam.store.catalogue import ModelEntry, Role
from liveedit_cam.store.disk import free_bytes

_BFLOAT16 = 2
_FLOAT32 = 4
_CODEC_NUMBERS_PER_PIXEL = 0.94e9 / (480 * 832)
"""What the decoder of Wan2.1 keeps between calls: 0.94e9 numbers at 480x832."""
_NORM_BUFFERS = 5
"""bfloat16 tensors alive where a layer is normalised: what comes in, and in float32 (two each) its
copy and the quotient."""
_CODEC_LEVELS = ((8, 4, 4, 1), (4, 2, 4, 2), (2, 2, 2, 4), (1, 1, 1, 4))
"""Of Wan's codec, both ways: pixels a cell, channels in and out as multiples of the width, frames
of a latent."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What matters of a computer for running a model."""

    gpu: str | None
    """Name of its first CUDA GPU; None = it has none that torch can use."""
    vram_bytes: int
    """Memory of that GPU; 0 without one."""
    ram_bytes: int | None
    """None = the system does not say."""
    models: Path
    """Where models are pulled to."""
    disk_bytes: int
    """Free there."""


@dataclass(frozen=True, slots=True)
class VramNeed:
    """Bytes of GPU memory a live edit takes, in bfloat16, without the text encoder."""

    weights: int
    caches: int
    """KV cache, text K/V, mask cache, the codec's state."""
    activations: int
    """The larger of transformer and codec, which do not run at the same time."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.weights + self.caches + self.activations


def this_machine(models: Path) -> Machine:
    """Look at this computer; ``models`` is where models are pulled to. Loads torch."""
    import torch

    gpu, vram = None, 0
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        gpu, vram = properties.name, properties.total_memory
    return Machine(gpu, vram, _ram_bytes(), models, free_bytes(models))


def _ram_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def num_parameters(config: ModelConfig) -> int:
    """Numbers in the weights of ``CausalDiT(config)``. Loads torch."""
    from liveedit_cam.model.wan.checkpoint import expected_tensors

    return sum(tensor.numel() for tensor in expected_tensors(config).values())


def codec_numbers(config: ModelConfig, num_latents: int) -> int:
    """Numbers alive at once where Wan's codec is widest, ``num_latents`` in one call.

    Layer by layer: a block keeps its input for the shortcut (of other channels where they change)
    while it normalises (5 tensors) or convolves (the layer before, it with two frames of the past,
    the same padded).
    """
    widest, pixels = 0, config.height * config.width
    for side, inner, outer, frames in _CODEC_LEVELS:
        count = frames * num_latents
        with_past = (count + 2) / count
        shortcut = 0 if inner == outer else outer
        tensors = max(
            _NORM_BUFFERS * max(inner, outer),
            _NORM_BUFFERS * inner + shortcut,
            2 * outer + 2 * with_past * outer,
        )
        numbers = tensors * config.codec.decoder_width * count * pixels / side**2
        widest = max(widest, round(numbers))
    return widest


def vram_need(
    config: ModelConfig, num_codec_parameters: int, *, one_by_one: bool = False
) -> VramNeed:
    """GPU memory for a live edit at the model's own picture size: computed, not measured.

    ``one_by_one``: the codec works latent by latent, as it does where memory ran out. With n tokens
    a latent, L layers, width D, F of the FFN, window W, chunk c, text length T, all times 2 bytes:

    - weights: parameters of transformer and codec
    - caches: 2 L W n D (keys and values), 2 L T D (of the text), L c n D (the mask cache), 0.94e9
      numbers for each 480x832 pixels (the codec's state); as the window rolls, L (W - c) n D more
      for a moment, which the activations' place holds
    - activations: the most of the transformer, c n (2 F + 8 D) + 2 W n D (rotated keys, and
      values), of the codec (``codec_numbers``), and of the rolling window

    The CUDA context and the allocator's reserve come on top.
    """
    n, d, pixels = config.num_tokens, config.dim, config.height * config.width
    window, chunk = config.window_latents * n, config.chunk_latents * n
    caches = (
        2 * config.num_layers * (window + config.text.max_tokens) * d
        + config.num_layers * chunk * d
        + round(_CODEC_NUMBERS_PER_PIXEL * pixels)
    )
    transformer = chunk * (2 * config.ffn_dim + 8 * d) + 2 * window * d
    sinks = config.num_sink_latents * n
    rolled = config.num_layers * (window - chunk - sinks) * d
    codec = codec_numbers(config, 1 if one_by_one else config.chunk_latents)
    return VramNeed(
        weights=_BFLOAT16 * (num_parameters(config) + num_codec_parameters),
        caches=_BFLOAT16 * caches,
        activations=_BFLOAT16 * max(transformer, codec, rolled),
    )


def parameters_of(entry: ModelEntry, role: Role) -> int:
    """Numbers in the weights of the part with that role; 0 where it is not known or not there."""
    return sum(part.num_parameters or 0 for part in entry.parts if part.role is role)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bounds of a size, in bytes; equal where it is known."""

    low: int
    high: int


def download_size(entry: ModelEntry) -> Estimate:
    """Bytes a first pull fetches, without asking the hub.

    Of a part whose sizes are not known: its numbers at 2 to 4 bytes each. Parts of which neither is
    known count nothing.
    """
    low = high = 0
    for part in entry.parts:
        sizes = [file.size_bytes for file in part.files if file.size_bytes is not None]
        if len(sizes) == len(part.files):
            low, high = low + sum(sizes), high + sum(sizes)
        else:
            numbers = part.num_parameters or 0
            low, high = low + _BFLOAT16 * numbers, high + _FLOAT32 * numbers
    return Estimate(low, high)


def text_bytes(entry: ModelEntry) -> int:
    """Memory the text encoder takes while it encodes, in bfloat16, on the CPU or the GPU."""
    return _BFLOAT16 * parameters_of(entry, Role.TEXT)
