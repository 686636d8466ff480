"""The three stages over latents encoded ahead: models like liveedit-1.3b, on one card or many.

Losses are those of the other stages' files. A sample's draws depend on its place in the run alone,
so stages 1 and 2 take the same steps on any number of processes, and a run may go on with another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.dmd import Dmd
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.foundation import Foundation
from liveedit_cam.lab.training.loop import Run
from liveedit_cam.lab.training.processes import is_first_process, own_seed
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.sharding import ShardedEditor, shard, through
from liveedit_cam.lab.training.stages import DMD, FOUNDATION, TEACHER_FORCING
from liveedit_cam.lab.training.teacher_forcing import TeacherForcing
from liveedit_cam.lab.training.wan.latents import LatentShards, number_at
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.wan.checkpoint import load_checkpoint
from liveedit_cam.model.wan.lora import apply_lora, new_lora, save_lora
from liveedit_cam.model.weights import choose_device

DEFAULT_BATCH = 8
"""Samples of an iteration in all, as in the paper."""
BATCHES_PER_ITERATION = 6
"""Of stage 3: five for the critic, one for the student."""
LORA_FILE = "lora.safetensors"


class LatentRun:
    """What every stage over latents shares: pairs, device, places of samples, precision."""

    def __init__(self, settings: StageSettings) -> None:
        """Raises UsageError for a batch that the processes cannot share, and for Muon in shards."""
        assert settings.latents is not None, "only called with latents"
        self.settings = settings
        self.config = settings.model_sizes()
        self.device = choose_device(settings.device)
        self.shards = LatentShards(settings.latents, self.config.text.max_tokens)
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.batch = settings.batch or DEFAULT_BATCH
        if self.batch % self.world:
            raise UsageError(
                f"got batch = {self.batch} for {self.world} processes, expected a multiple"
            )
        if settings.shards and (self.world == 1 or settings.muon):
            raise UsageError(
                f"got shards = true with {self.world} processes and muon = "
                f"{str(settings.muon).lower()}, expected several and false",
                hint="Start it with torchrun, and set muon = false.",
            )
        self.weights = torch.ones(self.config.latent_channels, device=self.device)

    @property
    def sharder(self) -> Callable[[nn.Module], None] | None:
        """What spreads a network, where the settings ask for it."""
        return partial(shard, bfloat16=self.settings.bfloat16) if self.settings.shards else None

    @property
    def about(self) -> dict[str, object]:
        """Settings that a run keeps for all its life."""
        settings = self.settings
        return {"batch": self.batch, "seed": settings.seed, "lora_rank": settings.lora_rank}

    def text(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of the prompts of a batch, on the device."""
        return self.shards.text(prompts).to(self.device)

    def sample(self, position: int) -> LatentBatch:
        """The pair at a place of the run, as a batch of one."""
        number = number_at(position, len(self.shards), self.settings.seed)
        return self.shards.batch([number]).to(self.device)

    def local_batch(self, first: int) -> LatentBatch:
        """This process's part of the ``batch`` samples from place ``first`` on."""
        places = range(first + self.rank, first + self.batch, self.world)
        numbers = [number_at(place, len(self.shards), self.settings.seed) for place in places]
        return self.shards.batch(numbers).to(self.device)

    def editor(self, start: Path | None, *, learns: bool = True) -> ShardedEditor:
        """A network on the device with the weights of ``start``; without one, random."""
        settings = self.settings
        torch.manual_seed(settings.seed)
        editor = ShardedEditor(self.config)
        if start is not None:
            load_start(editor, start)
        editor.dit.recomputes = settings.recomputes
        if settings.lora_rank and learns:
            editor.requires_grad_(False)
            drawn = torch.Generator().manual_seed(settings.seed)
            apply_lora(editor.dit, new_lora(editor.dit, settings.lora_rank, drawn))
        return editor.float().to(self.device)


def load_start(editor: Editor, start: Path) -> None:
    """Weights of a run's checkpoint.pt, of released weights, or of Wan2.1-T2V, which is grown.

    Raises UsageError or WeightsError.
    """
    state = _run_state(start)
    if state is None:
        editor.dit.load_state_dict(dict(load_checkpoint(start, editor.dit.config, grows=True)))
        return
    try:
        editor.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"got {start}, which is of another model ({error})") from error


def _run_state(path: Path) -> Mapping[str, Tensor] | None:
    """Mean weights of a run's checkpoint; None where the file is none."""
    if path.suffix != ".pt" or not path.is_file():
        return None
    content = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    if not isinstance(content, dict) or "ema" not in content:
        return None
    found: Mapping[str, Tensor] = content["ema"]
    return found


def train_latents(settings: StageSettings, stage: str) -> Run:
    """Train one stage, ``foundation``, ``teacher-forcing`` or ``dmd``, over ``settings.latents``.

    Raises UsageError, WeightsError.
    """
    latents = LatentRun(settings)
    run = _train_dmd(latents) if stage == "dmd" else _train_by_samples(latents, stage)
    if settings.lora_rank and is_first_process():
        _write_lora(latents, run)
    return run


