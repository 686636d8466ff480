"""The networks of one model run in several ways side by side: quality, and time as a ratio.

Every way has a stream of its own over the same networks, and all edit a chunk before any edits the
next one, so that whatever else the machine does falls on all of them. Always the plain path
(``Speed()``): nothing compiled, nothing recorded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.ablations.cases import NOTHING, Case, draw_cases
from liveedit_cam.lab.ablations.clock import BlockClock
from liveedit_cam.lab.ablations.records import VariantRow
from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.evaluation.benchmark import Video, as_tensor
from liveedit_cam.lab.evaluation.metrics import PictureFigures, capped_psnr, picture_figures
from liveedit_cam.model import EditStream, ModelConfig
from liveedit_cam.model.codec import Codec, CodecStream
from liveedit_cam.model.conditioning import KVPolicy, TextConditioning
from liveedit_cam.model.config import PRESETS, model_size
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.governor import FULL_STEPS
from liveedit_cam.model.latent_stream import Networks
from liveedit_cam.model.mask_cache import MaskCache
from liveedit_cam.model.speed.fast import Speed
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.weight_files import load_weights
from liveedit_cam.model.weights import (
    FILES,
    choose_device,
    fast_dtype,
    named_folder,
    read_config,
)

LEAST_GAIN_DB = 6.0
"""Gain inside the mask, over the source, from which on an edit counts as made: half the error."""
NUM_CHUNKS, FIRST_MEASURED = 6, 2
"""Chunks edited per case, and the first that counts: the window is full, the mask cache acts."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedNano:
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


Edit = Callable[[EditStream, Video, TextConditioning], Video]
"""One chunk, uint8 (T, H, W, 3), to what is measured of it."""


class Steps:
    """Where a part stands; this one shows nothing."""

    def begin(self, total: int) -> None:
        """A part begins that will advance ``total`` times."""

    def advance(self) -> None:
        """One step of it is done."""


@dataclass(frozen=True, slots=True, eq=False)
class Setup:
    """What every part is given."""

    networks: LoadedNano
    clips: tuple[Clip, ...]
    runs: Path
    """Folder of the training stages' runs."""
    minutes: float
    """Length of the stream that is watched for drift."""
    steps: Steps
    least_gain_db: float = LEAST_GAIN_DB
    gains: dict[tuple[str, str], float] = field(default_factory=dict)
    """What the model gains inside the edit mask, by clip and prompt, as far as known."""

    def cases(self, edits: Sequence[str], per_clip: int = 2) -> tuple[Case, ...]:
        """Up to ``per_clip`` cases of each kind of ``edits`` on each clip that the model makes.

        An edit it does not make costs nothing to reuse and loses nothing. Raises UsageError where
        it makes none of a kind.
        """
        found: list[Case] = []
        for kind in edits:
            made = [case for case in draw_cases(self.clips, (kind,)) if self._makes(case)]
            if not made:
                raise UsageError(
                    f"got no {kind} edit that {self.networks.config.name} makes by "
                    f"{self.least_gain_db:g} dB on {', '.join(clip.name for clip in self.clips)}",
                    hint="Take more --clips, or ask for less with --least-gain.",
                )
            for clip in self.clips:
                found += [case for case in made if case.clip is clip][:per_clip]
        return tuple(found)

    def _makes(self, case: Case) -> bool:
        if case.edits == NOTHING:
            return True
        key = (case.clip.name, case.prompt)
        if key not in self.gains:
            self.gains[key] = _gain_db(self.networks, case)
        return self.gains[key] >= self.least_gain_db


def _gain_db(networks: LoadedNano, case: Case) -> float:
    """How much nearer to its target a case comes inside its edit mask, everything recomputed."""
    stream = make_stream(networks, Variant("", replace(networks.config, mask_target="none")))
    conditioning, count = stream.encode_text(case.prompt), stream.chunk_frames
    for chunk in range(FIRST_MEASURED + 1):
        source = case.source(chunk * count, count)
        output = stream.edit(source, conditioning)
    original, target, mask = case.exact(FIRST_MEASURED * count, count)
    figures = picture_figures(as_tensor(output), original, target, mask)
    assert figures.inside_db is not None, f"{case.prompt} edits nothing"
    assert figures.source_inside_db is not None, "a figure of the same mask"
    return figures.inside_db - figures.source_inside_db


