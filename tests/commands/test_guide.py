"""``liveedit-cam`` alone, in a terminal of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "win32":
    import pty

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX terminal")
PATIENCE_S = 60.0


class Terminal:
    """The guide as a person has it: what it says is read, answers are typed."""

    def __init__(self, folder: Path) -> None:
        self.text = ""
        self._main, child = pty.openpty()
        os.set_blocking(self._main, False)
        environ = {name: text for name, text in os.environ.items() if "LIVEEDIT" not in name}
        environ |= {
            "HOME": str(folder),
            "LIVEEDIT_CAM_RUNTIME_DIR": str(folder / "run"),
            "LIVEEDIT_CAM_SOURCE": "pattern:320x180",
            "LIVEEDIT_CAM_SINKS": "preview",
            "LIVEEDIT_CAM_PORT": "0",
            "BROWSER": "true %s",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "liveedit_cam"],
            stdin=child,
            stdout=child,
            stderr=child,
            env=environ,
        )
        os.close(child)

    def until(self, *words: str) -> str:
        """The first of ``words`` that is said from here on."""
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            for word in words:
                if word in self.text:
                    self.text = self.text.partition(word)[2]
                    return word
            assert time.monotonic() < give_up_at, self.text
            try:
                self.text += os.read(self._main, 4096).decode(errors="replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:  # how Linux tells that the other end is closed
                assert any(word in self.text for word in words), self.text

    def type(self, answer: str) -> None:
        os.write(self._main, f"{answer}\n".encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._main)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path)
    yield made
    made.close()


def answer_up_to_the_start(terminal: Terminal, instruction: str) -> None:
    """No command is run on the computer of the test, whatever it lacks."""
    question = "What should the picture become?"
    if terminal.until("now? [y/N]", question) != question:
        terminal.type("n")
        terminal.until("doctor --fix")
        terminal.until(question)
    terminal.type(instruction)
    terminal.until("Start it")


def test_a_newcomer_who_only_looks_is_told_the_command(terminal: Terminal) -> None:
    """Catches a guide that starts something unasked, or takes any letter for a yes."""
    terminal.until("camera")
    answer_up_to_the_start(terminal, "it's a dream")
    terminal.type("x")
    terminal.until("got 'x', expected one of: b, t, e, n")
    terminal.type("n")
    terminal.until("""liveedit-cam start 'it'"'"'s a dream'""")
    assert terminal.process.wait(PATIENCE_S) == 0


@pytest.mark.slow
def test_it_starts_in_the_background_and_knows_that_it_runs(
    terminal: Terminal, tmp_path: Path
) -> None:
    """Catches a guide that ends before the camera runs, or starts a second one."""
    answer_up_to_the_start(terminal, "a spotlight")
    terminal.type("b")
    terminal.until("$ liveedit-cam start 'a spotlight'")
    terminal.until("liveedit-cam runs")
    assert terminal.process.wait(PATIENCE_S) == 0
    again = Terminal(tmp_path)
    try:
        again.until("It runs already")
        assert again.process.wait(PATIENCE_S) == 0
    finally:
        again.close()
        environ = os.environ | {"LIVEEDIT_CAM_RUNTIME_DIR": str(tmp_path / "run")}
        stop = [sys.executable, "-m", "liveedit_cam", "stop"]
        assert subprocess.run(stop, env=environ, check=False).returncode == 0
