"""The networks of one model run in several ways side by side: quality, and time as a ratio.

Every way has a stream of its own over the same networks, and all edit a chunk before any edits the
next one, so that whatever else the machine does falls on all of them. Always the plain path
(``Speed()``): nothing compiled, nothing recorded.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median

import numpy as np
import torch
import torch.nn.functional as F
from ablation_cases import Case
from ablation_records import VariantRow
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.evaluation.benchmark import Video, as_tensor
from liveedit_cam.evaluation.metrics import PictureFigures, capped_psnr, picture_figures
from liveedit_cam.model import EditStream, ModelConfig
from liveedit_cam.model.codec import Codec, CodecStream
from liveedit_cam.model.config import PRESETS
from liveedit_cam.model.dit import PLAIN_PARTS, Block, BlockParts, CausalDiT, Modulation, TextKV
from liveedit_cam.model.fast import Speed
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.stream import KVPolicy
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.weight_files import load_weights
from liveedit_cam.model.weights import (
    FILES,
    choose_device,
    fastest_dtype,
    named_folder,
    read_config,
)
from liveedit_cam.training.clips import Clip

NUM_CHUNKS, FIRST_MEASURED = 6, 2
"""Chunks edited per case, and the first that counts: the window is full, the mask cache acts."""


@dataclass(frozen=True, slots=True, eq=False)
class Networks:
    """A loaded model, its weights shared by every stream of a run."""

    config: ModelConfig
    dit: CausalDiT
    codec: Codec
    text: TextEncoder
    device: torch.device
    dtype: torch.dtype
    """Of the DiT; codec and text encoder are float32."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run a model."""

    name: str
    config: ModelConfig
    policy: KVPolicy = "keep"
    share: float | None = None
    """Share of tokens that are always kept, as the paper does; None = the config's threshold."""


class Steps:
    """Where a part stands; this one shows nothing."""

    def begin(self, total: int) -> None:
        """A part begins that will advance ``total`` times."""

    def advance(self) -> None:
        """One step of it is done."""


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What every part is given."""

    networks: Networks
    clips: tuple[Clip, ...]
    runs: Path
    """Folder of the training stages' runs."""
    minutes: float
    """Length of the stream that is watched for drift."""
    steps: Steps


def load_networks(model: str, device: str) -> Networks:
    """Load a model by name or folder. Raises UsageError (name, device) or WeightsError (files)."""
    folder = named_folder(model) if model in PRESETS else Path(model)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise UsageError(
            f"got model {model!r}, whose {', '.join(missing)} is not in {folder}",
            hint="Give nano, or a folder that `liveedit-cam train export` wrote.",
        )
    config, target = read_config(folder / "config.json"), choose_device(device)
    dit, codec, text = CausalDiT(config), Codec(config.codec), TextEncoder(config.text)
    for network, file in ((dit, "model"), (codec, "codec"), (text, "text")):
        load_weights(network, folder / f"{file}.safetensors")
        network.to(target).float().eval().requires_grad_(False)
    dtype = fastest_dtype(target)
    return Networks(config, dit.to(dtype), codec, text, target, dtype)


def make_stream(networks: Networks, variant: Variant, mask: MaskCache | None = None) -> EditStream:
    """A stream run as ``variant`` says; ``mask`` stands in for its mask cache where given."""
    stream = EditStream(
        variant.config,
        networks.dit,
        CodecStream(networks.codec),
        networks.text,
        None,
        networks.device,
        networks.dtype,
        kv_policy=variant.policy,
        speed=Speed(),
    )
    if mask is None and variant.share is not None:
        mask = FixedShare(variant.config, variant.share)
    if mask is not None:
        stream._mask = mask
    return stream


class FixedShare(MaskCache):
    """The paper's mask: always the same share of tokens, those whose latents changed most."""

    def __init__(self, config: ModelConfig, share: float) -> None:
        """``share`` in 0..1 of the tokens of every latent are recomputed."""
        super().__init__(config)
        self.share = share

    def observe(self, edited: Tensor, source: Tensor) -> None:
        """Keep the ``share`` of largest change in every latent of the chunk, (1, C, T, H, W)."""
        super().observe(edited, source)
        distance = (edited - source).float().square().mean(dim=1)  # (1, T, H, W)
        token = F.max_pool2d(distance, self.config.patch)[0].flatten(1)  # (T, n)
        count = max(1, round(self.share * token.shape[1]))
        mask = torch.zeros_like(token, dtype=torch.bool)
        mask.scatter_(1, token.topk(count, dim=1).indices, True)
        self.edit_mask = mask.flatten()


