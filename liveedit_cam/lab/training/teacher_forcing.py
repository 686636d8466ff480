"""Stage "teacher forcing": the editor itself, block-causal, really with clean context.

Sequence = [clean | noisy] latents (facts: the paper's layout, not the released code's): a noisy
chunk sees itself and the clean chunks before it, within the live window. The clean past is
sometimes not the right edit but another one, or a faded one, so that the model trusts the source
more than its own past: that keeps errors from feeding themselves and makes a change of
instruction work with the cache kept.

A target under little noise gives the answer away, and a model that only ever saw such inputs learns
to confirm in its later steps what the first one said. So most samples are noised from the model's
own estimate, step by step as it runs live (Self Forcing's rollout within a chunk): every step then
learns to correct the ones before it. With ``rollout_share`` 0 all are noised from the target, as
in the paper; models of the change (nano) still learn x0, most often at the sampler's own sigmas.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from liveedit_cam.lab.edits.regions import PART_WEIGHTS
from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.blocks import BlockAttend, teacher_forcing_blocks
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.loop import Draws
from liveedit_cam.lab.training.losses import diffusion_loss, named_loss, parts_loss, subject_loss
from liveedit_cam.lab.training.noise import noised
from liveedit_cam.model.attention import (
    MaskedAttend,
    SelfAttend,
    rotation_table,
    teacher_forcing_mask,
)
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import predict_x0
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.stream_codec import PromptEncoder

OWN_SHARE = 0.9
"""Share of the samples of models of the change that are noised from the model's own estimate."""
LARGEST_DENSE = 4096
"""Tokens of a sequence up to which a GPU attends under a dense mask: 8 MB, nothing to compile."""
ANCHOR_WEIGHT = 4.0
"""Of the squared distance of old prompts' embeddings from what they were."""
PARTS_WEIGHT = 0.5
"""Of the cross-entropy of what each cell is, in the loss."""
MATCH_WEIGHT = 1.0
"""Of the cross-entropy of where the source is like what the instruction names."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """What every step of one batch sees besides its noisy latents."""

    source: Tensor
    past: Tensor | None
    """Clean latents before the noisy ones, (B, C, T, H, W) like ``source``; None = no past."""
    text: tuple[TextKV, ...]
    attend: SelfAttend

    def rows(self, index: Tensor) -> Inputs:
        """Some samples of the batch."""
        past = None if self.past is None else self.past[index]
        text = tuple((key[index], value[index]) for key, value in self.text)
        return Inputs(self.source[index], past, text, self.attend)


class TeacherForcing:
    """The loss of one batch."""

    def __init__(
        self,
        config: ModelConfig,
        text: PromptEncoder,
        weights: Tensor,
        seed: int,
        rollout_share: float | None = None,
        first_step_share: float = 0.5,
    ) -> None:
        """``text`` is frozen; ``weights`` (C,) of the latent channels.

        ``rollout_share`` of the samples, 0..1, are noised from the model's own estimate;
        ``first_step_share`` of those stop at the first step, which all others build on. None = 0
        for models of the flow, as the paper trains them, else OWN_SHARE.
        """
        self.config = config
        self.text = text
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.weights = weights
        self.is_flow = config.prediction == "flow"
        own_share = 0.0 if self.is_flow else OWN_SHARE
        self.rollout_share = own_share if rollout_share is None else rollout_share
        self.first_step_share = first_step_share
        self.draws = Draws(seed)

    def __call__(self, editor: Editor, batch: LatentBatch) -> tuple[Tensor, dict[str, float]]:
        """Weighted error of x0 plus 0.2 of the auxiliary subject loss."""
        source, target = batch.source, batch.target
        grid = editor.dit.grid(source)
        embeddings, distance = self._embeddings(editor, batch)
        inputs = self._inputs(editor.dit, batch, grid, embeddings)
        steps = self._draw_steps(len(source))
        estimate = own_estimate(editor.dit, inputs, steps, self.schedule, self.draws.noise)
        sigma = self._draw_sigmas(self._chunks(source))
        sigma = sigma.repeat_interleave(source.shape[2] // sigma.shape[1], dim=1)
        is_own = steps >= 0
        sigma[is_own] = torch.tensor(self.schedule.sigmas)[steps[is_own], None]
        sigma, is_own = sigma.to(source.device), is_own.to(source.device)
        start = torch.where(is_own.view(-1, 1, 1, 1, 1), estimate, target)
        num_layers, noisy = self.config.num_layers, noised(start, sigma, self.draws.noise)
        dit = editor.dit
        told = [dit.blocks[num_layers // 2], dit.blocks[2 * num_layers // 3]]
        if dit.match is not None:
            told.insert(0, dit.match)  # before the blocks, of what they are given
        with _tapped(told) as heard:
            x0 = _predict(dit, inputs, noisy, sigma)
        *found, lower, upper = heard
        error = diffusion_loss(
            self.config.prediction,
            x0,
            target,
            source,
            sigma,
            self.weights,
            batch.known,
            batch.expected,
        )
        logits = editor.subject_logits(upper, grid, source.shape[2])
        subject = subject_loss(logits, batch.subject, batch.has_subject)
        loss = error + 0.2 * subject + ANCHOR_WEIGHT * distance
        values = {"edit": error.item(), "subject": subject.item()}
        if found:
            maps = found[0][batch.has_subject, 0, -source.shape[2] :]
            match = named_loss(maps.flatten(0, 1), batch.subject[batch.has_subject].flatten(0, 1))
            loss = loss + MATCH_WEIGHT * match
            values["match"] = match.item()
        if batch.parts is not None:
            said = editor.parts_logits(lower, grid, source.shape[2])
            parts = parts_loss(said, batch.parts, said.new_tensor(PART_WEIGHTS))
            loss = loss + PARTS_WEIGHT * parts
            values["parts"] = parts.item()
        if editor.text is not None:
            values["anchor"] = distance.item()
        return loss, values

    def _embeddings(self, editor: Editor, batch: LatentBatch) -> tuple[Tensor, Tensor]:
        """Of the prompts, and how far those of the old pairs went from the frozen encoder's."""
        with torch.no_grad():
            former = self.text(batch.prompts)
        if editor.text is None:
            return former, former.new_zeros(())
        embeddings = editor.text(batch.prompts)
        old = batch.num_old
        if not old:
            return embeddings, embeddings.new_zeros(())
        return embeddings, F.mse_loss(embeddings[:old], former[:old])

    def _draw_sigmas(self, shape: tuple[int, int]) -> Tensor:
        """Of each sample and chunk: every timestep of the table alike for models of the flow."""
        if self.is_flow:
            count = shape[0] * shape[1]
            return self.schedule.sample_sigmas(count, self.draws.noise).view(shape)
        return draw_sigmas(self.schedule, shape, self.draws.noise)

    def _chunks(self, source: Tensor) -> tuple[int, int]:
        """Samples and chunks of a batch."""
        return len(source), max(1, source.shape[2] // self.config.chunk_latents)

    def _inputs(
        self, dit: CausalDiT, batch: LatentBatch, grid: tuple[int, int], embeddings: Tensor
    ) -> Inputs:
        source, num_latents = batch.source, batch.source.shape[2]
        positions, past = list(range(num_latents)), None
        _, num_chunks = self._chunks(source)
        if num_chunks > 1:
            past = batch.target if self.is_flow else disturbed_past(batch, self.draws.rng)
            positions = positions * 2
        rotation = rotation_table(positions, grid, self.config.head_dim, source.device)
        text = tuple(dit.text_kv(embeddings))
        return Inputs(source, past, text, self._attend(rotation, num_chunks, grid))

    def _attend(self, rotation: Tensor, num_chunks: int, grid: tuple[int, int]) -> SelfAttend:
        """Attention under the mask of so many chunks; all see each other where there is one."""
        if num_chunks == 1:
            return MaskedAttend(rotation, None)
        tokens = self.config.chunk_latents * grid[0] * grid[1]
        window = self.config.window_latents // self.config.chunk_latents
        if rotation.is_cuda and num_chunks * tokens > LARGEST_DENSE:
            blocks = teacher_forcing_blocks(num_chunks, tokens, window, rotation.device)
            return BlockAttend(rotation, blocks)
        mask = teacher_forcing_mask(num_chunks, tokens, window, device=rotation.device)
        return MaskedAttend(rotation, mask)

    def _draw_steps(self, count: int) -> Tensor:
        """The step each sample is at, int64, shape (count,); -1 = noised from its target."""
        num_steps = len(self.schedule.sigmas)
        shares = torch.full((num_steps,), (1 - self.first_step_share) / max(1, num_steps - 1))
        shares[0] = self.first_step_share
        steps = torch.multinomial(shares, count, replacement=True, generator=self.draws.noise)
        is_own = torch.rand(count, generator=self.draws.noise) < self.rollout_share
        return torch.where(is_own, steps, -1)


@contextmanager
def _tapped(modules: Sequence[nn.Module]) -> Iterator[list[Tensor]]:
    """The outputs of ``modules``, each called once and in this order by what runs inside."""
    heard: list[Tensor] = []
    taps = [
        module.register_forward_hook(lambda _m, _i, out: heard.append(out)) for module in modules
    ]
    try:
        yield heard
    finally:
        for tap in taps:
            tap.remove()


@torch.no_grad()
def own_estimate(
    dit: CausalDiT, inputs: Inputs, steps: Tensor, schedule: FlowSchedule, noise: torch.Generator
) -> Tensor:
    """What the model makes of each sample before its step, (B, C, T, H, W); zeros before step 0.

    ``steps`` int64 (B,), from 0. The loop of ``denoise_chunk``, each row up to its own step, all
    chunks at once over one clean past; ``rollout.rollout`` goes chunk by chunk over its own.
    """
    estimate = torch.zeros_like(inputs.source)
    for step, level in enumerate(schedule.sigmas[:-1]):
        rows = (steps > step).nonzero().flatten().to(estimate.device)
        if len(rows) == 0:
            break
        before = estimate[rows]
        sigma = before.new_full((len(rows), before.shape[2]), level)
        estimate[rows] = _predict(dit, inputs.rows(rows), noised(before, sigma, noise), sigma)
    return estimate


def _predict(dit: CausalDiT, inputs: Inputs, noisy: Tensor, sigma: Tensor) -> Tensor:
    """Estimate of the edited latents; ``sigma`` (B, T)."""
    source, past, text, attend = inputs.source, inputs.past, inputs.text, inputs.attend
    if past is None:
        return predict_x0(dit, noisy, source, sigma, 1000 * sigma, text, attend)
    both = torch.cat((torch.zeros_like(sigma), sigma), dim=1)
    sources = torch.cat((source, source), dim=2)
    latents = torch.cat((past, noisy), dim=2)
    x0 = predict_x0(dit, latents, sources, both, 1000 * both, text, attend)
    return x0[:, :, noisy.shape[2] :]
