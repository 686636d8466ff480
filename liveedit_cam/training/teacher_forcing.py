"""Stage "teacher forcing": the editor itself, block-causal, really with clean context.

Sequence = [clean | noisy] latents (facts: the paper's layout, not the released code's): a noisy
chunk sees itself and the clean chunks before it, within the live window. The clean past is
sometimes not the right edit but another one, or a faded one, so that the model trusts the source
more than its own past: that keeps errors from feeding themselves and makes a change of
instruction work with the cache kept.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.model.attention import MaskedAttend, rotation_table, teacher_forcing_mask
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.generator import predict_x0
from liveedit_cam.model.schedule import FlowSchedule, add_noise
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.training.clips import Clip
from liveedit_cam.training.data import Pair, PairMaker
from liveedit_cam.training.drawn import drawn_clips
from liveedit_cam.training.instructions import Palette
from liveedit_cam.training.loop import LoopConfig, Run
from liveedit_cam.training.losses import channel_weights, edit_loss, subject_loss

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
    Phase(0.50, 1, 48, ((96, 160), (96, 160), (112, 144), (128, 96), (96, 96))),
    Phase(0.88, 1, 24, ((144, 256), (144, 256), (96, 160), (176, 128), (128, 160))),
    Phase(1.00, 3, 6, ((144, 256), (144, 256), (96, 160), (176, 128))),
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


class Editor(nn.Module):
    """The DiT with its auxiliary subject head, which is not shipped."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dit = CausalDiT(config)
        self.subject_head = nn.Linear(config.dim, config.patch**2)


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
) -> Queue[LatentBatch]:
    """Make the batches of iterations ``first`` to ``iterations`` on a thread, two ahead."""
    queue: Queue[LatentBatch] = Queue(maxsize=2)

    def work() -> None:
        for iteration in range(first, iterations):
            share = iteration / iterations
            phase = next(p for p in curriculum if share < p.until)
            size = maker.rng.choice(phase.sizes)
            frames = codec.config.frames_per_latent
            queue.put(
                collate(
                    [maker.pair(phase.num_latents, frames, *size) for _ in range(phase.batch)],
                    codec,
                )
            )

    threading.Thread(target=work, daemon=True).start()
    return queue


def draw_sigmas(
    schedule: FlowSchedule, shape: tuple[int, int], random_source: torch.Generator
) -> Tensor:
    """Sigma per sample and latent: three quarters of the sampler's own, the rest from the table."""
    count = shape[0] * shape[1]
    steps = torch.tensor(schedule.sigmas, dtype=torch.float32)
    own = steps[torch.randint(0, len(steps), (count,), generator=random_source)]
    any_ = schedule.sample_sigmas(count, random_source)
    chosen = torch.where(torch.rand(count, generator=random_source) < 0.75, own, any_)
    return chosen.view(shape)


def disturbed_past(batch: LatentBatch, rng: random.Random) -> Tensor:
    """The clean past (B, C, T, H, W): the target, or it faded, another edit, the source."""
    past = batch.target.clone()
    for row in range(len(past)):
        if rng.random() < 0.6:
            continue
        kind = rng.random()
        if kind < 0.4:
            past[row] = torch.lerp(batch.source[row], batch.target[row], rng.random())
        elif kind < 0.7:
            past[row] = batch.source[row]
        else:
            other = rng.randrange(len(past))
            past[row] = batch.source[row] + (batch.target[other] - batch.source[other])
    return past


