"""A child process and all that it starts: fed, read and ended."""

from __future__ import annotations

import sys
import threading
from io import BufferedReader

import pytest

from liveedit_cam.child import MAX_LINES, Child

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it is told by signals")


def shell(script: str, said: list[bytes]) -> Child:
    """Runs ``script``; what it prints is added to ``said`` line by line."""

    def read(output: BufferedReader) -> None:
        said.extend(output)

    return Child(["/bin/sh", "-c", script], "child", read=read, has_input=True)


def test_a_child_is_fed_and_read_and_its_end_told() -> None:
    """Catches lines that are lost at the end, and an end told before its last words are there."""
    said: list[bytes] = []
    child = shell("cat; seq 30 >&2; exit 3", said)
    with child.input as stdin:
        stdin.write(b"one\ntwo\n")
    assert child.ended(wait_s=60.0) == "exit status 3"
    child.join(60.0)
    assert said == [b"one\n", b"two\n"]
    assert child.lines() == tuple(str(number) for number in range(31 - MAX_LINES, 31))
    child.end()


def test_a_child_that_will_not_end_is_killed_with_those_it_started() -> None:
    """Catches a close that waits for ever: a grandchild has the pipe, and both are deaf."""
    has_begun = threading.Event()

    def read(output: BufferedReader) -> None:
        for _ in output:
            has_begun.set()

    child = Child(["/bin/sh", "-c", "trap '' TERM; sleep 600 & echo; wait"], "deaf", read=read)
    assert has_begun.wait(60)
    assert child.ended() is None
    child.end()
    child.end()
    assert child.ended() == "signal 9 (Killed)"
    assert not any(thread.name == "deaf" for thread in threading.enumerate())