def load_networks(model: str, device: str) -> LoadedNano:
    """Load a model by name or folder. Raises UsageError (name, device) or WeightsError (files)."""
    folder = named_folder(model) if model in PRESETS else Path(model)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise UsageError(
            f"got model {model!r}, whose {', '.join(missing)} is not in {folder}",
            hint="Give nano, or a folder that `liveedit-cam train export` wrote.",
        )
    # the paper's four steps and context pass, whatever the model ships with
    shipped, target = read_config(folder / "config.json"), choose_device(device)
    config = replace(shipped, timesteps=FULL_STEPS, context_pass=True)
    dit, codec, text = CausalDiT(config), Codec(config.codec), TextEncoder(config.text)
    for network, file in ((dit, "model"), (codec, "codec"), (text, "text")):
        load_weights(network, folder / f"{file}.safetensors")
        network.to(target).float().eval().requires_grad_(False)
    dtype = fast_dtype(target)
    return LoadedNano(config, dit.to(dtype), codec, text, target, dtype)


def make_stream(
    networks: LoadedNano, variant: Variant, mask: MaskCache | None = None, *, holds: bool = False
) -> EditStream:
    """A stream run as ``variant`` says; ``mask`` stands in for its mask cache where given.

    ``holds``: hold still what holds still, with the same noise in every chunk, as live. It would
    hide what a variant changes, and make features more alike.
    """
    stream = EditStream(
        variant.config,
        Networks(networks.dit, CodecStream(networks.codec), networks.text),
        networks.device,
        networks.dtype,
        kv_policy=variant.policy,
        speed=Speed(),
    )
    if not holds:
        stream.new_steadier = None
        stream.reset()
    if mask is not None:
        stream._mask = mask
    return stream


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
    networks: LoadedNano,
    variants: Sequence[Variant],
    cases: Sequence[Case],
    steps: Steps,
    num_chunks: int = NUM_CHUNKS,
    first_measured: int = FIRST_MEASURED,
    edit: Edit = EditStream.edit,
) -> tuple[VariantRow, ...]:
    """Run all ``variants`` on all ``cases``; the first is the base. A row per variant and group.

    ``edit`` is what is timed and measured: composited frames, or ``decoded_edit``.
    """
    streams = [make_stream(networks, variant) for variant in variants]
    clock = BlockClock(networks.device)
    clock.watch(networks.dit)
    steps.begin(len(cases) * num_chunks)
    courses: defaultdict[str, list[list[Course]]] = defaultdict(list)
    for case in cases:
        courses[case.edits].append(
            _race(streams, case, clock, steps, num_chunks, first_measured, edit)
        )
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
    edit: Edit,
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
            edited = edit(stream, source, conditioning)
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
        size = output.shape[1:3]
        exact = (_resized(one, size) for one in (source_, target, mask[..., None]))
        figures = picture_figures(as_tensor(output), *exact)
        courses.append(Course(output, tuple(own_times), figures))
    return courses


def decoded_edit(stream: EditStream, source: Video, conditioning: TextConditioning) -> Video:
    """An edit as the codec decodes it, uint8 (T, h, w, 3) at model size.

    Compositing takes a smooth change from the model and all detail from the source: what a cache
    does to detail does not get through it.
    """
    small = small_frames(source, stream.config)
    edited = stream.decoded(small, conditioning)[1].permute(0, 2, 3, 1)
    found: Video = (255 * edited.clamp(0, 1)).round().byte().cpu().numpy()
    return found


def small_frames(frames: Video, config: ModelConfig) -> Video:
    """Copies at model size, uint8 (T, h, w, 3)."""
    height, width = model_size(config, *frames.shape[1:3])
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames])


def _resized(pictures: Tensor, size: tuple[int, ...]) -> Tensor:
    """Float (T, H, W, C) by areas to (T, h, w, C), or (T, h, w) where C is 1."""
    if tuple(pictures.shape[1:3]) != size:
        moved = pictures.permute(0, 3, 1, 2)
        pictures = F.interpolate(moved, size, mode="area").permute(0, 2, 3, 1)
    return pictures.squeeze(-1)


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
        source_db=fmean(course.figures.source_whole_db for course in own),
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
