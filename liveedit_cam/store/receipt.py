"""What has been fetched into a model folder, with sizes and checksums: ``installed.json``.

A model folder without it, or with a file that it lists gone or of another size, is not installed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from liveedit_cam.errors import WeightsError
from liveedit_cam.files import replace_text

FILE_NAME = "installed.json"


class Assurance(StrEnum):
    """What a fetched file was checked against."""

    KNOWN = "the checksum known ahead"
    HUB = "the hub's own checksum; none was known ahead"
    SIZE = "its size only; no checksum was known"
    MADE = "nothing: it was made here"


@dataclass(frozen=True, slots=True)
class Record:
    """One file of a model folder."""

    name: str
    """Path in the folder, with slashes."""
    size_bytes: int
    sha256: str
    """Of the file as it lies in the folder."""
    assurance: Assurance
    etag: str = ""
    """The hub's mark of the version it came from; "" = made here."""
    commit: str = ""
    """Commit of the repository; "" = made here."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """All files of a model folder."""

    records: tuple[Record, ...] = ()

    def find(self, name: str) -> Record | None:
        """The record of a file; None = it has none."""
        return next((record for record in self.records if record.name == name), None)

    def with_records(self, records: Iterable[Record]) -> Receipt:
        """A copy in which these replace those of the same names."""
        merged = {record.name: record for record in (*self.records, *records)}
        return Receipt(tuple(merged.values()))

    def without(self, names: Iterable[str]) -> Receipt:
        """A copy that lacks these names."""
        gone = set(names)
        return Receipt(tuple(record for record in self.records if record.name not in gone))


def read_receipt(folder: Path) -> Receipt:
    """The receipt of a folder; an empty one where there is none. Raises WeightsError."""
    path = folder / FILE_NAME
    try:
        values = json.loads(path.read_text("utf-8"))
        return Receipt(
            tuple(Record(**{**one, "assurance": Assurance(one["assurance"])}) for one in values)
        )
    except FileNotFoundError:
        return Receipt()
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"got {path}, which is no list of installed files ({type(error).__name__}: {error})",
            hint="Remove the model and pull it again.",
        ) from error


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Write the receipt; a reader sees the old one or the new one."""
    records = [asdict(record) for record in receipt.records]
    replace_text(folder / FILE_NAME, json.dumps(records, indent=1))
