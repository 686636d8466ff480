"""``models``: list them; fetch, check and remove those that are not shipped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from liveedit_cam.commands.asking import agree, new_group
from liveedit_cam.commands.choices import check_model
from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.folders import shipped_models, user_models
from liveedit_cam.model.config import PRESETS
from liveedit_cam.store import care, report
from liveedit_cam.store.catalogue import ModelEntry, find_entry, read_catalogue
from liveedit_cam.store.disk import Report, free_bytes, in_words
from liveedit_cam.store.installed import intact, is_installed, missing_files
from liveedit_cam.store.needs import this_machine
from liveedit_cam.store.receipt import Receipt

if TYPE_CHECKING:
    from liveedit_cam.store.pull import Plan  # it needs the hub's library, which may be missing

app = new_group("The models: list, fetch, check, remove.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Model, see `models list`.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("encode-presets")
def encode_presets(
    name: Name = "liveedit-1.3b",
    prompts: Annotated[
        Path | None, typer.Option(help="Text file, one instruction a line; none = our sixty.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to encode: auto, cpu, cuda.")] = "auto",
) -> None:
    """Encode instructions ahead, so that a live machine need not hold the text encoder."""
    from liveedit_cam.model.wan.load import preset_encoder
    from liveedit_cam.model.wan.prompt_cache import PRESETS_FILE, read_presets
    from liveedit_cam.model.weights import choose_device, named_folder, read_config

    if _entry(name).is_shipped:
        raise UsageError(f"got {name}, which encodes an instruction in milliseconds by itself.")
    check_model(name)
    folder = named_folder(name)
    wanted = read_presets(prompts or PRESETS_FILE)
    encoder = preset_encoder(folder, read_config(folder / "config.json"), choose_device(device))
    try:
        console = Console(stderr=True)
        with Progress(console=console, disable=not console.is_terminal) as progress:
            for step in progress.track(encoder.encode_presets(wanted), total=len(wanted)):
                if step.notice:
                    typer.echo(f"{step.prompt}: {step.notice}", err=True)
    finally:
        encoder.free()
    typer.echo(f"{len(wanted)} instructions are ready in {folder / 'prompts'}")


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models, and whether they are on this computer."""
    rows = []
    for entry in read_catalogue(shipped_models()):
        folder = report.model_folder(entry)
        there = report.has_files(entry, folder)
        size = care.folder_bytes(folder) if there else 0
        rows.append((entry, folder, there, size))
    if as_json:
        names = ("name", "description", "path", "size_bytes", "is_installed")
        values = (
            (e.name, e.description, str(folder), size, there) for e, folder, there, size in rows
        )
        typer.echo(json.dumps([dict(zip(names, one, strict=True)) for one in values]))
        return
    for entry, folder, there, size in rows:
        way = f"not on this computer; liveedit-cam models pull {entry.name}"
        typer.echo(f"{entry.name}  {entry.description}")
        typer.echo(f"    {f'{in_words(size)}, {folder}' if there else way}")


@app.command()
def info(name: Name) -> None:
    """Say which files a model has, their licences, and whether this machine can run it."""
    entry = _entry(name)
    machine = this_machine(user_models(os.environ))
    _print(report.info_lines(entry, report.model_folder(entry), machine))


@app.command()
def pull(
    name: Name,
    yes: Yes = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only say what is missing; ask no hub.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Check all files first; fetch the damaged ones again.")
    ] = False,
    ema: Annotated[
        bool, typer.Option("--ema", help="Take the checkpoint's moving average of the weights.")
    ] = False,
) -> None:
    """Fetch a model; goes on where an earlier pull was cut."""
    entry = _entry(name)
    folder = report.model_folder(entry)
    if entry.is_shipped:
        typer.echo(f"{name} is shipped with liveedit-cam; nothing to pull")
        return
    if repair and is_installed(entry, folder):
        with choose_transfer() as progress:
            care.discard(folder, care.verify(entry, folder, progress))
    if is_installed(entry, folder):
        typer.echo(f"{name} is on this computer already: {folder}")
        return
    _refuse_offline(entry, is_asked=offline)
    _pull(entry, yes=yes, ema=ema)


