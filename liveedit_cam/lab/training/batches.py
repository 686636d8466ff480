"""Batches of encoded pairs, made in line or by processes beside the training. Knows no loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.lab.edits.regions import NUM_PARTS, UNKNOWN
from liveedit_cam.lab.edits.spec import EditSpec, Family
from liveedit_cam.lab.training.data import Pair
from liveedit_cam.lab.training.loop import Draws
from liveedit_cam.model.codec import Codec

ENCODED_AT_ONCE = 64
"""Pairs that a GPU encodes in one call."""
NUM_DRAWN = 60
"""Drawn scenes beside the real clips."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One kind of batch of a curriculum."""

    until: float
    """Share of the run, 0..1, at which this phase ends."""
    num_latents: int
    batch: int
    sizes: tuple[tuple[int, int], ...]
    """Height and width in pixels, drawn per batch."""
    long_share: float = 0.0
    """Share of the batches with LONG latents a pair and a quarter of the pairs."""


CURRICULUM = (
    Phase(0.50, 1, 60, ((96, 160), (96, 160), (112, 144), (128, 96), (96, 96))),
    Phase(0.90, 1, 30, ((144, 256), (144, 256), (96, 160), (176, 128), (128, 160))),
    Phase(1.00, 3, 8, ((144, 256), (144, 256), (96, 160), (176, 128))),
)


PICTURE_CURRICULUM = (
    Phase(
        1.00,
        1,
        48,
        (*((176, 320),) * 5, *((144, 256),) * 3, (96, 160), (176, 128), (192, 320)),
        long_share=0.04,
    ),
)
"""Where pictures are trained on: from weights that know clips already."""
LONG = 3


@dataclass(frozen=True, slots=True, eq=False)
class LatentBatch:
    """Encoded pairs."""

    source: Tensor
    """(B, C, T, H, W), unit variance."""
    target: Tensor
    subject: Tensor
    """(B, T, H, W): mean subject share of each latent cell."""
    has_subject: Tensor
    prompts: tuple[str, ...]
    known: Tensor | None = None
    """(B, T, H, W): share of each latent cell whose target is known; None = all."""
    expected: Tensor | None = None
    """(B,): mean squared change that such an edit makes, by its kind; None = not measured."""
    parts: Tensor | None = None
    """(B, T, H, W, NUM_PARTS): share of each latent cell that each part is, 0 where unknown; None =
    no pair has labels."""
    num_old: int = 0
    """So many at the front are pairs of clips, whose wordings the text encoder keeps."""

    def to(self, device: torch.device) -> LatentBatch:
        """The same batch on ``device``."""
        return LatentBatch(
            self.source.to(device),
            self.target.to(device),
            self.subject.to(device),
            self.has_subject.to(device),
            self.prompts,
            None if self.known is None else self.known.to(device),
            None if self.expected is None else self.expected.to(device),
            None if self.parts is None else self.parts.to(device),
            self.num_old,
        )


class Maker(Protocol):
    """What draws the pairs of a batch."""

    @property
    def draws(self) -> Draws:
        """Its random numbers."""

    def pairs(
        self, count: int, num_latents: int, frames_per_latent: int, height_px: int, width_px: int
    ) -> list[Pair]:
        """Draw ``count`` pairs."""


def kind_of(spec: EditSpec) -> str:
    """What edits of one size have in common: the thing named, or family and scope."""
    return spec.region or f"{spec.family}:{spec.scope}"


class ExpectedChange:
    """How far edits of each kind move the latents, measured on pairs of their own."""

    def __init__(self, by_kind: Mapping[str, float]) -> None:
        """``by_kind`` are mean squared weighted changes."""
        self.by_kind = dict(by_kind)
        self.mean = sum(by_kind.values()) / max(1, len(by_kind))

    @classmethod
    def measure(cls, maker: Maker, codec: Codec, weights: Tensor, count: int) -> ExpectedChange:
        """Of ``count`` pairs that ``maker`` draws, at nano's size."""
        sums: dict[str, list[float]] = {}
        maker.draws.begin(0)
        frames, scale = codec.config.frames_per_latent, weights.view(1, -1, 1, 1, 1)
        for _ in range(0, count, 20):
            pairs = maker.pairs(20, 1, frames, 144, 256)
            batch = collate(pairs, codec)
            change = ((batch.target - batch.source).square() * scale).mean((1, 2, 3, 4))
            for pair, value in zip(pairs, change.tolist(), strict=True):
                sums.setdefault(kind_of(pair.spec), []).append(value)
        return cls({kind: sum(values) / len(values) for kind, values in sums.items()})

    def of(self, spec: EditSpec) -> float:
        """Of edits like ``spec``; the mean of all kinds where its own was not met."""
        if spec.family is Family.IDENTITY:
            return self.mean
        return self.by_kind.get(kind_of(spec), self.mean)