class TeacherForcing:
    """The loss of one batch."""

    def __init__(self, config: ModelConfig, codec: Codec, text: TextEncoder, seed: int) -> None:
        """``codec`` and ``text`` are frozen."""
        self.config = config
        self.codec = codec
        self.text = text
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.weights = channel_weights(codec.scale)
        self.rng = random.Random(seed)
        self.noise = torch.Generator().manual_seed(seed)

    def __call__(self, editor: Editor, batch: LatentBatch) -> tuple[Tensor, dict[str, float]]:
        """Weighted error of x0 plus 0.2 of the auxiliary subject loss."""
        source, target = batch.source, batch.target
        num_latents = source.shape[2]
        sigma = draw_sigmas(self.schedule, (len(source), num_latents), self.noise)
        noise = torch.randn(target.shape, generator=self.noise)
        noisy = add_noise(target, noise, sigma[:, None, :, None, None])
        with torch.no_grad():
            embeddings = self.text(batch.prompts)
        hidden: list[Tensor] = []
        tap = editor.dit.blocks[2 * self.config.num_layers // 3].register_forward_hook(
            lambda _m, _i, out: hidden.append(out)
        )
        grid = editor.dit.grid(source)
        positions, mask, past = list(range(num_latents)), None, None
        if num_latents > 1:
            past = disturbed_past(batch, self.rng)
            mask = teacher_forcing_mask(num_latents, grid[0] * grid[1])
            positions = positions * 2
        attend = MaskedAttend(rotation_table(positions, grid, self.config.head_dim), mask)
        x0 = self._predict(editor.dit, noisy, source, sigma, past, embeddings, attend)
        tap.remove()
        error = edit_loss(x0, target, source, self.weights)
        tokens = hidden[0].unflatten(1, (-1, grid[0] * grid[1]))[:, -num_latents:]
        logits = editor.subject_head(tokens).unflatten(2, grid)  # (B, T, h, w, p p)
        p = self.config.patch
        logits = logits.unflatten(-1, (p, p)).transpose(3, 4).flatten(4, 5).flatten(2, 3)
        subject = subject_loss(logits, batch.subject, batch.has_subject)
        return error + 0.2 * subject, {"edit": error.item(), "subject": subject.item()}

    def _predict(
        self,
        dit: CausalDiT,
        noisy: Tensor,
        source: Tensor,
        sigma: Tensor,
        past: Tensor | None,
        embeddings: Tensor,
        attend: MaskedAttend,
    ) -> Tensor:
        text = dit.text_kv(embeddings)
        if past is None:
            return predict_x0(dit, noisy, source, sigma, 1000 * sigma, text, attend)
        num_latents = noisy.shape[2]
        both = torch.cat((torch.zeros_like(sigma), sigma), dim=1)
        x0 = predict_x0(
            dit,
            torch.cat((past, noisy), dim=2),
            torch.cat((source, source), dim=2),
            both,
            1000 * both,
            text,
            attend,
        )
        return x0[:, :, num_latents:]


def train_editor(
    config: ModelConfig,
    clips: Sequence[Clip],
    codec: Codec,
    text: TextEncoder,
    palette: Palette,
    out: Path,
    loop: LoopConfig,
    seed: int,
    curriculum: Sequence[Phase] = CURRICULUM,
) -> CausalDiT:
    """Train in folder ``out`` and return the DiT with its mean weights."""
    torch.manual_seed(seed)
    editor = Editor(config)
    run = Run(out, editor, loop)
    codec, text = codec.requires_grad_(False), text.requires_grad_(False)
    stage = TeacherForcing(config, codec, text, seed + run.iteration)
    drawn = drawn_clips(NUM_DRAWN, seed)
    maker = PairMaker(clips, palette, seed + 1 + run.iteration, drawn)
    queue = batches(maker, codec, curriculum, run.iteration, loop.iterations)
    run.train(lambda _: stage(editor, queue.get()))
    mean = run.ema.module
    assert isinstance(mean, Editor)
    return mean.dit


def export_editor(config: ModelConfig, run: Path, path: Path) -> None:
    """Write the mean DiT weights of a run's newest checkpoint as 16-bit safetensors."""
    checkpoint = run / "checkpoint.pt"
    if not checkpoint.is_file():
        raise UsageError(
            f"got no {checkpoint}, expected one of the editor stage",
            hint="Run `liveedit-cam train editor` first.",
        )
    editor = Editor(config)
    editor.load_state_dict(torch.load(checkpoint, weights_only=True)["ema"])
    state = {k: v.half().contiguous() for k, v in editor.dit.state_dict().items()}
    partial = path.with_suffix(".partial")
    save_file(state, partial)
    partial.replace(path)
