"""Batches of encoded pairs, in line or on a thread while the last one trains. Knows no loss."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.codec import Codec
from liveedit_cam.training.data import Pair, PairMaker

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


CURRICULUM = (
    Phase(0.50, 1, 60, ((96, 160), (96, 160), (112, 144), (128, 96), (96, 96))),
    Phase(0.90, 1, 30, ((144, 256), (144, 256), (96, 160), (176, 128), (128, 160))),
    Phase(1.00, 3, 8, ((144, 256), (144, 256), (96, 160), (176, 128))),
)


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

    def to(self, device: torch.device) -> LatentBatch:
        """The same batch on ``device``."""
        return LatentBatch(
            self.source.to(device),
            self.target.to(device),
            self.subject.to(device),
            self.has_subject.to(device),
            self.prompts,
        )


def collate(pairs: Sequence[Pair], codec: Codec) -> LatentBatch:
    """Encode pairs one by one (their blocks stay in the processor's cache) and stack them."""
    s, t = codec.config.spatial_stride, codec.config.frames_per_latent

    def encode(frames: Tensor) -> Tensor:
        return codec.encode(frames.permute(3, 0, 1, 2).unsqueeze(0))

    subject = [F.avg_pool3d(p.subject[None, None], (t, s, s))[0, 0] for p in pairs]
    with torch.no_grad():
        return LatentBatch(
            source=torch.cat([encode(pair.source) for pair in pairs]),
            target=torch.cat([encode(pair.target) for pair in pairs]),
            subject=torch.stack(subject),
            has_subject=torch.tensor([pair.has_subject for pair in pairs]),
            prompts=tuple(pair.prompt for pair in pairs),
        )


def batches(
    maker: PairMaker, codec: Codec, curriculum: Sequence[Phase], first: int, iterations: int
) -> Iterator[LatentBatch]:
    """Make the batches of iterations ``first`` to ``iterations``, each when it is asked for."""
    frames = codec.config.frames_per_latent
    for iteration in range(first, iterations):
        maker.draws.begin(iteration)
        phase = next(p for p in curriculum if iteration / iterations < p.until)
        size = maker.rng.choice(phase.sizes)
        yield collate(maker.pairs(phase.batch, phase.num_latents, frames, *size), codec)


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
