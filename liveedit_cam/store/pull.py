"""Bringing a model onto this computer: plan, check the disk, fetch, convert, hand over.

Files gather in a folder of their own beside the model's, each with its record once it is whole and
checked; the model folder appears, or gets its new files, when nothing is missing any more. A pull
that was cut goes on from there.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from liveedit_cam.errors import WeightsError
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.store.catalogue import ModelEntry, ModelFile, Part
from liveedit_cam.store.disk import Report, free_bytes, full_disk_said, hash_file, in_words, size_of
from liveedit_cam.store.hub import Hub, HubFile, InterruptedDownload, exclusive
from liveedit_cam.store.installed import CONFIG_FILE, gathering_folder, intact
from liveedit_cam.store.needs import num_parameters
from liveedit_cam.store.receipt import (
    FILE_NAME,
    Assurance,
    Receipt,
    Record,
    read_receipt,
    write_receipt,
)
from liveedit_cam.store.transfer import Fetched, fetch, partial_path

SPARE_BYTES = 256 << 20
"""Left free on the disk beyond what the files need."""
_BYTES_PER_BFLOAT16 = 2


class Convert(Protocol):
    """``model.wan.checkpoint.convert``, or what stands in for it."""

    def __call__(
        self,
        source: Path,
        target: Path,
        config: ModelConfig,
        *,
        ema: bool,
        advance: Callable[[int, int], None],
    ) -> None:
        """Write ``source`` as safetensors to ``target``, whole or not at all."""


@dataclass(frozen=True, slots=True)
class Step:
    """One file to fetch."""

    part: Part
    file: ModelFile
    found: HubFile
    arrived_bytes: int
    """Of an earlier try."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pull will do."""

    entry: ModelEntry
    config: ModelConfig
    folder: Path
    """Where the model will lie."""
    steps: tuple[Step, ...]
    """Files that are not there yet; () = nothing to do."""
    skipped: tuple[str, ...] = ()
    """Optional parts that the hub does not give, with the reason."""

    @property
    def gathering(self) -> Path:
        """Where files wait until none is missing."""
        return gathering_folder(self.folder)

    @property
    def download_bytes(self) -> int:
        """Still to come; files whose size the hub does not say count nothing."""
        return sum((step.found.size_bytes or 0) - step.arrived_bytes for step in self.steps)

    @property
    def disk_bytes(self) -> int:
        """Most that the disk must hold in addition: downloads, and what is converted."""
        made = [step for step in self.steps if step.part.converted is not None]
        return self.download_bytes + len(made) * num_parameters(self.config) * _BYTES_PER_BFLOAT16

    @property
    def unknown_sizes(self) -> tuple[str, ...]:
        """Files whose size the hub does not say."""
        return tuple(step.file.path for step in self.steps if step.found.size_bytes is None)


def make_plan(entry: ModelEntry, config: ModelConfig, folder: Path, hub: Hub) -> Plan:
    """Ask the hub what it has and compare with the disk. Raises WeightsError.

    A file of an installed model is kept whatever the hub has by now; one that is gathering is kept
    only if it still is the hub's version, so that a model never mixes two.
    """
    plan = Plan(entry, config, folder, ())
    installed, gathered = intact(folder), intact(plan.gathering)
    steps: list[Step] = []
    skipped: list[str] = []
    for part in entry.parts:
        missing = [f for f in part.files if installed.find(part.installed_name(f)) is None]
        try:
            found = [_look_up(hub, part, file) for file in missing]
        except WeightsError as error:
            if not part.is_optional:
                raise
            skipped.append(f"{part.purpose}: {error}")
            continue
        for file, version in zip(missing, found, strict=True):
            record = gathered.find(part.installed_name(file))
            if record is None or record.etag != version.etag:
                arrived = size_of(partial_path(plan.gathering / file.name, version))
                steps.append(Step(part, file, version, arrived))
    return Plan(entry, config, folder, tuple(steps), tuple(skipped))


