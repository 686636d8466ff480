"""Looking after a pulled model: checking it against its checksums, and removing it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.store.catalogue import ModelEntry
from liveedit_cam.store.disk import Report, hash_file
from liveedit_cam.store.installed import gathering_folder, missing_files
from liveedit_cam.store.receipt import FILE_NAME, read_receipt, write_receipt


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that is not what was installed."""

    name: str
    what: str
    """What was got and what was expected."""


def verify(entry: ModelEntry, folder: Path, report: Report) -> tuple[Damage, ...]:
    """Read every file of a pulled model and compare; () = all as installed. Raises WeightsError."""
    receipt = read_receipt(folder)
    if not receipt.records:
        raise WeightsError(
            f"got {folder}, where no {entry.name} is installed",
            hint=f"Pull it: liveedit-cam models pull {entry.name}",
        )
    found = [Damage(name, "was never fetched") for name in missing_files(entry, receipt)]
    for record in receipt.records:
        path = folder / record.name
        if not path.is_file():
            found.append(Damage(record.name, "is gone"))
        elif path.stat().st_size != record.size_bytes:
            size = path.stat().st_size
            found.append(Damage(record.name, f"has {size} bytes, expected {record.size_bytes}"))
        elif (sha256 := hash_file(path, report, record.name)) != record.sha256:
            found.append(Damage(record.name, f"has SHA-256 {sha256}, expected {record.sha256}"))
    return tuple(found)


def discard(folder: Path, damaged: tuple[Damage, ...]) -> None:
    """Delete damaged files and their records, so that the next pull brings them again."""
    write_receipt(folder, read_receipt(folder).without(damage.name for damage in damaged))
    for damage in damaged:
        (folder / damage.name).unlink(missing_ok=True)


def removable_folders(entry: ModelEntry, folder: Path) -> tuple[Path, ...]:
    """The folders that removing the model deletes: its own, and what a cut pull has left.

    Raises UsageError for a shipped model, a folder that no pull has made, and where there is none.
    """
    if entry.is_shipped:
        raise UsageError(
            f"got {entry.name}, which is shipped with liveedit-cam; only pulled models are removed",
            hint="pip uninstall liveedit-cam removes it with the program.",
        )
    if folder.is_dir() and not (folder / FILE_NAME).is_file():
        raise UsageError(
            f"got {folder}, which has no {FILE_NAME}: no pull has made it",
            hint="Delete it yourself if nothing in it is needed.",
        )
    there = tuple(path for path in (folder, gathering_folder(folder)) if path.is_dir())
    if not there:
        raise UsageError(f"got {entry.name}, which is not on this computer ({folder})")
    return there


def remove(folders: tuple[Path, ...]) -> None:
    """Delete what ``removable_folders`` named; of a link, the link. Raises OSError."""
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files in a folder; 0 where there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
