"""A program that runs beside this one and is fed or read through pipes. Knows no frame, no format.

Ctrl-C in the terminal is for us: the child has a session of its own, and we end it with all that
it started, as any of those may keep a pipe open.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from io import BufferedReader
from typing import IO

MAX_LINES = 20
"""Lines of the child's standard error that are kept, the newest."""
END_S = 2.0
"""A child that does not end in this time after it was told to is killed."""

Read = Callable[[BufferedReader], None]
"""Take all that comes until the end; in a thread of its own."""


class Child:
    """One child process. Its outputs are read by threads of its own; the rest from one thread."""

    def __init__(
        self,
        command: Sequence[str],
        name: str,
        *,
        read: Read | None = None,
        has_input: bool = False,
        variables: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start ``command``, a program and its arguments. Raises OSError where it cannot run.

        ``name`` is that of the threads; ``read`` gets its standard output, None = nobody does;
        ``variables`` are added to the environment it inherits, ``descriptors`` to what it has open.
        """
        self._lines: deque[str] = deque(maxlen=MAX_LINES)  # appended and copied in one step each
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE if read else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **(variables or {})},
            pass_fds=descriptors,
            start_new_session=True,
        )
        self._threads = [  # that of its errors first
            threading.Thread(target=_serve, args=(pipe, take), name=name, daemon=True)
            for pipe, take in ((self._process.stderr, self._listen), (self._process.stdout, read))
            if take is not None
        ]
        for thread in self._threads:
            thread.start()

    @property
    def input(self) -> IO[bytes]:
        """Its standard input, without a buffer; the caller's to close."""
        assert self._process.stdin is not None, "it was started with has_input"
        return self._process.stdin

    def ended(self, wait_s: float = 0.0) -> str | None:
        """How it ended, such as "exit status 1"; None where it runs on for ``wait_s``."""
        try:
            status = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None
        self._threads[0].join(END_S)  # its last words are on their way
        if status < 0:
            return f"signal {-status} ({signal.strsignal(-status)})"
        return f"exit status {status}"

    def lines(self) -> tuple[str, ...]:
        """The last lines it wrote to its standard error. Any thread."""
        return tuple(self._lines)

    def join(self, timeout_s: float = END_S) -> None:
        """Wait until all it wrote has been read, at each pipe for so long at most."""
        for thread in self._threads:
            thread.join(timeout_s)

    def end(self) -> None:
        """End it with all that it started, and wait for its threads. May be called twice."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None and not any(t.is_alive() for t in self._threads):
                return
            with contextlib.suppress(ProcessLookupError):  # all have ended
                os.killpg(self._process.pid, number)
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                continue
            self.join()

    def _listen(self, errors: BufferedReader) -> None:
        for line in errors:
            if text := line.decode(errors="replace").strip():
                self._lines.append(text)


def _serve(pipe: IO[bytes], take: Read) -> None:
    with pipe, open(pipe.fileno(), "rb", closefd=False) as output:
        take(output)
