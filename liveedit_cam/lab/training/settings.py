"""What a stage needs to know: one validated value from a TOML file and the command line."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from liveedit_cam.errors import ConfigError, shown
from liveedit_cam.lab.training.loop import LoopConfig
from liveedit_cam.model.config import PRESETS, ModelConfig


class StageSettings(BaseModel):
    """Settings of one training stage; the same names in the file and as flags."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    model: str = "nano"
    """name of a model, or path of a config.json"""
    media: Path | None = None
    """folder of clips, masks and clips.json; left out = drawn scenes alone"""
    out: Path = Path("runs")
    """folder of all stages' runs"""
    iterations: int = Field(3000, ge=1)
    """iterations in all, resumed ones included"""
    learning_rate: float = Field(2e-3, gt=0)
    """highest learning rate"""
    batch: int | None = Field(None, ge=1)
    """samples per batch; left out = the stage's own curriculum, which is kept with pictures"""
    num_latents: int = Field(3, ge=1)
    """latents of a clip, where there is no curriculum"""
    height: int = Field(144, ge=32, multiple_of=16)
    """height of the training pictures in pixels, where there is no curriculum"""
    width: int = Field(256, ge=32, multiple_of=16)
    """width of them"""
    seed: int = Field(0, ge=0, lt=2**32)
    """seed of data, noise and weights"""
    threads: int = Field(2, ge=1)
    """processor threads"""
    parts: int = Field(1, ge=1)
    """teacher forcing on a processor: parts of a batch, each worked on by one of ``threads``; keeps
    two cores busy where other programs take turns on them"""
    workers: int = Field(0, ge=0)
    """processes that draw pairs beside the training; 0 = drawn in line, on a GPU by one"""
    device: str = "auto"
    """where to train: auto, cpu, cuda, cuda:1"""
    bfloat16: bool = False
    """mixed precision: products in bfloat16, weights and their updates in float32"""
    decay_share: float = Field(0.35, gt=0, le=1)
    """share of the iterations, at the end, over which the learning rate falls to zero"""
    ema: float = Field(0.998, ge=0, lt=1)
    """decay of the running mean of the weights"""
    checkpoint_every: int = Field(200, ge=1)
    """iterations between two checkpoints"""
    log_every: int = Field(20, ge=1)
    """iterations between two lines of log.jsonl"""
    muon: bool = True
    """Muon for the matrices inside blocks; false = AdamW alone"""
    momentum: float = Field(0.95, ge=0, lt=1)
    """of Muon; more where the gradients of single batches hardly agree"""
    rollout_share: float | None = Field(None, ge=0, le=1)
    """teacher forcing: share of the samples noised from the model's own estimate, as live; left out
    = 0.9, and 0 for models of the flow"""
    first_step_share: float = Field(0.5, ge=0, le=1)
    """teacher forcing: share of those that learn the first step"""
    pictures: Path | None = None
    """teacher forcing: folder of labelled pictures; left out = clips alone"""
    picture_share: float = Field(0.5, ge=0, le=1)
    """share of the pairs that are of pictures, where there are any"""
    instructions_per_view: int = Field(1, ge=1)
    """of each view of a picture; more than one where a GPU has time to spare"""
    text_rate: float = Field(0.0, ge=0, le=1)
    """learning rate of the text encoder as a share of the editor's; 0 = it stays as it is"""
    source_rate: float = Field(1.0, ge=0, le=1)
    """learning rate of the source encoder as a share of the editor's; 0 = it stays as stage
    `source` left it"""
    text_dropout: float = Field(0.1, ge=0, le=1)
    """foundation: share of the samples without their instruction"""
    source_dropout: float = Field(0.0, ge=0, le=1)
    """foundation: share of the samples without their source"""
    guidance: float | None = Field(None, ge=0)
    """dmd: what the real score adds of its direction, 0 = none; left out = 3, and 0 for models of
    the change"""
    latents: Path | None = None
    """folder of latents encoded ahead, for models like liveedit-1.3b; left out = clips, pictures"""
    teacher: Path | None = None
    """dmd with latents: checkpoint.pt of the foundation; left out = that in the runs' folder"""
    shards: bool = False
    """with latents: weights, gradients and averages in shards over the processes (FSDP2)"""
    recomputes: bool = False
    """with latents: recompute activations in the backward pass instead of keeping them"""
    lora_rank: int | None = Field(None, ge=1)
    """with latents: train a LoRA of this rank alone; left out = all weights"""
    start: Path | None = None
    """checkpoint.pt of another stage, or a model folder, to start from; left out = the stage's own
    rule"""

    def precision(self, device: torch.device) -> torch.autocast:
        """Where losses are computed on ``device``.

        Without autocast's cache: it keeps each weight in 16 bit until the context ends, so inside
        one that lasts for several updates the network would go on with the weights it had first.
        """
        return torch.autocast(
            device.type, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False
        )

    def loop(self) -> LoopConfig:
        """The part the training loop reads."""
        return LoopConfig(
            iterations=self.iterations,
            learning_rate=self.learning_rate,
            warmup_iterations=min(200, max(1, self.iterations // 10)),
            decay_share=self.decay_share,
            ema=self.ema,
            checkpoint_every=self.checkpoint_every,
            log_every=self.log_every,
            muon=self.muon,
            momentum=self.momentum,
            text_rate=self.text_rate,
            source_rate=self.source_rate,
        )

    def model_sizes(self) -> ModelConfig:
        """The model to train. Raises ConfigError."""
        if self.model in PRESETS:
            return PRESETS[self.model]
        path = Path(self.model)
        try:
            return ModelConfig.from_dict(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"got model = {self.model!r}, expected one of {', '.join(PRESETS)} or a readable "
                f"config.json ({error})."
            ) from error


def load_settings(path: Path | None, flags: Mapping[str, object]) -> StageSettings:
    """Settings of the file, with the flags that are not None over them. Raises ConfigError."""
    found = {} if path is None else _read(path)
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return StageSettings.model_validate({**found, **given})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        place = "command line" if name in given or path is None else str(path)
        if name not in StageSettings.model_fields:
            raise ConfigError(
                f"{place}: no setting is called {name!r}.",
                hint=f"The settings are: {', '.join(StageSettings.model_fields)}.",
            ) from error
        expected = StageSettings.model_fields[name].description
        raise ConfigError(
            f"{place}: got {name} = {shown(first['input'])}, expected {expected}.",
            hint=f"Correct it there ({first['msg']}).",
        ) from error


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"the settings {path} cannot be read: {error.strerror}.",
            hint="Name a readable TOML file with --config.",
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from error
