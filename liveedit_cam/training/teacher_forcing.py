"""Stage "teacher forcing": the editor itself, block-causal, really with clean context.

Sequence = [clean | noisy] latents (facts: the paper's layout, not the released code's): a noisy
chunk sees itself and the clean chunks before it, within the live window. The clean past is
sometimes not the right edit but another one, or a faded one, so that the model trusts the source
more than its own past: that keeps errors from feeding themselves and makes a change of
instruction work with the cache kept.
"""

from __future__ import annotations

import random

import torch
from torch import Tensor

from liveedit_cam.model.attention import MaskedAttend, rotation_table, teacher_forcing_mask
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.generator import predict_x0
from liveedit_cam.model.schedule import FlowSchedule, add_noise
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.training.batches import LatentBatch
from liveedit_cam.training.editor import Editor
from liveedit_cam.training.losses import edit_loss, subject_loss


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

    def __init__(self, config: ModelConfig, text: TextEncoder, weights: Tensor, seed: int) -> None:
        """``text`` is frozen; ``weights`` (C,) of the latent channels."""
        self.config = config
        self.text = text
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.weights = weights
        self.rng = random.Random(seed)
        self.noise = torch.Generator().manual_seed(seed)

    def __call__(self, editor: Editor, batch: LatentBatch) -> tuple[Tensor, dict[str, float]]:
        """Weighted error of x0 plus 0.2 of the auxiliary subject loss."""
        source, target = batch.source, batch.target
        num_latents, chunk = source.shape[2], self.config.chunk_latents
        num_chunks = max(1, num_latents // chunk)
        sigma = draw_sigmas(self.schedule, (len(source), num_chunks), self.noise).to(source.device)
        sigma = sigma.repeat_interleave(num_latents // num_chunks, dim=1)
        noise = torch.randn(target.shape, generator=self.noise).to(source.device)
        noisy = add_noise(target, noise, sigma[:, None, :, None, None])
        with torch.no_grad():
            embeddings = self.text(batch.prompts)
        hidden: list[Tensor] = []
        tap = editor.dit.blocks[2 * self.config.num_layers // 3].register_forward_hook(
            lambda _m, _i, out: hidden.append(out)
        )
        grid = editor.dit.grid(source)
        positions, mask, past = list(range(num_latents)), None, None
        if num_chunks > 1:
            past = disturbed_past(batch, self.rng)
            chunk_tokens = chunk * grid[0] * grid[1]
            mask = teacher_forcing_mask(num_chunks, chunk_tokens).to(source.device)
            positions = positions * 2
        rotation = rotation_table(positions, grid, self.config.head_dim, source.device)
        attend = MaskedAttend(rotation, mask)
        x0 = self._predict(editor.dit, noisy, source, sigma, past, embeddings, attend)
        tap.remove()
        error = edit_loss(x0, target, source, self.weights)
        logits = editor.subject_logits(hidden[0], grid, num_latents)
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
