"""Commands that need no running camera: ``process``, ``models``, ``train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from liveedit_cam.commands.words import joined
from liveedit_cam.cores import share_cores


def process(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file to edit.")],
    result: Annotated[Path, typer.Argument(metavar="OUT", help="Video file to write, MP4.")],
    instruction: Annotated[list[str], typer.Argument(help="The edit, in words.")],
    model: Annotated[str, typer.Option(help="Model, see `models list`.")] = "nano",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
) -> None:
    """Edit a video file, every frame, as fast as it goes."""
    share_cores(os.environ)
    from liveedit_cam import offline
    from liveedit_cam.commands.display import choose_progress

    with choose_progress() as progress:
        unknown = offline.process(
            source,
            result,
            joined(instruction),
            model=model,
            device=device,
            overwrite=overwrite,
            progress=progress,
        )
    typer.echo(f"wrote {result}")
    if unknown:
        typer.echo(f"note: not understood: {', '.join(unknown)}", err=True)


def train(context: typer.Context) -> None:
    """Train a model from scratch (see train --help)."""
    from liveedit_cam.training.commands import app

    app(args=list(context.args), prog_name="liveedit-cam train")


def bench(context: typer.Context) -> None:
    """Measure how well a model edits (see bench --help)."""
    from liveedit_cam.evaluation.commands import app

    app(args=list(context.args), prog_name="liveedit-cam bench")
