"""Bytes on disks: how much is free, checksums with progress, sizes in words."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from liveedit_cam.errors import WeightsError

Report = Callable[[str, int, int | None], None]
"""Takes what is being done, bytes done and bytes in all (None = not known)."""

_PIECE_BYTES = 1 << 22


def free_bytes(folder: Path) -> int:
    """Bytes this user may still write where ``folder`` is or would be."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    return shutil.disk_usage(there).free


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.is_file() else 0


def in_words(num_bytes: float) -> str:
    """A size for people: "2.84 GB", "22 kB"; powers of 1000, as disks and hubs count."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.3g} {unit}"
    return f"{num_bytes:.0f} B"


def hash_file(path: Path, report: Report, label: str) -> str:
    """SHA-256 of a file, 64 hexadecimal digits. Raises OSError."""
    total = path.stat().st_size
    digest = hashlib.sha256()
    done = 0
    report(label, done, total)
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
            done += len(piece)
            report(label, done, total)
    return digest.hexdigest()


@contextmanager
def full_disk_said(folder: Path) -> Iterator[None]:
    """Turn the system's word for a full disk into a WeightsError; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise WeightsError(
            f"got a full disk at {folder} ({in_words(free_bytes(folder))} free for you)",
            hint="Make room and pull again; what has arrived is kept.",
        ) from error
