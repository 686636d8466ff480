"""Small files as a whole: replaced in one step, and known again by a stamp. Knows no content."""

from __future__ import annotations

import os
from pathlib import Path


def stamp_of(path: Path) -> tuple[int, int] | None:
    """What differs once a file has been written: time in ns and size in bytes; None = no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def replace_text(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write a file beside and rename it: a reader sees the old one or the new one, in UTF-8.

    ``mode`` is who may read and write, less the umask. Raises OSError, and leaves the old one then.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
