"""``liveedit-cam train ...``: one command per stage, each resumable, and ``export``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import cv2
import torch
import typer

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.clips import load_clips
from liveedit_cam.lab.edits.instructions import survey_palette
from liveedit_cam.lab.training import stages
from liveedit_cam.lab.training.codec_stage import codec_psnr, train_codec
from liveedit_cam.lab.training.export import begin_from, export_model, load_codec, load_text
from liveedit_cam.lab.training.loop import LoopConfig
from liveedit_cam.lab.training.materials import Materials
from liveedit_cam.lab.training.processes import joined_processes
from liveedit_cam.lab.training.settings import StageSettings, load_settings
from liveedit_cam.lab.training.text_stage import Anchor, train_text
from liveedit_cam.lab.training.wan.importers import LAYOUTS, import_pairs
from liveedit_cam.lab.training.wan.latents import EncodingSettings, encode_pairs
from liveedit_cam.lab.training.wan.pairs import read_pairs, write_pairs
from liveedit_cam.lab.training.wan.train import export_wan, train_latents
from liveedit_cam.model.config import NANO
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.wan.load import preset_encoder
from liveedit_cam.model.wan.vae import load_wan_vae
from liveedit_cam.model.weight_files import load_weights
from liveedit_cam.model.weights import choose_device, fast_dtype, read_config, read_words

app = typer.Typer(
    help="Train nano from scratch: codec, text, teacher-forcing, then export; or the paper's three "
    "stages: foundation, teacher-forcing, dmd. Every stage resumes.",
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
Settings = Annotated[
    Path | None, typer.Option("--config", help="TOML file with the stage's settings.")
]
OptionalMedia = Annotated[
    Path | None, typer.Option("--media", help="Folder of clips; none = drawn scenes alone.")
]
OptionalOut = Annotated[Path | None, typer.Option("--out", help="Folder of all stages' runs.")]
OptionalIterations = Annotated[
    int | None, typer.Option("--iterations", min=1, help="Iterations in all.")
]
OptionalSeed = Annotated[int | None, typer.Option("--seed", help="Seed of data and weights.")]

Train = Callable[[StageSettings, Materials], object]

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
    use_threads(threads)
    loop = LoopConfig(iterations, learning_rate, muon=False)
    trained = train_codec(
        NANO, load_clips(media, "train", out / "clips"), out / "codec", loop, seed
    )
    for clip in load_clips(media, "test", out / "clips"):
        print(f"{clip.name}: {codec_psnr(trained, clip, NANO.height, NANO.width):.2f} dB")


@app.command()
def text(
    former: Annotated[
        Path | None,
        typer.Option(help="Model folder whose text encoder to start from and stay near."),
    ] = None,
    out: Out = DEFAULT_OUT,
    iterations: Iterations = 1400,
    learning_rate: Rate = 1e-3,
    seed: Seed = 0,
    threads: Threads = 2,
) -> None:
    """Teach the text encoder what instructions ask."""
    use_threads(threads)
    loop = LoopConfig(iterations, learning_rate, warmup_iterations=100, ema=0.99, muon=False)
    anchor = None
    if former is not None:
        encoder = TextEncoder(NANO.text)
        load_weights(encoder, former / "text.safetensors")
        anchor = Anchor(encoder.float(), read_words(former / "words.json"))
    train_text(NANO, survey_palette(), out / "text", loop, seed, anchor)


def _stage(name: str, train: Train, about: str) -> None:
    """Add the command of one of the paper's stages; they differ in ``train`` alone."""

    @app.command(name, help=about)
    def command(
        config: Settings = None,
        media: OptionalMedia = None,
        out: OptionalOut = None,
        iterations: OptionalIterations = None,
        seed: OptionalSeed = None,
    ) -> None:
        settings = load_settings(
            config, {"media": media, "out": out, "iterations": iterations, "seed": seed}
        )
        use_threads(settings.threads)
        with joined_processes():
            if settings.latents is not None:
                train_latents(settings, name)
                return
            sizes = settings.model_sizes()
            begin_from(settings.start, settings.out)
            networks = load_codec(settings.out, sizes), load_text(settings.out, sizes)
            train(settings, stages.gather(settings, *networks))


