"""What is printed never ends anything, and the log of a camera in the background stays bounded."""

from __future__ import annotations

import errno
import io
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from liveedit_cam.commands.log_file import LogFile, rotate
from liveedit_cam.commands.output import Forgiving, forgiving

DISPLAYS = """
import sys
from rich.console import Console
from rich.live import Live
from liveedit_cam.commands.display import LiveDisplay, PlainDisplay
from liveedit_cam.commands.lines import summary
from liveedit_cam.commands.output import speak_safely
from liveedit_cam.control.state import DaemonAddress
from liveedit_cam.types import Status
speak_safely()
status = Status(instruction="make it \\N{CRESCENT MOON}")
plain = PlainDisplay()
plain.started(DaemonAddress(1, 2, "t"), status)
plain.show(status)
print(summary(status), '|')
with Live(console=Console(force_terminal=True), auto_refresh=False) as live:
    LiveDisplay(live).show(status)
print("error", file=sys.stderr)
sys.exit(7)
"""
"""Shows a status in both ways, and ends with a code nothing else ends with."""

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")


def show(stdout: int, stderr: int = subprocess.PIPE, encoding: str = "utf-8") -> tuple[int, bytes]:
    """Exit code, and what came on stderr."""
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", DISPLAYS]
    done = subprocess.run(command, env=environ, stdout=stdout, stderr=stderr, check=False)
    return done.returncode, done.stderr or b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_full_disk_ends_nothing() -> None:
    """Issue 15: a full disk behind stdout ended the running camera."""
    with open("/dev/full", "wb") as full:
        assert show(full.fileno()) == (7, b"error\n")
        assert show(full.fileno(), full.fileno())[0] == 7


@posix_only
def test_a_reader_that_left_ends_nothing() -> None:
    """Issue 15: `liveedit-cam run | head` ended the running camera."""
    reading, writing = os.pipe()
    os.close(reading)
    assert show(writing) == (7, b"error\n")
    os.close(writing)


@posix_only
def test_a_terminal_that_is_gone_ends_nothing() -> None:
    """Issue 15: what is printed while the camera ends cleanly goes to a terminal that is closed."""
    ours, theirs = os.openpty()
    os.close(ours)
    assert show(theirs) == (7, b"error\n")
    os.close(theirs)


def test_what_cannot_be_printed_is_replaced(tmp_path: Path) -> None:
    """Issue 15: an emoji from another terminal ended a camera whose output is cp1252."""
    with (tmp_path / "out").open("wb") as out:
        assert show(out.fileno(), encoding="cp1252")[0] == 7
    assert b"shown: make it ? |" in (tmp_path / "out").read_bytes()


class Chopped(io.RawIOBase):
    """Takes three bytes at a time and fails at the tenth."""

    def __init__(self) -> None:
        super().__init__()
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        if len(self.taken) >= 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        part = bytes(memoryview(data))[:3]  # type: ignore[arg-type]
        self.taken += part
        return len(part)


def test_all_is_written_until_it_fails() -> None:
    """Catches a short write taken for a whole one."""
    raw = Chopped()
    assert Forgiving(raw).write(b"0123456789") == 10  # type: ignore[arg-type]
    assert raw.taken == b"012345678"
    assert forgiving(io.StringIO()).write("x") == 1


@posix_only
def test_a_long_log_begins_anew_under_its_writers(tmp_path: Path) -> None:
    """Issue 15: a log without bound, and one that stays in the file its writers still hold."""
    path = tmp_path / "daemon.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    log = LogFile(path, descriptor, max_bytes=100)
    os.write(descriptor, b"a" * 100)
    log.poll()
    assert path.stat().st_size == 100
    os.write(descriptor, b"b")
    log.poll()
    os.write(descriptor, b"later")
    os.close(descriptor)
    assert path.read_bytes() == b"later"
    old = tmp_path / "daemon.log.1"
    assert old.read_bytes() == b"a" * 100 + b"b"
    assert stat.S_IMODE(old.stat().st_mode) == 0o600


def test_the_log_of_another_process_is_left_alone(tmp_path: Path) -> None:
    """Catches `run` in a terminal that empties the log of a former `start`."""
    path = tmp_path / "daemon.log"
    path.write_bytes(b"a" * 1000)
    LogFile(path, 1, max_bytes=100).poll()
    LogFile(tmp_path / "none.log", 1, max_bytes=100).poll()
    assert path.stat().st_size == 1000


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_the_bound_holds_where_there_is_no_room_for_a_copy(tmp_path: Path) -> None:
    """Catches a log that fills the rest of a full disk."""
    path = tmp_path / "daemon.log"
    path.write_bytes(b"a" * 1000)
    (tmp_path / "daemon.log.1").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        rotate(path, 100)
    assert path.stat().st_size == 0


SPEECH = """
import os, subprocess, sys
from pathlib import Path
path, sys.stdout, sys.stderr = Path(sys.argv[1]), None, None
os.close(1), os.close(2)
from liveedit_cam.commands.log_file import LogFile, speak_into
speak_into(path)
log, longest = LogFile(path, max_bytes=1000), 0
for number in range(100):
    print("a line of the display", number)
    os.write(2, b"a line of a library\\n")
    longest = max(longest, path.stat().st_size)
    log.poll()
subprocess.run([sys.executable, "-c", "print('a line of a child')"], check=True)
print("longest", longest, file=sys.stderr)
"""


def test_the_log_of_a_program_without_any_output_is_bounded_too(tmp_path: Path) -> None:
    """Issue 18: under pythonw nothing is open to print to. Catches words that are lost there, and
    a log that grows all day because nobody takes it for ours. launchd opens the log by itself, as
    the tests above do.
    """
    path = tmp_path / "daemon.log"
    subprocess.run([sys.executable, "-c", SPEECH, str(path)], check=True)
    said = path.with_name("daemon.log.1").read_text() + path.read_text()
    assert "a line of the display 99\n" in said
    assert "a line of a library\na line of a child\n" in said
    longest = int(said.split()[-1])
    assert 1000 < longest < 1200
    assert path.stat().st_size < 1200
