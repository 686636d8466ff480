"""What is printed never ends anything: not a full disk, not a reader that left, not a letter that
the terminal does not have. Standard library only.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any, BinaryIO, TextIO, cast


class Forgiving(io.RawIOBase):
    """A byte stream whose writing cannot fail; what cannot be written is lost."""

    def __init__(self, raw: BinaryIO) -> None:
        """Write to ``raw``."""
        super().__init__()
        self._raw = raw

    def write(self, data: Any, /) -> int:
        """Write all of a bytes-like object, or lose the rest of it."""
        left = memoryview(data).cast("B")
        length = len(left)
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            while left:
                left = left[self._raw.write(left) or len(left) :]
        return length

    def writable(self) -> bool:
        """True, always."""
        return True

    def isatty(self) -> bool:
        """Whether a person reads along."""
        return not self._raw.closed and self._raw.isatty()

    def fileno(self) -> int:
        """The descriptor below, for those who ask for the width of the terminal."""
        return self._raw.fileno()


def forgiving(stream: TextIO) -> TextIO:
    """The same stream, whose writing cannot fail; what its encoding lacks becomes "?"."""
    if not isinstance(stream, io.TextIOWrapper):  # there is none under pythonw
        return stream
    buffer = stream.buffer  # itself without a buffer under `python -u`
    below = buffer.raw if isinstance(buffer, io.BufferedWriter) else buffer
    return io.TextIOWrapper(
        io.BufferedWriter(Forgiving(cast("BinaryIO", below))),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=True,
    )


def speak_safely() -> None:
    """Make stdout and stderr forgiving, for the rest of the program."""
    sys.stdout, sys.stderr = forgiving(sys.stdout), forgiving(sys.stderr)
