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
from liveedit_cam.lab.training.foundation import NO_TEXT
from liveedit_cam.lab.training.loop import Draws, Trainee
from liveedit_cam.lab.training.losses import edit_loss, flow_error
from liveedit_cam.lab.training.noise import noised
from liveedit_cam.lab.training.rollout import rollout
from liveedit_cam.lab.training.sharding import through
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.sampling import predict_bidirectional
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.stream_codec import PromptEncoder

CRITIC_UPDATES = 5
GUIDANCE = 3.0
"""real = c + GUIDANCE (c - u): an ordinary guidance scale of 4. For models of the flow; those of
the change take 0, since their guided teacher is the worse one (17 against 29 dB)."""
LOWEST_T, HIGHEST_T = 20.0, 980.0


class Dmd:
    """The student's loss; each call also trains the critic."""

    def __init__(
        self,
        config: ModelConfig,
        text: PromptEncoder,
        weights: Tensor,
        real: Editor,
        critic: Trainee,
        next_batch: Callable[[], LatentBatch],
        seed: int,
        guidance: float | None = None,
        exit_seed: int = 0,
    ) -> None:
        """``real`` is frozen; ``critic`` holds an Editor that starts as ``real`` does.

        ``guidance`` of the real score, 0 = none, None = GUIDANCE for models of the flow, else 0.
        ``exit_seed`` is the same in every process: all leave their rollouts at the same step.
        """
        default = GUIDANCE if config.prediction == "flow" else 0.0
        self.guidance = default if guidance is None else guidance
        self.exit_draws = Draws(exit_seed)
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
        self.exit_draws.begin(iteration)
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
        levels = sigma[:, None].expand(-1, result.shape[2])
        embeddings = self._embed(batch.prompts)

        def loss_of(fake: Editor) -> Tensor:
            text = fake.dit.text_kv(embeddings)
            x0 = predict_bidirectional(fake.dit, noisy, batch.source, sigma, text)
            if fake.dit.config.prediction == "flow":  # all timesteps alike (facts 7.4)
                return flow_error(x0, result, levels).mean()
            return edit_loss(x0, result, batch.source, self.weights)

        return self.critic.update(through(editor, loss_of), iteration)

    def _rollout(self, student: Editor, batch: LatentBatch) -> Tensor:
        last = len(self.schedule.timesteps) - 1
        exit_step = self.exit_draws.rng.randint(0, last)
        embeddings, noise = self._embed(batch.prompts), self.draws.noise

        def work(editor: Editor) -> Tensor:
            text = editor.dit.text_kv(embeddings)
            return rollout(editor.dit, batch.source, text, self.schedule, exit_step, noise)

        return through(student, work)

    @torch.no_grad()
    def _gradient(self, result: Tensor, batch: LatentBatch) -> Tensor:
        """(fake - real) / mean |x - real|, per sample; (B, C, T, H, W)."""
        sigma, noisy = self._noised(result)
        editor = self.critic.module
        assert isinstance(editor, Editor)

        def score(scorer: Editor, prompts: tuple[str, ...]) -> Tensor:
            embeddings = self._embed(prompts)

            def work(editor: Editor) -> Tensor:
                text = editor.dit.text_kv(embeddings)
                return predict_bidirectional(editor.dit, noisy, batch.source, sigma, text)

            return through(scorer, work)

        real = score(self.real, batch.prompts)
        if self.guidance:
            plain = score(self.real, (NO_TEXT,) * len(batch.prompts))
            real = real + self.guidance * (real - plain)
        fake = score(editor, batch.prompts)
        size = (result - real).abs().mean((1, 2, 3, 4), keepdim=True)
        return ((fake - real) / size).nan_to_num()

    def _noised(self, result: Tensor) -> tuple[Tensor, Tensor]:
        """Sigma, shape (B,), by the timestep rule, and the noised latents (B, C, T, H, W)."""
        u = torch.rand(len(result), generator=self.draws.noise)
        shift = self.schedule.shift
        timestep = (1000 * shift * u / (1 + (shift - 1) * u)).clamp(LOWEST_T, HIGHEST_T)
        sigma = (timestep / 1000).to(result)
        return sigma, noised(result, sigma[:, None], self.draws.noise)

    @torch.no_grad()
    def _embed(self, prompts: tuple[str, ...]) -> Tensor:
        embeddings: Tensor = self.text(prompts)
        return embeddings
