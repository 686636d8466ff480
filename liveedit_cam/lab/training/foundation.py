"""Stage "foundation": the offline editor, bidirectional, with text dropout for guidance.

The paper's first stage: source latents beside the noisy ones by channel, every latent sees every
other, one noise level for the whole clip, flow matching. It is the teacher of the stage ``dmd``.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.loop import Draws
from liveedit_cam.lab.training.losses import diffusion_loss
from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.generator import predict_x0
from liveedit_cam.model.schedule import FlowSchedule, add_noise
from liveedit_cam.model.text import TextEncoder

TEXT_DROPOUT = 0.1
"""Share of samples whose instruction is left out, so that guidance has something to lean on."""
NO_TEXT = ""
"""The prompt of an instruction that was left out."""


def predict_bidirectional(
    dit: CausalDiT, noisy: Tensor, source: Tensor, sigma: Tensor, text: list[TextKV]
) -> Tensor:
    """x0 (B, C, T, H, W) with all latents visible to each other; ``sigma`` (B,), one a clip."""
    num_latents = source.shape[2]
    rotation = rotation_table(
        range(num_latents), dit.grid(source), dit.config.head_dim, source.device
    )
    levels = sigma[:, None].expand(-1, num_latents)
    attend = MaskedAttend(rotation, None)
    return predict_x0(dit, noisy, source, levels, 1000 * levels, text, attend)


class Foundation:
    """The loss of one batch."""

    def __init__(self, config: ModelConfig, text: TextEncoder, weights: Tensor, seed: int) -> None:
        """``text`` is frozen; ``weights`` (C,) of the latent channels."""
        self.text = text
        self.weights = weights
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.draws = Draws(seed)

    def __call__(self, editor: Editor, batch: LatentBatch) -> tuple[Tensor, dict[str, float]]:
        """Flow matching over the shifted table, per clip."""
        source, target = batch.source, batch.target
        sigma = self.schedule.sample_sigmas(len(source), self.draws.noise).to(source.device)
        noise = torch.randn(target.shape, generator=self.draws.noise).to(source.device)
        noisy = add_noise(target, noise, sigma.view(-1, 1, 1, 1, 1))
        prompts = [NO_TEXT if self.draws.rng.random() < TEXT_DROPOUT else p for p in batch.prompts]
        with torch.no_grad():
            embeddings = self.text(prompts)
        x0 = predict_bidirectional(editor.dit, noisy, source, sigma, editor.dit.text_kv(embeddings))
        levels = sigma[:, None].expand(-1, source.shape[2])
        loss = diffusion_loss(
            editor.dit.config.prediction, x0, target, source, levels, self.weights
        )
        return loss, {}


@torch.no_grad()
def sample_offline(
    dit: CausalDiT,
    source: Tensor,
    text: list[TextKV],
    no_text: list[TextKV],
    *,
    num_steps: int,
    guidance: float,
    shift: float,
    noise: torch.Generator,
) -> Tensor:
    """Edit a whole clip of latents (B, C, T, H, W) the slow way: Euler steps, guided.

    Two network evaluations a step; ``guidance`` 1 = the instruction alone, one evaluation. With 50
    steps this is the paper's 100 NFE.
    """
    u = torch.linspace(1, 0, num_steps + 1, dtype=torch.float64)
    sigmas = (shift * u / (1 + (shift - 1) * u)).tolist()
    x = torch.randn(source.shape, generator=noise).to(source)
    for sigma, following in itertools.pairwise(sigmas):
        levels = source.new_full((len(source),), sigma)
        x0 = predict_bidirectional(dit, x, source, levels, text)
        if guidance != 1.0:
            plain = predict_bidirectional(dit, x, source, levels, no_text)
            x0 = plain + guidance * (x0 - plain)
        flow = (x - x0) / sigma
        x = x + (following - sigma) * flow
    return x
