"""Stage "dmd": four steps and no guidance, by matching the distribution of the foundation stage.

Distribution matching distillation over self-rollouts (facts 7.4): the student edits chunk by chunk
with its KV cache; a frozen real score with guidance and a trained fake score say in which
direction its results should move. Five critic updates for one of the student.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.foundation import NO_TEXT, predict_bidirectional
from liveedit_cam.lab.training.loop import Draws, Trainee
from liveedit_cam.lab.training.losses import diffusion_loss
from liveedit_cam.lab.training.rollout import rollout
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.schedule import FlowSchedule, add_noise
from liveedit_cam.model.text import TextEncoder

CRITIC_UPDATES = 5
GUIDANCE = 3.0
"""real = c + GUIDANCE (c - u): an ordinary guidance scale of 4."""
LOWEST_T, HIGHEST_T = 20.0, 980.0


class Dmd:
    """The student's loss; each call also trains the critic."""

    def __init__(
        self,
        config: ModelConfig,
        text: TextEncoder,
        weights: Tensor,
        real: CausalDiT,
        critic: Trainee,
        next_batch: Callable[[], LatentBatch],
        seed: int,
    ) -> None:
        """``real`` is frozen; ``critic`` holds an Editor that starts as ``real`` does."""
        self.text = text
        self.weights = weights
        self.schedule = FlowSchedule(config.timesteps, config.shift)
        self.real = real.requires_grad_(False).eval()
        self.critic = critic
        self.next_batch = next_batch
        self.draws = Draws(seed)

    def __call__(self, student: Editor, iteration: int) -> tuple[Tensor, dict[str, float]]:
        """Five critic updates, then the loss whose gradient is that of facts 7.4."""
        self.draws.begin(iteration)
        critic_loss = 0.0
        for _ in range(CRITIC_UPDATES):
            critic_loss += self._train_critic(student, iteration) / CRITIC_UPDATES
        batch = self.next_batch()
        result = self._rollout(student, batch)
        gradient = self._gradient(result.detach(), batch)
        wanted = (result - gradient).detach()
        loss = 0.5 * (result.double() - wanted.double()).square().mean()
        return loss, {"critic": critic_loss, "gradient": gradient.abs().mean().item()}

    def _train_critic(self, student: Editor, iteration: int) -> float:
        batch = self.next_batch()
        with torch.no_grad():
            result = self._rollout(student, batch)
        sigma, noisy = self._noised(result)
        editor = self.critic.module
        assert isinstance(editor, Editor)
        fake = editor.dit
        x0 = predict_bidirectional(
            fake, noisy, batch.source, sigma, fake.text_kv(self._embed(batch.prompts))
        )
        levels = sigma[:, None].expand(-1, result.shape[2])
        loss = diffusion_loss(
            fake.config.prediction, x0, result, batch.source, levels, self.weights
        )
        return self.critic.update(loss, iteration)

    def _rollout(self, student: Editor, batch: LatentBatch) -> Tensor:
        last = len(self.schedule.timesteps) - 1
        exit_step = int(torch.randint(0, last + 1, (), generator=self.draws.noise))
        text = student.dit.text_kv(self._embed(batch.prompts))
        return rollout(student.dit, batch.source, text, self.schedule, exit_step, self.draws.noise)

    @torch.no_grad()
    def _gradient(self, result: Tensor, batch: LatentBatch) -> Tensor:
        """(fake - real) / mean |x - real|, per sample; (B, C, T, H, W)."""
        sigma, noisy = self._noised(result)
        editor = self.critic.module
        assert isinstance(editor, Editor)

        def score(dit: CausalDiT, prompts: tuple[str, ...]) -> Tensor:
            text = dit.text_kv(self._embed(prompts))
            return predict_bidirectional(dit, noisy, batch.source, sigma, text)

        asked = score(self.real, batch.prompts)
        real = asked + GUIDANCE * (asked - score(self.real, (NO_TEXT,) * len(batch.prompts)))
        fake = score(editor.dit, batch.prompts)
        size = (result - real).abs().mean((1, 2, 3, 4), keepdim=True)
        return ((fake - real) / size).nan_to_num()

    def _noised(self, result: Tensor) -> tuple[Tensor, Tensor]:
        """Sigma, shape (B,), by the timestep rule, and the noised latents (B, C, T, H, W)."""
        u = torch.rand(len(result), generator=self.draws.noise)
        shift = self.schedule.shift
        timestep = (1000 * shift * u / (1 + (shift - 1) * u)).clamp(LOWEST_T, HIGHEST_T)
        sigma = (timestep / 1000).to(result)
        noise = torch.randn(result.shape, generator=self.draws.noise).to(result)
        return sigma, add_noise(result, noise, sigma.view(-1, 1, 1, 1, 1))

    @torch.no_grad()
    def _embed(self, prompts: tuple[str, ...]) -> Tensor:
        embeddings: Tensor = self.text(prompts)
        return embeddings