def _train_by_samples(latents: LatentRun, stage: str) -> Run:
    settings = latents.settings
    folder = FOUNDATION if stage == "foundation" else TEACHER_FORCING
    start, before = settings.start, settings.out / FOUNDATION / "checkpoint.pt"
    if start is None and stage != "foundation" and before.is_file():
        start = before
    editor = latents.editor(start)
    run = Run(
        settings.out / folder,
        editor,
        settings.loop(),
        shard=latents.sharder,
        about=latents.about,
    )
    loss = _loss(latents, stage)
    share = latents.batch // latents.world

    def loss_of(iteration: int) -> tuple[Tensor, dict[str, float]]:
        total, values = 0.0, dict[str, float]()
        first = iteration * latents.batch
        for place in range(first + latents.rank, first + latents.batch, latents.world):
            loss.draws.begin(place)
            batch = latents.sample(place)
            with settings.precision(latents.device):
                found, told = through(editor, partial(_call, loss, batch))
            (found / share).backward()
            total += found.item() / share
            values = {name: values.get(name, 0.0) + told[name] / share for name in told}
        return torch.tensor(total), values

    run.train(loss_of)
    return run


def _call(
    loss: Foundation | TeacherForcing, batch: LatentBatch, editor: Editor
) -> tuple[Tensor, dict[str, float]]:
    return loss(editor, batch)


def _loss(latents: LatentRun, stage: str) -> Foundation | TeacherForcing:
    config, settings = latents.config, latents.settings
    if stage == "foundation":
        return Foundation(
            config,
            latents.text,
            latents.weights,
            settings.seed,
            settings.text_dropout,
            settings.source_dropout,
        )
    return TeacherForcing(
        config,
        latents.text,
        latents.weights,
        settings.seed,
        settings.rollout_share,
        settings.first_step_share,
    )


def _train_dmd(latents: LatentRun) -> Run:
    settings = latents.settings
    student_from = settings.start or settings.out / TEACHER_FORCING / "checkpoint.pt"
    teacher = settings.teacher or settings.out / FOUNDATION / "checkpoint.pt"
    for path in (student_from, teacher):
        if not path.exists():
            raise UsageError(
                f"got no {path}, expected the checkpoint of another stage",
                hint="Train foundation and teacher-forcing first, or name start and teacher.",
            )
    student = latents.editor(student_from)
    real = latents.editor(teacher, learns=False).requires_grad_(False)
    fake = latents.editor(teacher, learns=False)
    folder = settings.out / DMD
    sharder = latents.sharder
    run = Run(
        folder, student, settings.loop(), {"critic": fake}, shard=sharder, about=latents.about
    )
    if sharder is not None:
        sharder(real)
    place = run.iteration * BATCHES_PER_ITERATION * latents.batch

    def next_batch() -> LatentBatch:
        nonlocal place
        batch = latents.local_batch(place)
        place += latents.batch
        return batch

    stage = Dmd(
        latents.config,
        latents.text,
        latents.weights,
        real,
        run.others["critic"],
        next_batch,
        own_seed(settings.seed),
        settings.guidance,
        settings.seed,
    )
    with settings.precision(latents.device):
        run.train(lambda iteration: stage(student, iteration))
    return run


def _write_lora(latents: LatentRun, run: Run) -> None:
    """The mean LoRA of a run's newest checkpoint, for --lora."""
    editor = latents.editor(None)
    state = _run_state(run.checkpoint)
    assert state is not None, "the run was saved"
    editor.load_state_dict(state)
    save_lora(editor.dit, run.folder / LORA_FILE)


def export_wan(config: ModelConfig, checkpoint: Path, base: Path, to: Path) -> None:
    """Write a model folder with the mean weights of a run, in bfloat16, beside ``base``'s parts.

    ``base`` is a pulled model's folder, whose codec and text encoder are linked. Raises UsageError.
    """
    state = _run_state(checkpoint)
    if state is None or not (base / "vae").is_dir():
        what = checkpoint if state is None else base / "vae"
        raise UsageError(f"got {what}, expected a run's checkpoint.pt and a pulled model's folder")
    editor = Editor(config)
    editor.load_state_dict(state)
    to.mkdir(parents=True, exist_ok=True)
    weights = {name: x.bfloat16().contiguous() for name, x in editor.dit.state_dict().items()}
    partial = to / "model.partial"
    save_file(weights, partial)
    partial.replace(to / "model.safetensors")
    (to / "config.json").write_text(json.dumps(config.to_dict(), indent=1) + "\n")
    for part in ("vae", "text", "taew2_1.safetensors"):
        if (base / part).exists() and not (to / part).exists():
            (to / part).symlink_to((base / part).absolute())