class BlockClock:
    """Seconds of self-attention, pass by pass: gathering, projections, attention, merging."""

    def __init__(self, device: torch.device, now: Callable[[], float] = time.perf_counter) -> None:
        """``now`` in seconds; on a GPU it is asked once the device is done."""
        self.passes: list[float] = []
        """Of the current chunk: one entry per pass of the network."""
        self._device = device
        self._now = now
        self._began = 0.0
        self._first: Block | None = None

    def watch(self, dit: CausalDiT) -> None:
        """Time ``dit`` from now on; making another stream over it ends that."""
        first = dit.blocks[0]
        assert isinstance(first, Block), f"got a {type(first).__name__} among the blocks"
        self._first = first
        parts = replace(PLAIN_PARTS, enter=self._enter, cross=self._cross)
        assert isinstance(parts, BlockParts)
        for block in dit.blocks:
            assert isinstance(block, Block), f"got a {type(block).__name__} among the blocks"
            block.parts = parts

    def begin_chunk(self) -> None:
        """Forget the passes of the chunk before."""
        self.passes = []

    def _enter(self, block: Block, x: Tensor, six: Modulation) -> Tensor:
        if block is self._first:
            self.passes.append(0.0)
        y = PLAIN_PARTS.enter(block, x, six)
        self._began = self.read()
        return y

    def _cross(
        self, block: Block, x: Tensor, out: Tensor, six: Modulation, text: TextKV
    ) -> tuple[Tensor, Tensor]:
        self.passes[-1] += self.read() - self._began
        return PLAIN_PARTS.cross(block, x, out, six, text)

    def read(self) -> float:
        """Seconds, once the device has done what it was given."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return self._now()


@dataclass(frozen=True, slots=True)
class ChunkTime:
    """Seconds of one chunk of one stream, and what its mask cache kept."""

    chunk_s: float
    attention_s: float
    masked_s: float
    """Self-attention of the middle steps."""
    kept: float


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One variant over one case, the measured chunks alone."""

    output: Video
    times: tuple[ChunkTime, ...]
    figures: PictureFigures


def compare(
    networks: Networks,
    variants: Sequence[Variant],
    cases: Sequence[Case],
    steps: Steps,
    num_chunks: int = NUM_CHUNKS,
    first_measured: int = FIRST_MEASURED,
) -> tuple[VariantRow, ...]:
    """Run all ``variants`` on all ``cases``; the first is the base. A row per variant and group."""
    streams = [make_stream(networks, variant) for variant in variants]
    clock = BlockClock(networks.device)
    clock.watch(networks.dit)
    steps.begin(len(cases) * num_chunks)
    courses: defaultdict[str, list[list[Course]]] = defaultdict(list)
    for case in cases:
        courses[case.edits].append(_race(streams, case, clock, steps, num_chunks, first_measured))
    rows = []
    for edits, races in courses.items():
        for number, variant in enumerate(variants):
            rows.append(_row(variant, edits, number, races))
    return tuple(rows)


def _race(
    streams: Sequence[EditStream],
    case: Case,
    clock: BlockClock,
    steps: Steps,
    num_chunks: int,
    first_measured: int,
) -> list[Course]:
    """All streams over one case, chunk by chunk; each chunk begins with another stream."""
    for stream in streams:
        stream.reset()
    conditioning = streams[0].encode_text(case.prompt)
    count = streams[0].chunk_frames
    outputs: list[list[Video]] = [[] for _ in streams]
    times: list[list[ChunkTime]] = [[] for _ in streams]
    for chunk in range(num_chunks):
        source = case.source(chunk * count, count)
        for turn in range(len(streams)):
            place = (turn + chunk) % len(streams)
            stream = streams[place]
            clock.begin_chunk()
            began = clock.read()
            edited = stream.edit(source, conditioning)
            seconds = clock.read() - began
            if chunk >= first_measured:
                middle = clock.passes[1 : len(stream.config.timesteps) - 1]
                outputs[place].append(edited)
                times[place].append(
                    ChunkTime(seconds, sum(clock.passes), sum(middle), 1 - stream.skip_ratio)
                )
        steps.advance()
    first = first_measured * count
    source_, target, mask = case.exact(first, num_chunks * count - first)
    courses = []
    for parts, own_times in zip(outputs, times, strict=True):
        output = np.concatenate(parts)
        figures = picture_figures(as_tensor(output), source_, target, mask)
        courses.append(Course(output, tuple(own_times), figures))
    return courses


def _row(
    variant: Variant, edits: str, number: int, races: Sequence[Sequence[Course]]
) -> VariantRow:
    """Means and medians of variant ``number`` over the cases of one group."""
    own, base = [race[number] for race in races], [race[0] for race in races]
    pairs = [
        pair
        for one, other in zip(own, base, strict=True)
        for pair in zip(one.times, other.times, strict=True)
    ]
    inside = [c.figures.inside_db for c in own if c.figures.inside_db is not None]
    same = [
        capped_psnr(as_tensor(one.output), as_tensor(other.output))
        for one, other in zip(own, base, strict=True)
    ]
    whole_db = fmean(course.figures.whole_db for course in own)
    return VariantRow(
        variant=variant.name,
        edits=edits,
        num_cases=len(races),
        kept=fmean(time.kept for time, _ in pairs),
        whole_db=whole_db,
        inside_db=fmean(inside) if inside else None,
        loss_db=fmean(course.figures.whole_db for course in base) - whole_db,
        same_db=fmean(same) if number else None,
        masked_attention=median(a.masked_s / b.masked_s for a, b in pairs),
        attention=median(a.attention_s / b.attention_s for a, b in pairs),
        chunk=median(a.chunk_s / b.chunk_s for a, b in pairs),
        chunk_ms=1000 * median(a.chunk_s for a, _ in pairs),
    )
