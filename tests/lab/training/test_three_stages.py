"""The three stages: rollouts against live editing, losses by their formulas, the toy run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_model import TINY, tiny_codec, tiny_dit, tiny_text
from torch import Tensor, nn

from liveedit_cam.errors import ConfigError, UsageError
from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.training import dmd as dmd_stage
from liveedit_cam.lab.training import stages
from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.dmd import Dmd
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.export import export_model
from liveedit_cam.lab.training.foundation import Foundation
from liveedit_cam.lab.training.loop import LoopConfig, Run, Trainee
from liveedit_cam.lab.training.losses import LEAST_WEIGHT, bell_weight, diffusion_loss
from liveedit_cam.lab.training.materials import Materials
from liveedit_cam.lab.training.rollout import rollout
from liveedit_cam.lab.training.settings import StageSettings, load_settings
from liveedit_cam.lab.training.toy import train_toy
from liveedit_cam.model.generator import denoise_chunk
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.sampling import predict_bidirectional, sample_offline
from liveedit_cam.model.schedule import FlowSchedule
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.weights import load

CHANNELS = TINY.latent_channels
SCHEDULE = FlowSchedule(TINY.timesteps, TINY.shift)


def latents(num_latents: int = 3, seed: int = 0, batch: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CHANNELS, num_latents, 6, 8, generator=generator)


def batch(num_latents: int = 3) -> LatentBatch:
    source = latents(num_latents, 1, batch=2)
    return LatentBatch(
        source,
        source + 0.5,
        torch.zeros(2, num_latents, 6, 8),
        torch.tensor([False, False]),
        ("make it blue", "make it red"),
    )


def noise(seed: int = 7) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_rollout_is_live_editing() -> None:
    """Catches another cache policy in training than live: same noise, same result, bit near.

    Five chunks roll the window over, so that positions and eviction count too.
    """
    dit = tiny_dit()
    text = dit.text_kv(tiny_text()(["make it blue"]))
    source = latents(5)
    cache = KVCache(TINY, dit.grid(source), source.device, source.dtype)
    generator = noise()
    live = torch.cat(
        [denoise_chunk(dit, p, text, SCHEDULE, cache, None, generator) for p in source.split(1, 2)],
        dim=2,
    )
    last = len(TINY.timesteps) - 1
    trained = rollout(dit, source, text, SCHEDULE, last, noise())
    assert torch.allclose(live, trained, atol=1e-5)


def test_gradients_pass_through_the_exit_step_alone() -> None:
    """Catches gradients through the cache: the second chunk must not move the first one's result.

    With the exit at step 2 every weight still learns, and the graph of the steps before is gone.
    """
    dit = tiny_dit().train().requires_grad_(True)
    source = latents(2).requires_grad_(True)
    text = dit.text_kv(tiny_text()(["make it blue"]))
    result = rollout(dit, source, text, SCHEDULE, 2, noise())
    (gradient,) = torch.autograd.grad(result[:, :, 1].sum(), source, retain_graph=True)
    assert float(gradient[:, :, 0].abs().max()) == 0.0
    assert float(gradient[:, :, 1].abs().max()) > 0.0
    result.square().mean().backward()
    idle = [n for n, p in dit.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_every_latent_sees_every_other_offline() -> None:
    """Catches a causal foundation stage: a change of the last latent must reach the first."""
    dit = tiny_dit()
    text = dit.text_kv(tiny_text()(["make it blue"]))
    sigma = torch.tensor([0.5])
    source = latents()
    changed = source.clone()
    changed[:, :, -1] += 1
    one, other = (
        predict_bidirectional(dit, latents(seed=2), s, sigma, text) for s in (source, changed)
    )
    assert float((one - other)[:, :, 0].abs().max()) > 1e-6


@pytest.mark.parametrize("train", [stages.train_foundation, stages.train_teacher_forcing])
def test_a_stage_goes_on_with_the_losses_it_would_have_had(
    tmp_path: Path, train: Callable[[StageSettings, Materials], Run]
) -> None:
    """Catches pairs and noise that a resumed stage draws anew: bit for bit the same losses."""
    (tmp_path / "config.json").write_text(json.dumps(TINY.to_dict()))
    drawn = drawn_clips(2, 3)
    materials = Materials(TINY, tiny_codec(), tiny_text(), [], drawn, plain_palette())

    def losses(name: str, iterations: int) -> list[float]:
        settings = StageSettings(
            model=str(tmp_path / "config.json"),
            out=tmp_path / name,
            iterations=iterations,
            learning_rate=1e-12,  # the rate depends on the length of the run: it shall move nothing
            log_every=1,
            batch=2,
            height=64,
            width=96,
            device="cpu",
        )
        folder = train(settings, materials).folder
        lines = (folder / "log.jsonl").read_text().splitlines()
        return [json.loads(line)["loss"] for line in lines]

    whole = losses("whole", 4)
    losses("parts", 2)
    assert losses("parts", 4) == whole
    assert len(set(whole)) == 4


def test_guidance_one_is_the_instruction_alone() -> None:
    """Catches guidance in the wrong direction: 1 ignores the empty prompt, 3 leaves it behind."""
    dit = tiny_dit()
    text, no_text = (dit.text_kv(tiny_text()([p])) for p in ("make it blue", ""))

    def sample(guidance: float, empty: list) -> Tensor:  # type: ignore[type-arg]
        return sample_offline(
            dit,
            latents(),
            text,
            empty,
            num_steps=4,
            guidance=guidance,
            shift=5.0,
            noise=noise(),
        )

    assert torch.equal(sample(1.0, no_text), sample(1.0, text))
    plain, guided = sample(1.0, no_text), sample(3.0, no_text)
    assert float((plain - guided).abs().max()) > 1e-5
    assert torch.allclose(sample(3.0, text), plain, atol=1e-5)


def test_text_is_left_out_now_and_then() -> None:
    """Catches a foundation stage without text dropout: guidance would have nothing to lean on."""
    asked: list[str] = []
    encoder = tiny_text()

    class Recording(nn.Module):
        def forward(self, prompts: list[str]) -> Tensor:
            asked.extend(prompts)
            return encoder(prompts)

    stage = Foundation(TINY, Recording(), torch.ones(CHANNELS), 0)  # type: ignore[arg-type]
    editor = Editor(TINY)
    for _ in range(40):
        loss, _ = stage(editor, batch())
        assert bool(torch.isfinite(loss))
    share = asked.count("") / len(asked)
    assert 0.02 < share < 0.25


def test_flow_loss_is_the_error_of_the_flow() -> None:
    """Catches a loss in x0 for flow models: (noise - x0) differs by (x0 - target) / sigma."""
    target, guess, eps = latents(seed=3), latents(seed=4), latents(seed=5)
    sigma = torch.full((1, 3), 0.4)
    noisy = 0.6 * target + 0.4 * eps
    flow_error = ((noisy - guess) / 0.4 - (eps - target)).square().mean()
    expected = flow_error * bell_weight(torch.tensor(400.0))
    got = diffusion_loss("flow", guess, target, latents(), sigma, torch.ones(CHANNELS))
    assert float(got) == pytest.approx(float(expected), rel=1e-4)


def test_the_bell_has_mean_one_and_counts_every_timestep() -> None:
    """Catches a weight that is not normalised, peaks elsewhere than in the middle, or ends at 0."""
    table = torch.arange(1, 1001, dtype=torch.float64)
    weight = bell_weight(table)
    assert float(weight.mean()) == pytest.approx(1.0, abs=1e-6)
    assert int(weight.argmax()) == 499
    assert float(weight[-1]) == pytest.approx(LEAST_WEIGHT, abs=1e-6)


class Score(nn.Module):
    """Says source + shift, whatever it sees, and notes the timesteps it was asked for."""

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.config = TINY
        self.asked: list[Tensor] = []

    def grid(self, x: Tensor) -> tuple[int, int]:
        return x.shape[-2] // TINY.patch, x.shape[-1] // TINY.patch

    def text_kv(self, embeddings: Tensor) -> list:  # type: ignore[type-arg]
        return []

    def forward(self, noisy: Tensor, source: Tensor, timestep: Tensor, *_: object) -> Tensor:
        self.asked.append(timestep)
        return self.shift.expand_as(noisy)

    def write_context(self, *_: object) -> None:
        """Nothing: what it says hangs on no history."""


def scoring(shift: float) -> Editor:
    editor = Editor(TINY)
    editor.dit = Score(shift)  # type: ignore[assignment]
    return editor


def make_dmd(real_shift: float, fake_shift: float) -> Dmd:
    """A Dmd whose two scores say source + shift, whatever they see."""
    real, fake = scoring(real_shift), scoring(fake_shift)
    config = LoopConfig(4, 1e-3, warmup_iterations=1, muon=False)
    return Dmd(
        TINY,
        tiny_text(),
        torch.ones(CHANNELS),
        real,
        Trainee(fake, config),
        batch,
        0,
    )


def test_the_students_gradient_points_from_fake_to_real() -> None:
    """Catches a flipped sign: real says +2, fake says +1, so results of +0.5 must grow.

    Scores ignore the text here, so guidance adds nothing: (fake - real) / mean |x - real|. It is
    the same everywhere, which the loss, half of its mean square, tells from its mean.
    """
    stage, student = make_dmd(real_shift=2.0, fake_shift=1.0), scoring(0.5)
    loss, values = stage(student, 0)
    loss.backward()
    fake = float(stage.critic.module.dit.shift.detach())  # type: ignore[union-attr]
    assert fake == pytest.approx(1.0, abs=0.05)  # five updates at a rate of 0.001
    wanted = (fake - 2.0) / 1.5
    assert float(student.dit.shift.grad) == pytest.approx(wanted, abs=1e-5)
    assert loss.item() == pytest.approx(0.5 * wanted**2, abs=1e-5)
    assert values["gradient"] == pytest.approx(-wanted, abs=1e-5)


def test_timesteps_follow_the_rule() -> None:
    """Catches unshifted or unclamped score timesteps: 20..980, median near 833 at shift 5."""
    stage, num_clips = make_dmd(0.0, 0.0), 700
    source = torch.zeros(num_clips, CHANNELS, 1, 2, 2)
    no_subject = torch.zeros(num_clips, dtype=torch.bool)
    prompts = ("make it blue",) * num_clips
    clips = LatentBatch(source, source, source[:, 0], no_subject, prompts)
    stage.next_batch = lambda: clips
    stage(scoring(0.0), 0)
    asked = stage.critic.module.dit.asked  # type: ignore[union-attr]
    assert len(asked) == dmd_stage.CRITIC_UPDATES + 1
    sigma = torch.cat(asked)[:, 0] / 1000
    assert float(sigma.min()) >= 0.02 - 1e-6
    assert float(sigma.max()) <= 0.98 + 1e-6
    assert float(sigma.median()) == pytest.approx(5 * 0.5 / 3, abs=0.03)


def test_the_critic_learns_five_times_as_often() -> None:
    """Catches one critic update per student update, and a critic that does not move."""
    stage = make_dmd(real_shift=1.0, fake_shift=0.5)
    taken: list[int] = []
    stage.next_batch = lambda: taken.append(1) or batch()  # type: ignore[func-returns-value]
    student = Editor(TINY)
    before = float(stage.critic.module.dit.shift.detach())  # type: ignore[union-attr]
    loss, values = stage(student, 0)
    loss.backward()
    assert len(taken) == dmd_stage.CRITIC_UPDATES + 1
    assert float(stage.critic.module.dit.shift.detach()) != before  # type: ignore[union-attr]
    assert set(values) == {"critic", "gradient"}
    assert any(p.grad is not None and bool(p.grad.any()) for p in student.parameters())


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("iterations = 10\nlearning = 1", "no setting is called 'learning'"),
        ("iterations = 0", "got iterations = 0, expected iterations in all"),
        ("iterations =", "not valid TOML"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, text: str, match: str) -> None:
    """Catches an unknown key that is passed over, and a traceback for a wrong value."""
    path = tmp_path / "stage.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=match):
        load_settings(path, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(tmp_path / "missing.toml", {})


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """Catches a flag that is lost, or one not given that counts."""
    path = tmp_path / "stage.toml"
    path.write_text('iterations = 10\nmodel = "nano"')
    settings = load_settings(path, {"iterations": 20, "seed": None})
    assert (settings.iterations, settings.seed) == (20, 0)
    assert settings.loop().iterations == 20


@pytest.mark.slow
def test_the_toy_trains_every_stage_and_edits(tmp_path: Path) -> None:
    """Catches a stage that cannot follow the one before, and an export that cannot be loaded.

    A few iterations each; run again it has nothing left to do.
    """
    out, to = tmp_path / "runs", tmp_path / "model"
    train_toy(out, to, 0.01)
    logged = {
        stage: len((out / stage / "checkpoint.pt").read_bytes()) > 0
        for stage in ("codec", "text", "foundation", "editor", "dmd")
    }
    assert all(logged.values())
    stream = load(str(to), "cpu")
    assert isinstance(stream, EditStream)
    frames = torch.randint(0, 255, (stream.chunk_frames, 72, 128, 3), dtype=torch.uint8).numpy()
    edited = stream.edit(frames, stream.encode_text("make it night"))
    assert edited.shape == frames.shape
    states = [torch.load(out / "dmd" / "checkpoint.pt", weights_only=True) for _ in "ab"]
    train_toy(out, to, 0.01)
    assert (
        torch.load(out / "dmd" / "checkpoint.pt", weights_only=True)["iteration"]
        == (states[0]["iteration"])
    )
    assert json.loads((to / "config.json").read_text())["name"] == "toy"


def test_an_export_before_training_is_refused(tmp_path: Path) -> None:
    """Catches a traceback, or a half-written folder, where a stage has not run."""
    with pytest.raises(UsageError, match="train codec"):
        export_model(TINY, tmp_path, "editor", tmp_path / "model")
    assert not (tmp_path / "model").exists()