def check_space(plan: Plan, free: Callable[[Path], int] = free_bytes) -> None:
    """Raise WeightsError where the disk does not hold what the plan needs."""
    need, there = plan.disk_bytes + SPARE_BYTES, free(plan.folder)
    if plan.steps and need > there:
        raise WeightsError(
            f"got {in_words(there)} free at {plan.folder}, expected {in_words(need)} for "
            f"{plan.entry.name} ({in_words(plan.download_bytes)} to fetch, the rest to convert)",
            hint="Make room, or set LIVEEDIT_CAM_MODELS_DIR to a folder on a larger disk.",
        )


def pull(
    plan: Plan,
    hub: Hub,
    convert: Convert,
    report: Report,
    *,
    ema: bool = False,
    pause: Callable[[float], None] = time.sleep,
) -> Receipt:
    """Fetch what the plan says, convert, and hand the model over; returns what now lies there.

    Raises WeightsError (also InterruptedDownload); calling again goes on from there.
    """
    gathering = plan.gathering
    with exclusive(gathering):
        for step in plan.steps:
            fetched = fetch(
                hub, step.found, gathering / step.file.name, step.file.sha256, report, pause
            )
            with full_disk_said(gathering):
                record = _keep(step, fetched, plan, convert, report, ema=ema)
            write_receipt(gathering, intact(gathering).with_records([record]))
            fetched.path.unlink(missing_ok=True)  # a converted source, no longer needed
        _write_config(plan)
    _hand_over(gathering, plan.folder)
    return read_receipt(plan.folder)


def _look_up(hub: Hub, part: Part, file: ModelFile) -> HubFile:
    try:
        found = hub.look_up(part.repository, file.path, part.revision)
    except InterruptedDownload:  # such as a kept connection that the hub has closed meanwhile
        found = hub.look_up(part.repository, file.path, part.revision)
    expected = file.size_bytes
    if expected is not None and found.size_bytes not in (None, expected):
        raise WeightsError(
            f"{part.repository}: {file.path} has {found.size_bytes} bytes on the hub, expected "
            f"{expected}",
            hint="Update liveedit-cam: the file has been replaced since.",
        )
    return found


def _keep(
    step: Step, fetched: Fetched, plan: Plan, convert: Convert, report: Report, *, ema: bool
) -> Record:
    """Give a fetched file its name, or convert it."""
    name = step.part.installed_name(step.file)
    target = plan.gathering / name
    size, sha256 = fetched.size_bytes, fetched.sha256
    if step.part.converted is None:
        os.replace(fetched.path, target)
    else:
        convert(
            fetched.path,
            target,
            plan.config,
            ema=ema,
            advance=lambda done, total: report(f"converting to {name}", done, total),
        )
        size, sha256 = target.stat().st_size, hash_file(target, report, f"checking {name}")
    return Record(name, size, sha256, fetched.assurance, step.found.etag, step.found.commit)


def _write_config(plan: Plan) -> None:
    path = plan.gathering / CONFIG_FILE
    path.write_text(json.dumps(plan.config.to_dict(), indent=1))
    sha256 = hash_file(path, lambda label, done, total: None, CONFIG_FILE)
    record = Record(CONFIG_FILE, path.stat().st_size, sha256, Assurance.MADE)
    write_receipt(plan.gathering, intact(plan.gathering).with_records([record]))


def _hand_over(gathering: Path, folder: Path) -> None:
    """Make the gathered files the model's; an installed model keeps its other files."""
    receipt = intact(gathering)
    if not folder.exists():
        _delete_others(gathering, receipt)
        os.replace(gathering, folder)
        return
    for record in receipt.records:
        target = folder / record.name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(gathering / record.name, target)
    write_receipt(folder, read_receipt(folder).with_records(receipt.records))
    shutil.rmtree(gathering)


def _delete_others(gathering: Path, receipt: Receipt) -> None:
    """Delete what is no part of the model: sources, the lock, folders now empty."""
    kept = {gathering / record.name for record in receipt.records} | {gathering / FILE_NAME}
    for path in sorted(gathering.rglob("*"), reverse=True):  # what is inside comes first
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()
