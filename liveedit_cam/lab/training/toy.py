"""Every stage at the size of a toy: two minutes on two cores, drawn scenes, no file needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.training.codec_stage import train_codec
from liveedit_cam.lab.training.export import export_model, load_codec, load_text
from liveedit_cam.lab.training.loop import LoopConfig
from liveedit_cam.lab.training.materials import Materials
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.stages import (
    DMD,
    FOUNDATION,
    TEACHER_FORCING,
    train_dmd,
    train_foundation,
    train_teacher_forcing,
)
from liveedit_cam.lab.training.text_stage import train_text
from liveedit_cam.model.config import NANO, CodecConfig, TextConfig

TOY = replace(
    NANO,
    name="toy",
    dim=96,
    ffn_dim=256,
    num_layers=4,
    codec=CodecConfig(latent_channels=48, decoder_width=32, decoder_blocks=1),
    text=TextConfig(width=96, max_tokens=24, num_buckets=2048),
    source_encoder=None,  # drawn scenes have no labels to teach it
    height=96,
    width=160,
)
NUM_CLIPS = 12
FIT_PAIRS = 120
ITERATIONS = {"codec": 60, "text": 250, FOUNDATION: 60, TEACHER_FORCING: 220, DMD: 12}
"""At scale 1; 1 min 48 s in all on two cores."""


def train_toy(out: Path, to: Path, scale: float) -> None:
    """Train every stage for ``scale`` of its length and write the model folder ``to``.

    Interrupted, it resumes with the stage it was in.
    """
    palette, clips = plain_palette(), drawn_clips(NUM_CLIPS, 0)
    steps = {stage: max(2, round(count * scale)) for stage, count in ITERATIONS.items()}

    def loop(stage: str, rate: float) -> LoopConfig:
        return LoopConfig(
            steps[stage], rate, warmup_iterations=max(1, steps[stage] // 10), muon=False
        )

    train_codec(TOY, clips, out / "codec", loop("codec", 2e-3), 0, max(8, round(FIT_PAIRS * scale)))
    train_text(TOY, palette, out / "text", loop("text", 2e-3), 0)
    materials = Materials(
        TOY,
        load_codec(out, TOY).requires_grad_(False),
        load_text(out, TOY).requires_grad_(False),
        (),
        clips,
        palette,
    )
    common = {
        "out": out,
        "height": TOY.height,
        "width": TOY.width,
        "num_latents": 2,
        "batch": 6,
        "device": "cpu",
        "ema": 0.98,
        "log_every": 4,
    }
    for stage, train, rate in (
        (FOUNDATION, train_foundation, 2e-3),
        (TEACHER_FORCING, train_teacher_forcing, 2e-3),
        (DMD, train_dmd, 1e-5),
    ):
        own = {"iterations": steps[stage], "learning_rate": rate, "muon": stage != DMD}
        train(StageSettings.model_validate({**common, **own}), materials)
    export_model(TOY, out, DMD, to)
