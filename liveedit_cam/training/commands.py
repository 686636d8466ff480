"""``liveedit-cam train ...``: one command per stage, each resumable, and ``export``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer
from safetensors.torch import load_file

from liveedit_cam.errors import UsageError
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import NANO, ModelConfig
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.training.clips import load_clips
from liveedit_cam.training.codec_stage import codec_psnr, train_codec
from liveedit_cam.training.instructions import survey_palette
from liveedit_cam.training.loop import LoopConfig
from liveedit_cam.training.teacher_forcing import export_editor, train_editor
from liveedit_cam.training.text_stage import train_text

app = typer.Typer(
    help="Train nano from scratch: codec, text, editor, then export. Every stage resumes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Out = Annotated[Path, typer.Option(help="Folder of all stages' runs.")]
Media = Annotated[Path, typer.Option(help="Folder of clips, masks and clips.json.")]
Iterations = Annotated[int, typer.Option(min=1, help="Iterations in all, resumed ones included.")]
Rate = Annotated[float, typer.Option(min=0, help="Highest learning rate.")]
Seed = Annotated[int, typer.Option(help="Seed of data, noise and weights.")]
Threads = Annotated[int, typer.Option(min=1, help="Processor threads.")]

DEFAULT_OUT = Path("runs")


@app.command()
def codec(
    media: Media,
    out: Out = DEFAULT_OUT,
    iterations: Iterations = 900,
    learning_rate: Rate = 2e-3,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Fit the transform and train the decoder; prints PSNR on the test clips."""
    _use_threads(threads)
    loop = LoopConfig(iterations, learning_rate, muon=False)
    trained = train_codec(
        NANO, load_clips(media, "train", out / "clips"), out / "codec", loop, seed
    )
    for clip in load_clips(media, "test", out / "clips"):
        print(f"{clip.name}: {codec_psnr(trained, clip, NANO.height, NANO.width):.2f} dB")


@app.command()
def text(
    out: Out = DEFAULT_OUT,
    iterations: Iterations = 1400,
    learning_rate: Rate = 1e-3,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Teach the text encoder what instructions ask."""
    _use_threads(threads)
    loop = LoopConfig(iterations, learning_rate, warmup_iterations=100, ema=0.99, muon=False)
    train_text(NANO, survey_palette(), out / "text", loop, seed)


@app.command()
def editor(
    media: Media,
    out: Out = DEFAULT_OUT,
    iterations: Iterations = 3000,
    learning_rate: Rate = 2e-3,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Train the editor on clips and procedural pairs; needs the codec and text stages."""
    _use_threads(threads)
    trained, encoder, palette = load_codec(out, NANO), load_text(out, NANO), survey_palette()
    train_editor(
        NANO,
        load_clips(media, "train", out / "clips"),  # last: decoding takes minutes
        trained,
        encoder,
        palette,
        out / "editor",
        LoopConfig(iterations, learning_rate),
        seed,
    )


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="Model folder to write.")],
    out: Out = DEFAULT_OUT,
) -> None:
    """Write a model folder (16-bit safetensors) from the newest checkpoints of all stages."""
    config = NANO
    load_codec(out, config)
    load_text(out, config)
    to.mkdir(parents=True, exist_ok=True)
    export_editor(config, out / "editor", to / "model.safetensors")
    shutil.copyfile(out / "codec" / "codec.safetensors", to / "codec.safetensors")
    shutil.copyfile(out / "text" / "text.safetensors", to / "text.safetensors")
    shutil.copyfile(out / "text" / "words.json", to / "words.json")
    (to / "config.json").write_text(json.dumps(config.to_dict(), indent=1) + "\n")
    print(f"wrote {to}")


def load_codec(out: Path, config: ModelConfig) -> Codec:
    """The codec a run wrote, float32. Raises UsageError where the stage has not run."""
    trained = Codec(config.codec)
    trained.load_state_dict(load_file(_stage_file(out / "codec" / "codec.safetensors", "codec")))
    return trained


def load_text(out: Path, config: ModelConfig) -> TextEncoder:
    """The text encoder a run wrote, float32."""
    trained = TextEncoder(config.text)
    trained.load_state_dict(load_file(_stage_file(out / "text" / "text.safetensors", "text")))
    return trained.eval()


def _stage_file(path: Path, stage: str) -> Path:
    if not path.is_file():
        raise UsageError(
            f"got no {path}, expected the result of stage {stage!r}",
            hint=f"Run `liveedit-cam train {stage}` first.",
        )
    return path


def _use_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
