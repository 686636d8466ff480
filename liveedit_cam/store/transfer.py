"""One file from the hub to the disk: goes on where it was cut, and ends checked or not at all.

What has arrived lies beside its target under a name that carries the mark of the hub's version, so
bytes of two versions are never joined.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.errors import WeightsError
from liveedit_cam.store.disk import Report, full_disk_said, hash_file, size_of
from liveedit_cam.store.hub import Hub, HubFile, InterruptedDownload
from liveedit_cam.store.receipt import Assurance

MAX_TRIES = 5
"""Tries in a row that may bring nothing before a pull gives up."""
RETRY_AFTER_S = 1.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole, checked file that has not got its name yet."""

    path: Path
    size_bytes: int
    sha256: str
    assurance: Assurance


def partial_path(target: Path, found: HubFile) -> Path:
    """Where the bytes of this version wait until all are there."""
    mark = hashlib.sha256(found.etag.encode()).hexdigest()[:12]
    return target.with_name(f"{target.name}.{mark}.part")


def fetch(
    hub: Hub,
    found: HubFile,
    target: Path,
    known_sha256: str | None,
    report: Report,
    pause: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Bring one file, as far as it is not there yet, and check it.

    Raises InterruptedDownload after ``MAX_TRIES`` tries without a byte, WeightsError where size or
    checksum is wrong (what has arrived is then deleted) or the disk is full (it is kept).
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(target, found)
    for other in target.parent.glob(f"{target.name}.*.part"):
        if other != partial:
            other.unlink()  # of a version the hub no longer has
    _receive_all(hub, found, partial, report, pause)
    return _checked(found, partial, known_sha256, report)


def _receive_all(
    hub: Hub, found: HubFile, partial: Path, report: Report, pause: Callable[[float], None]
) -> None:
    num_failures = 0
    while size_of(partial) != found.size_bytes:
        before = size_of(partial)
        try:
            with full_disk_said(partial.parent):
                _receive(hub, found, partial, report)
            return
        except InterruptedDownload:
            has_moved = size_of(partial) > before
            num_failures = 1 if has_moved else num_failures + 1
            if num_failures >= MAX_TRIES:
                raise
        pause(RETRY_AFTER_S)


def _receive(hub: Hub, found: HubFile, partial: Path, report: Report) -> None:
    """One connection: append what it brings; returns where the file is whole."""
    start = size_of(partial)
    with hub.download(found, start) as download, partial.open("ab") as file:
        if download.start != start:
            file.truncate(download.start)
        done = download.start
        report(found.path, done, found.size_bytes)
        for piece in download.pieces:
            file.write(piece)
            done += len(piece)
            report(found.path, done, found.size_bytes)
    if found.size_bytes is not None and done < found.size_bytes:
        raise InterruptedDownload(
            f"{found.path}: got {done} bytes, expected {found.size_bytes}",
            hint="Pull again; what has arrived is kept.",
        )


def _checked(found: HubFile, partial: Path, known_sha256: str | None, report: Report) -> Fetched:
    size = size_of(partial)
    sha256 = hash_file(partial, report, f"checking {found.path}")
    expected = known_sha256 or found.sha256
    if size != (found.size_bytes or size) or sha256 != (expected or sha256):
        partial.unlink()
        raise WeightsError(
            f"{found.repository}: {found.path} came as {size} bytes with SHA-256 {sha256}, "
            f"expected {found.size_bytes or 'any number of'} bytes with SHA-256 "
            f"{expected or 'unknown'}; it has been deleted",
            hint="Pull again; if it happens again, the hub or a mirror holds another file.",
        )
    if known_sha256 is not None:
        return Fetched(partial, size, sha256, Assurance.KNOWN)
    return Fetched(partial, size, sha256, Assurance.HUB if found.sha256 else Assurance.SIZE)