_stage(
    "source",
    stages.train_source,
    "Stage 0, nano's alone: its source encoder learns by pixel labels what is where.",
)
_stage(
    "foundation",
    stages.train_foundation,
    "Stage 1: the offline editor, bidirectional, with text dropout for guidance.",
)
_stage(
    "teacher-forcing",
    stages.train_teacher_forcing,
    "Stage 2: block-causal, with the clean past in view; what nano ships.",
)
_stage(
    "dmd",
    stages.train_dmd,
    "Stage 3: four steps without guidance, distilled over self-rollouts.",
)


@app.command()
def export(
    to: Annotated[Path, typer.Argument(help="Model folder to write.")],
    stage: Annotated[
        str, typer.Option(help="Stage whose weights to take: teacher-forcing or dmd.")
    ] = "teacher-forcing",
    out: Out = DEFAULT_OUT,
) -> None:
    """Write a model folder (8-bit safetensors) from the newest checkpoints of all stages."""
    folders = {"teacher-forcing": stages.TEACHER_FORCING, "dmd": stages.DMD}
    if stage not in folders:
        raise UsageError(f"got stage {stage!r}, expected one of {', '.join(folders)}")
    export_model(NANO, out, folders[stage], to)
    print(f"wrote {to}")


@app.command("import-pairs")
def import_set(
    name: Annotated[str, typer.Argument(help=f"Public set: {', '.join(LAYOUTS)}.")],
    folder: Annotated[Path, typer.Argument(help="Where the set lies.")],
    to: Annotated[Path, typer.Argument(help="pairs.jsonl to write.")],
    columns: Annotated[
        str | None, typer.Option(help="Names of columns: source=A,edited=B,instruction=C.")
    ] = None,
) -> None:
    """List the pairs of a public set of instruction edits."""
    given = dict(part.split("=", 1) for part in columns.split(",")) if columns else {}
    print(f"wrote {write_pairs(to, import_pairs(name, folder, given))} pairs to {to}")


@app.command("encode-pairs")
def encode_set(
    pairs: Annotated[Path, typer.Argument(help="pairs.jsonl, a tar file or a folder of them.")],
    to: Annotated[Path, typer.Argument(help="Folder of latents to write.")],
    base: Annotated[Path, typer.Option(help="Model folder whose codec and text encoder to use.")],
    height: Annotated[int, typer.Option(min=16, help="Pixels, a multiple of 16.")] = 480,
    width: Annotated[int, typer.Option(min=16, help="Pixels, a multiple of 16.")] = 832,
    latents: Annotated[int, typer.Option(min=1, help="Latents of a clip; 21 are 81 frames.")] = 21,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
) -> None:
    """Encode pairs ahead into latents; goes on where it was cut."""
    target = choose_device(device)
    codec = load_wan_vae(base / "vae", target, fast_dtype(target))
    text = preset_encoder(base, read_config(base / "config.json"), target)
    settings = EncodingSettings(height, width, latents)

    def told(count: int) -> None:
        print(f"{count} pairs done", flush=True)

    done = encode_pairs(read_pairs(pairs), codec, text, to, settings, told)
    print(f"{done.num_pairs} pairs in {done.num_shards} shards; {done.num_skipped} skipped")
    if done.num_skipped:
        print(f"why: {to / 'skipped.txt'}")


@app.command("export-latents")
def export_large(
    to: Annotated[Path, typer.Argument(help="Model folder to write.")],
    checkpoint: Annotated[Path, typer.Option(help="checkpoint.pt of a stage.")],
    base: Annotated[Path, typer.Option(help="Model folder whose codec and text encoder to link.")],
) -> None:
    """Write a model folder from a stage that was trained on latents."""
    export_wan(read_config(base / "config.json"), checkpoint, base, to)
    print(f"wrote {to}")


def use_threads(threads: int) -> None:
    """Of torch; cv2 works beside it on small pictures and takes one."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
