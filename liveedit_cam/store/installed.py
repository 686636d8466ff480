"""Whether a model is on this computer: its receipt against its catalogue entry and its files."""

from __future__ import annotations

from pathlib import Path

from liveedit_cam.store.catalogue import ModelEntry
from liveedit_cam.store.disk import size_of
from liveedit_cam.store.receipt import Receipt, read_receipt

CONFIG_FILE = "config.json"


def gathering_folder(folder: Path) -> Path:
    """Where a model's files gather while it is pulled: beside it, so that a move is a rename."""
    return folder.with_name(f".{folder.name}.pull")


def is_installed(entry: ModelEntry, folder: Path) -> bool:
    """Whether every file that the model needs is in ``folder`` with its recorded size."""
    receipt = intact(folder)
    return receipt.find(CONFIG_FILE) is not None and not missing_files(entry, receipt)


def missing_files(entry: ModelEntry, receipt: Receipt) -> list[str]:
    """Names of the needed files that a receipt lacks."""
    return [
        part.installed_name(file)
        for part in entry.parts
        for file in part.files
        if not part.is_optional and receipt.find(part.installed_name(file)) is None
    ]


def intact(folder: Path) -> Receipt:
    """The receipt of a folder, without files that are gone or of another size."""
    receipt = read_receipt(folder)
    broken = [r.name for r in receipt.records if size_of(folder / r.name) != r.size_bytes]
    return receipt.without(broken)
