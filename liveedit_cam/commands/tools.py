"""``liveedit-cam process``: a whole video file, every frame."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from liveedit_cam.commands.signals import exit_on_signals
from liveedit_cam.commands.words import joined
from liveedit_cam.cores import share_cores, usable_cores
from liveedit_cam.errors import UsageError

if TYPE_CHECKING:
    from liveedit_cam.presets.timeline import Cue


def process(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Video file to edit.")],
    result: Annotated[Path, typer.Argument(metavar="OUT", help="Video file to write, MP4.")],
    instruction: Annotated[list[str] | None, typer.Argument(help="The edit, in words.")] = None,
    timeline: Annotated[
        Path | None, typer.Option(help="JSON file of edits in time, instead of one.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model, see `models list`.")] = "nano",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    quality: Annotated[
        str,
        typer.Option(help="fast; or 50 guided steps (minutes): best over whole clips, or causal."),
    ] = "fast",
    show_mask: Annotated[
        bool, typer.Option("--show-mask", help="Darken what the mask cache reused.")
    ] = False,
) -> None:
    """Edit a video file, every frame, as fast as it goes."""
    share_cores(os.environ, usable_cores())
    if quality not in ("fast", "best", "causal") or (show_mask and quality != "fast"):
        told = " with --show-mask, which shows what fast reuses" if show_mask else ""
        raise UsageError(f"got --quality {quality}{told}, expected fast, best or causal.")
    wanted = _wanted(instruction, timeline)
    from liveedit_cam import offline
    from liveedit_cam.commands.display import choose_progress
    from liveedit_cam.model.mask_view import load_with_mask
    from liveedit_cam.model.one_by_one import load_one_by_one
    from liveedit_cam.model.whole import load_whole

    slow = partial(load_whole, is_causal=quality == "causal")
    loader = load_with_mask if show_mask else load_one_by_one if quality == "fast" else slow
    with exit_on_signals(), choose_progress() as progress:
        done = offline.process(
            source,
            result,
            wanted,
            model=model,
            device=device,
            overwrite=overwrite,
            load=loader,
            progress=progress,
        )
    typer.echo(f"wrote {done.path}")
    for note in done.notes:
        typer.echo(f"note: {note}", err=True)
    if done.unknown:
        typer.echo(f"note: not understood: {', '.join(done.unknown)}", err=True)


def _wanted(instruction: list[str] | None, timeline: Path | None) -> str | tuple[Cue, ...]:
    """The one edit, or those of a timeline. Raises UsageError."""
    if bool(instruction) == bool(timeline):
        got = "both" if instruction else "neither"
        raise UsageError(
            f"got {got} of an instruction and --timeline, expected one of them.",
            hint='Such as: liveedit-cam process in.mp4 out.mp4 "make it night"',
        )
    if timeline is None:
        return joined(instruction or [])
    from liveedit_cam.presets import PresetBook, presets_path
    from liveedit_cam.presets.timeline import read_timeline

    return read_timeline(timeline, PresetBook(presets_path(os.environ)).find)
