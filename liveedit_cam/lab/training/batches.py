"""Batches of encoded pairs, in line or on a thread while the last one trains. Knows no loss."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.lab.edits.regions import NUM_PARTS
from liveedit_cam.lab.edits.spec import EditSpec, Family
from liveedit_cam.lab.training.data import Pair
from liveedit_cam.lab.training.loop import Draws
from liveedit_cam.model.codec import Codec

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
        (*((144, 256),) * 5, *((96, 160),) * 3, (176, 128), (192, 320)),
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
    pairs: Sequence[Pair], codec: Codec, expected: ExpectedChange | None = None
) -> LatentBatch:
    """Encode pairs one by one (their blocks stay in the processor's cache) and stack them."""
    s, t = codec.config.spatial_stride, codec.config.frames_per_latent

    def encode(frames: Tensor) -> Tensor:
        return codec.encode(frames.permute(3, 0, 1, 2).unsqueeze(0))

    def cells(mask: Tensor) -> Tensor:
        return F.avg_pool3d(mask[None, None], (t, s, s))[0, 0]

    def shares(pair: Pair, like: Tensor) -> Tensor:
        if pair.parts is None:
            return like.new_zeros((*like.shape, NUM_PARTS))
        middle = pair.parts[t // 2 :: t]  # one frame of each latent tells enough
        parts = torch.arange(NUM_PARTS, dtype=torch.uint8).view(-1, 1, 1, 1)
        return F.avg_pool2d((middle == parts).float(), 2 * s).permute(1, 2, 3, 0)

    subject = [cells(pair.subject) for pair in pairs]
    known = [
        torch.ones_like(mean) if pair.known is None else cells(pair.known)
        for pair, mean in zip(pairs, subject, strict=True)
    ]
    with torch.no_grad():
        return LatentBatch(
            source=torch.cat([encode(pair.source) for pair in pairs]),
            target=torch.cat([encode(pair.target) for pair in pairs]),
            subject=torch.stack(subject),
            has_subject=torch.tensor([pair.has_subject for pair in pairs]),
            prompts=tuple(pair.prompt for pair in pairs),
            known=torch.stack(known),
            parts=None
            if all(pair.parts is None for pair in pairs)
            else torch.stack([shares(p, mean) for p, mean in zip(pairs, subject, strict=True)]),
            num_old=sum(pair.known is None for pair in pairs),
            expected=None
            if expected is None
            else torch.tensor([expected.of(pair.spec) for pair in pairs]),
        )


def batches(
    maker: Maker,
    codec: Codec,
    curriculum: Sequence[Phase],
    first: int,
    iterations: int,
    expected: ExpectedChange | None = None,
) -> Iterator[LatentBatch]:
    """Make the batches of iterations ``first`` to ``iterations``, each when it is asked for."""
    frames = codec.config.frames_per_latent
    for iteration in range(first, iterations):
        maker.draws.begin(iteration)
        phase = next(p for p in curriculum if iteration / iterations < p.until)
        size = maker.draws.rng.choice(phase.sizes)
        count, num_latents = phase.batch, phase.num_latents
        if phase.long_share and maker.draws.rng.random() < phase.long_share:
            count, num_latents = max(1, count // 4), LONG
        yield collate(maker.pairs(count, num_latents, frames, *size), codec, expected)


def prefetch(stream: Iterator[LatentBatch], ahead: int = 2) -> Iterator[LatentBatch]:
    """The same batches, made on a thread up to ``ahead`` before they are asked for.

    For a network on a device of its own; on a processor the thread fights with it for the cores
    (2.6 instead of 2.3 s an iteration of nano on two). What the thread raises is raised here.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, stream, None) for _ in range(ahead))
        while (batch := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, stream, None))
            yield batch