def collate(
    pairs: Sequence[Pair],
    codec: Codec,
    expected: ExpectedChange | None = None,
    at_once: int | None = None,
) -> LatentBatch:
    """Make the targets of pairs of one size, encode both and stack them.

    All lie on the device of ``codec``. A processor takes pairs one by one, since their blocks then
    stay in its cache; a GPU takes many, since each call costs it as much as its work. ``at_once``
    is how many; None = what suits the device.
    """
    device = codec.basis.device
    count = at_once or (1 if device.type == "cpu" else ENCODED_AT_ONCE)
    groups = [pairs[at : at + count] for at in range(0, len(pairs), count)]
    has_parts = any(pair.parts is not None for pair in pairs)
    with torch.no_grad():
        return LatentBatch(
            source=torch.cat(
                [_encode(codec, group, [p.source for p in group]) for group in groups]
            ),
            target=torch.cat(
                [_encode(codec, group, [p.target() for p in group]) for group in groups]
            ),
            subject=torch.cat(
                [cells_of(codec, group, [p.subject for p in group]) for group in groups]
            ),
            has_subject=torch.tensor([pair.has_subject for pair in pairs], device=device),
            prompts=tuple(pair.prompt for pair in pairs),
            known=torch.cat([cells_of(codec, group, [p.known for p in group]) for group in groups]),
            parts=torch.cat([_parts(codec, group) for group in groups]) if has_parts else None,
            num_old=sum(pair.known is None for pair in pairs),
            expected=None
            if expected is None
            else torch.tensor([expected.of(pair.spec) for pair in pairs], device=device),
        )


def _encode(codec: Codec, pairs: Sequence[Pair], frames: Sequence[Tensor]) -> Tensor:
    """Latents (B, C, T, h, w) of ``frames`` of ``pairs``, each (T, H, W, 3) or (1, H, W, 3)."""
    whole = [lasting(one, pair.num_frames) for one, pair in zip(frames, pairs, strict=True)]
    return codec.encode(torch.stack(whole).permute(0, 4, 1, 2, 3))


def cells_of(codec: Codec, pairs: Sequence[Pair], masks: Sequence[Tensor | None]) -> Tensor:
    """Mean of each pair's mask in each latent cell, (B, T, h, w); 1 where it has none."""
    whole = [
        lasting(torch.ones_like(pair.subject) if mask is None else mask, pair.num_frames)
        for mask, pair in zip(masks, pairs, strict=True)
    ]
    pooled = F.avg_pool2d(torch.stack(whole), codec.config.spatial_stride)
    cells: Tensor = pooled.unflatten(1, (-1, codec.config.frames_per_latent)).mean(2)
    return cells


def _parts(codec: Codec, pairs: Sequence[Pair]) -> Tensor:
    """Share of each latent cell that each part is, (B, T, h, w, NUM_PARTS); 0 without labels."""
    t, cell = codec.config.frames_per_latent, 2 * codec.config.spatial_stride
    middles = []  # one frame of each latent tells enough
    for pair in pairs:
        parts = pair.parts
        if parts is None:
            height, width = pair.subject.shape[1:]
            parts = pair.subject.new_full((1, 2 * height, 2 * width), UNKNOWN, dtype=torch.uint8)
        middles.append(lasting(parts, pair.num_frames)[t // 2 :: t])
    return part_shares(torch.stack(middles), cell)


def part_shares(ids: Tensor, cell: int) -> Tensor:
    """Share of each cell of so many pixels a side that each part is; uint8 ids (..., H, W) to
    (..., H / cell, W / cell, NUM_PARTS).
    """
    rows, columns = ids.shape[-2] // cell, ids.shape[-1] // cell
    flat = ids.reshape(-1, rows, cell, columns, cell).long()
    count = len(flat) * rows * columns
    number = torch.arange(count, device=ids.device).view(-1, rows, 1, columns, 1)
    counts = torch.bincount((number * (UNKNOWN + 1) + flat).flatten(), minlength=count * 256)
    shares = counts.view(*ids.shape[:-2], rows, columns, UNKNOWN + 1)[..., :NUM_PARTS]
    return shares / cell**2


def lasting(frames: Tensor, count: int) -> Tensor:
    """(T, ...) of itself, or of the one frame that stands for all."""
    return frames if len(frames) == count else frames.expand(count, *frames.shape[1:])


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pairs each iteration of a run takes: the same however the run got there."""

    maker: Maker
    curriculum: Sequence[Phase]
    iterations: int
    """Of the whole run."""
    frames_per_latent: int

    def pairs(self, iteration: int) -> list[Pair]:
        """Draw the pairs of ``iteration``, counted from 0."""
        draws = self.maker.draws
        draws.begin(iteration)
        phase = next(p for p in self.curriculum if iteration / self.iterations < p.until)
        size = draws.rng.choice(phase.sizes)
        count, num_latents = phase.batch, phase.num_latents
        if phase.long_share and draws.rng.random() < phase.long_share:
            count, num_latents = max(1, count // 4), LONG
        return self.maker.pairs(count, num_latents, self.frames_per_latent, *size)


def batches(
    plan: Plan, codec: Codec, first: int, expected: ExpectedChange | None = None
) -> Iterator[LatentBatch]:
    """Make the batches of iterations ``first`` to the last, each when it is asked for."""
    for iteration in range(first, plan.iterations):
        yield collate(plan.pairs(iteration), codec, expected)
