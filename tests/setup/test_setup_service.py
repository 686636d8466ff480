"""The service with managers that only note what they are told; files as their readers take them."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from computers import computer

from liveedit_cam.control.state import LOG_NAME, runtime_path
from liveedit_cam.errors import ControlError, DeviceError
from liveedit_cam.setup import morning, service, units
from liveedit_cam.setup.computer import Answer
from liveedit_cam.setup.findings import Verdict

WORDS = ["/opt/my venv/bin/python", "-m", "liveedit_cam", "run", '50% "night" $HOME \\ ünder']


class Told:
    """Answers every command with ``code`` and keeps it."""

    def __init__(self, output: str = "", code: int = 0) -> None:
        self.commands: list[tuple[str, ...]] = []
        self._answer = Answer(code, output)

    def __call__(self, command: Sequence[str]) -> Answer:
        self.commands.append(tuple(command))
        return self._answer


def manager(home: Path, system: str = "linux") -> service.Manager:
    (home / "run/systemd/system").mkdir(parents=True, exist_ok=True)
    environ = {"HOME": str(home), "LOCALAPPDATA": str(home / "local")}
    return service.this_manager(environ, system, root=home)


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_installed_asked_and_removed(tmp_path: Path, system: str) -> None:
    """Catches a file that stays, or one that its manager is never told of."""
    made, told = manager(tmp_path, system), Told()
    assert service.state(made, told) == service.State(False, False, "not installed")
    assert service.install(made, WORDS, replace=False, run=told)
    assert told.commands == list(made.install)
    assert made.path.read_text("utf-8") == made.text(WORDS)
    assert service.state(made, told).is_installed
    assert service.remove(made, run=told)
    assert not made.path.exists()
    assert not service.remove(made, run=told)


def test_a_second_install_leaves_a_running_service_alone(tmp_path: Path) -> None:
    """Catches a camera that goes black because somebody made sure that it is installed."""
    made = manager(tmp_path)
    service.install(made, WORDS, replace=False, run=Told())
    up = Told("ActiveState=active\nSubState=running")
    assert not service.install(made, WORDS, replace=False, run=up)
    assert up.commands == [made.ask]


def test_a_file_that_differs_is_never_lost(tmp_path: Path) -> None:
    """Catches a user's own unit written over."""
    made = manager(tmp_path)
    made.path.parent.mkdir(parents=True)
    made.path.write_text("mine")
    with pytest.raises(ControlError, match=r"exists and differs.*--replace"):
        service.install(made, WORDS, replace=False, run=Told())
    with pytest.raises(ControlError, match="was not made by"):
        service.remove(made, run=Told())
    told = Told()
    service.install(made, WORDS, replace=True, run=told)
    assert made.path.with_name("liveedit-cam.service.old").read_text() == "mine"
    assert told.commands == [*made.remove, *made.install]  # the former command ends first


def test_no_systemd_and_no_session_are_told(tmp_path: Path) -> None:
    """Catches a traceback of a missing program, and a bus error without a way out."""
    with pytest.raises(DeviceError, match=r"no systemd.*liveedit-cam start"):
        service.this_manager({"HOME": str(tmp_path)}, "linux", root=tmp_path)
    refuses = Told("Failed to connect to bus: No medium found", code=1)
    with pytest.raises(DeviceError, match="loginctl enable-linger"):
        service.install(manager(tmp_path), WORDS, replace=False, run=refuses)


def test_doctor_tells_a_service_that_does_not_run(tmp_path: Path) -> None:
    """Catches a camera that is gone since last night, reported as well."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    down = Told("ActiveState=failed")
    machine = computer(tmp_path, environ={"HOME": str(tmp_path)}, run=down)
    (none,) = morning.service(machine)
    assert none.verdict is Verdict.OK
    service.install(manager(tmp_path), WORDS, replace=False, run=down)
    (found,) = morning.service(machine)
    assert found.verdict is Verdict.WARN
    assert "ActiveState=failed" in found.text
    assert found.fixes[0].command.startswith("journalctl --user")


def test_what_runs_is_this_installation() -> None:
    """Catches a service that starts another Python's liveedit-cam."""
    words = service.command(["make it night", "--fps", "20"])
    assert words[0] == sys.executable
    assert words[-3:] == ["make it night", "--fps", "20"]


def test_launchd_gets_every_word_as_it_is() -> None:
    """Catches a list that launchd cannot read, or a log that nobody keeps short."""
    job = plistlib.loads(units.launchd_plist(WORDS, Path("/tmp/daemon.log")).encode())
    assert job["ProgramArguments"] == WORDS
    assert job["KeepAlive"] == {"SuccessfulExit": False}
    assert job["StandardOutPath"] == "/tmp/daemon.log"


def test_launchd_writes_into_the_log_that_the_daemon_keeps_short(tmp_path: Path) -> None:
    """Issue 18: catches two ideas of where the log is: one grows, the other is looked after."""
    home = str(tmp_path)
    job = plistlib.loads(manager(tmp_path, "darwin").text(WORDS).encode())
    kept = runtime_path({"HOME": home}, "darwin") / LOG_NAME
    assert job["StandardOutPath"] == job["StandardErrorPath"] == str(kept)


def test_the_windows_task_is_well_formed() -> None:
    """Catches an instruction that breaks the XML, or words that run together."""
    root = ElementTree.fromstring(units.windows_task([*WORDS, "a & <b>"]))
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    assert root.find(f".//{space}Command").text == WORDS[0]  # type: ignore[union-attr]
    arguments = root.find(f".//{space}Arguments").text  # type: ignore[union-attr]
    assert arguments == subprocess.list2cmdline([*WORDS[1:], "a & <b>"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")
def test_systemd_itself_finds_the_unit_right(tmp_path: Path) -> None:
    """Catches a key systemd does not know and quotes it reads otherwise."""
    path = tmp_path / "liveedit-cam.service"
    path.write_text(units.systemd_unit([sys.executable, *WORDS[1:]]), "utf-8")
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(path)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout + ended.stderr) == (0, "")
