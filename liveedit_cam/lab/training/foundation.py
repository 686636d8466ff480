"""Stage "foundation": the offline editor, bidirectional, with text dropout for guidance.

The paper's first stage: source latents beside the noisy ones by channel, every latent sees every
other, one noise level for the whole clip, flow matching. It is the teacher of the stage ``dmd``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.loop import Draws
from liveedit_cam.lab.training.losses import diffusion_loss
from liveedit_cam.lab.training.noise import noised
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.sampling import predict_bidirectional
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.stream_codec import PromptEncoder

TEXT_DROPOUT = 0.1
"""Share of samples whose instruction is left out, so that guidance has something to lean on."""
NO_TEXT = ""
"""The prompt of an instruction that was left out."""


class Foundation:
    """The loss of one batch."""

    def __init__(
        self,
        config: ModelConfig,
        text: PromptEncoder,
        weights: Tensor,
        seed: int,
        text_dropout: float = TEXT_DROPOUT,
        source_dropout: float = 0.0,
    ) -> None:
        """``text`` is frozen; ``weights`` (C,) of the latent channels.

        ``text_dropout`` and ``source_dropout``, 0..1, are the shares of samples without their
        instruction and without their source, which is zero there.
        """
        self.text_dropout, self.source_dropout = text_dropout, source_dropout
        self.text = text
        self.weights = weights
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.draws = Draws(seed)

    def __call__(self, editor: Editor, batch: LatentBatch) -> tuple[Tensor, dict[str, float]]:
        """Flow matching over the shifted table, per clip."""
        source, target = batch.source, batch.target
        sigma = self.schedule.sample_sigmas(len(source), self.draws.noise).to(source.device)
        noisy = noised(target, sigma[:, None], self.draws.noise)
        draw = self.draws.rng.random
        prompts = [NO_TEXT if draw() < self.text_dropout else p for p in batch.prompts]
        if self.source_dropout:
            kept = [draw() >= self.source_dropout for _ in batch.prompts]
            source = source * torch.tensor(kept, device=source.device).view(-1, 1, 1, 1, 1)
        with torch.no_grad():
            embeddings = self.text(prompts)
        x0 = predict_bidirectional(editor.dit, noisy, source, sigma, editor.dit.text_kv(embeddings))
        levels = sigma[:, None].expand(-1, source.shape[2])
        loss = diffusion_loss(
            editor.dit.config.prediction, x0, target, source, levels, self.weights
        )
        return loss, {}
