"""What a user reads about a model: files, licences, sizes, and if this machine can run it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from liveedit_cam.folders import shipped_models, user_models
from liveedit_cam.model.config import PRESETS
from liveedit_cam.store.catalogue import ModelEntry, Role, find_entry, read_catalogue
from liveedit_cam.store.disk import in_words
from liveedit_cam.store.installed import intact, is_installed
from liveedit_cam.store.needs import (
    Estimate,
    Machine,
    VramNeed,
    download_size,
    parameters_of,
    text_bytes,
    vram_need,
)

if TYPE_CHECKING:
    from liveedit_cam.store.pull import Plan  # it needs the hub's library, which may be missing

_COMPUTED = "computed, not measured"


def model_folder(entry: ModelEntry) -> Path:
    """Where a model lies or would lie."""
    return (shipped_models() if entry.is_shipped else user_models(os.environ)) / entry.name


def has_files(entry: ModelEntry, folder: Path) -> bool:
    """Whether the model can be loaded from there."""
    return (folder / "config.json").is_file() if entry.is_shipped else is_installed(entry, folder)


def missing_message(name: str, machine: Machine) -> str:
    """Why a model that is not on this computer cannot run, what to pull, and if it would run."""
    entry = find_entry(name, read_catalogue(shipped_models()))
    size = _span(download_size(entry))
    return (
        f"got model {name!r}, whose weights are not on this computer. "
        f"`liveedit-cam models pull {name}` fetches {size} into {machine.models / name} "
        f"({in_words(machine.disk_bytes)} free there). {_verdict(entry, machine)}"
    )


def info_lines(entry: ModelEntry, folder: Path, machine: Machine) -> Iterator[str]:
    """Everything about one model, line by line."""
    yield f"{entry.name}  {entry.description}"
    yield f"folder: {folder}"
    if entry.is_shipped:
        yield "shipped with liveedit-cam; nothing to pull"
        return
    yield f"installed: {'yes' if is_installed(entry, folder) else 'no'}"
    yield from _file_lines(entry, folder)
    yield from _need_lines(entry, machine)
    yield _verdict(entry, machine)


def plan_lines(plan: Plan, free_bytes: int) -> Iterator[str]:
    """What a pull is about to do, for the user to agree to; ``free_bytes`` of its disk."""
    for part in {step.part.purpose: step.part for step in plan.steps}.values():
        steps = [step for step in plan.steps if step.part is part]
        size = sum(step.found.size_bytes or 0 for step in steps)
        yield f"{part.role}: {part.purpose}"
        files = "1 file" if len(steps) == 1 else f"{len(steps)} files"
        yield f"    {files}, {in_words(size)}, from {part.repository}"
        yield f"    licence: {part.licence}"
    yield f"to fetch: {in_words(plan.download_bytes)} into {plan.folder}"
    yield f"disk: {in_words(plan.disk_bytes)} at most while it is made; {in_words(free_bytes)} free"
    arrived = sum(step.arrived_bytes for step in plan.steps)
    if arrived:
        yield f"    {in_words(arrived)} have arrived already"
    for path in plan.unknown_sizes:
        yield f"    and {path}, whose size the hub does not say"
    for reason in plan.skipped:
        yield f"left out: {reason}"


def _file_lines(entry: ModelEntry, folder: Path) -> Iterator[str]:
    receipt = intact(folder)
    for part in entry.parts:
        optional = " (optional)" if part.is_optional else ""
        yield f"{part.role}: {part.purpose}{optional}"
        yield f"    from {part.repository}, revision {part.revision}; licence: {part.licence}"
        for file in part.files:
            name = part.installed_name(file)
            record = receipt.find(name)
            if record is not None:
                detail = f"{in_words(record.size_bytes)}, checked against {record.assurance}"
            else:
                known = file.size_bytes
                detail = f"missing, {in_words(known) if known else 'the hub knows its size'}"
            yield f"    {name}: {detail}"


def _need_lines(entry: ModelEntry, machine: Machine) -> Iterator[str]:
    need, least = _vram(entry), _vram(entry, one_by_one=True)
    gpu = f"{machine.gpu}, {in_words(machine.vram_bytes)}" if machine.gpu else "no CUDA GPU"
    ram = in_words(machine.ram_bytes) if machine.ram_bytes else "unknown"
    disk = in_words(machine.disk_bytes)
    yield f"to fetch: {_span(download_size(entry))}; {disk} are free"
    yield (
        f"GPU memory: {in_words(need.total)} ({_COMPUTED}: weights {in_words(need.weights)}, "
        f"caches {in_words(need.caches)}, activations {in_words(need.activations)}; CUDA's own "
        f"comes on top), {in_words(least.total)} with its codec latent by latent; this machine has "
        f"{gpu}"
    )
    yield (
        f"memory while a text is encoded: {in_words(text_bytes(entry))} ({_COMPUTED}); this "
        f"machine has {ram}"
    )


def _verdict(entry: ModelEntry, machine: Machine) -> str:
    least = _vram(entry, one_by_one=True).total  # it goes so by itself, for the same picture
    need = in_words(least)
    if machine.gpu is None:
        return (
            f"This machine cannot run it live: torch sees no CUDA GPU, and it takes {need} of GPU "
            f"memory ({_COMPUTED}). Use --model nano."
        )
    has = f"{machine.gpu} has {in_words(machine.vram_bytes)} of the {need} it takes ({_COMPUTED})"
    if machine.vram_bytes < least:
        return f"This machine cannot hold it as it is: {has}. Use --model nano."
    return f"This machine can run it: {has}."


def _vram(entry: ModelEntry, *, one_by_one: bool = False) -> VramNeed:
    codec = parameters_of(entry, Role.CODEC)
    return vram_need(PRESETS[entry.name], codec, one_by_one=one_by_one)


def _span(size: Estimate) -> str:
    if size.low == size.high:
        return in_words(size.low)
    return f"{in_words(size.low)} to {in_words(size.high)} (computed; the hub knows exactly)"