@app.command()
def verify(name: Name) -> None:
    """Read all files of a pulled model and compare them with their checksums."""
    entry = _entry(name)
    if entry.is_shipped:
        raise UsageError(
            f"got {name}, which is shipped; checksums are kept of pulled models only",
            hint="pip checks what it installs.",
        )
    folder = report.model_folder(entry)
    with choose_transfer() as progress:
        damages = care.verify(entry, folder, progress)
    for damage in damages:
        typer.echo(f"{damage.name} {damage.what}")
    if damages:
        raise WeightsError(
            f"got {len(damages)} damaged files in {folder}",
            hint=f"Fetch them again: liveedit-cam models pull {name} --repair",
        )
    typer.echo(f"{name} is as it was installed: {len(intact(folder).records)} files")


@app.command()
def path(name: Name) -> None:
    """Print the folder of a model, whether or not it is there."""
    typer.echo(report.model_folder(_entry(name)))


@app.command()
def remove(name: Name, yes: Yes = False) -> None:
    """Delete a pulled model and what a cut pull has left."""
    entry = _entry(name)
    folders = care.removable_folders(entry, report.model_folder(entry))
    for folder in folders:
        typer.echo(f"{folder}: {in_words(care.folder_bytes(folder))}")
    agree("Delete?", yes=yes)
    care.remove(folders)
    typer.echo(f"{name} is removed")


def _pull(entry: ModelEntry, *, yes: bool, ema: bool) -> None:
    from liveedit_cam.model.wan.checkpoint import convert
    from liveedit_cam.store.hub import Hub
    from liveedit_cam.store.pull import check_space, make_plan
    from liveedit_cam.store.pull import pull as run

    hub = Hub()
    folder = report.model_folder(entry)
    plan = make_plan(entry, PRESETS[entry.name], folder, hub)
    _print(report.plan_lines(plan, free_bytes(folder)))
    check_space(plan)
    if plan.steps:
        agree("Fetch it?", yes=yes)
    with choose_transfer() as progress:
        receipt = run(plan, hub, convert, progress, ema=ema)
    _print(_arrived(plan, receipt))
    typer.echo(f"{entry.name} is ready: {plan.folder}")


def _arrived(plan: Plan, receipt: Receipt) -> Iterator[str]:
    """What each fetched file was checked against, files alike in one line."""
    names: dict[str, list[str]] = {}
    for step in plan.steps:
        record = receipt.find(step.part.installed_name(step.file))
        if record is not None:
            names.setdefault(record.assurance, []).append(record.name)
    for assurance, those in names.items():
        yield f"checked against {assurance}: {', '.join(those)}"


def _refuse_offline(entry: ModelEntry, *, is_asked: bool) -> None:
    """Raise WeightsError with what is missing where the hub may not be asked."""
    from liveedit_cam.store.hub import is_offline

    if not is_asked and not is_offline():
        return
    missing = missing_files(entry, intact(report.model_folder(entry)))
    raise WeightsError(
        f"got no leave to ask the hub ({'--offline' if is_asked else 'HF_HUB_OFFLINE is set'}), "
        f"and {len(missing)} files of {entry.name} are missing: {', '.join(missing)}",
        hint="Pull with the network on, or copy the model folder from another computer to "
        f"{report.model_folder(entry)}.",
    )


def _entry(name: str) -> ModelEntry:
    return find_entry(name, read_catalogue(shipped_models()))


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


@contextmanager
def choose_transfer(console: Console | None = None) -> Iterator[Report]:
    """Shows bytes done: a bar for each file on a terminal, one line for each file elsewhere."""
    console = console or Console(stderr=True)
    if not console.is_terminal:
        yield _PlainTransfer(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield _BarTransfer(bars)


class _PlainTransfer:
    """One line when something begins."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._label = ""

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if label != self._label:
            self._label = label
            size = f" ({in_words(total)})" if total else ""
            self._console.print(f"{label}{size}", highlight=False, markup=False, soft_wrap=True)


class _BarTransfer:
    """One bar for each label, in the order they begin."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._label = ""
        self._task = bars.add_task("", visible=False)

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if label != self._label:
            self._label = label
            self._task = self._bars.add_task(label, total=total)
        self._bars.update(self._task, completed=done, total=total)
