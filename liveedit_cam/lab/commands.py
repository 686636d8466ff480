"""``liveedit-cam lab ...``: what is neither a stage of the training nor the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from liveedit_cam.lab.ablations.commands import ablations
from liveedit_cam.lab.training.commands import Threads, use_threads
from liveedit_cam.lab.training.toy import train_toy

app = typer.Typer(
    help="A toy model of your own, and the paper's tables at the size of nano.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(ablations)


@app.command()
def toy(
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/toy"),
    to: Annotated[Path, typer.Option(help="Model folder to write.")] = Path("runs/toy/model"),
    scale: Annotated[
        float, typer.Option(min=0.001, help="Length of every stage; 1 = about two minutes.")
    ] = 1.0,
    threads: Threads = 2,
) -> None:
    """All stages in two minutes on drawn scenes: a very small model of your own, needs no clip."""
    use_threads(threads)
    train_toy(out, to, scale)
    print(f"wrote {to}; try it: liveedit-cam run --model {to} --source pattern 'make it night'")
