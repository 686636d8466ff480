"""Start with the session: writes the file of this system's own manager, and tells the manager.

systemd is tried for real; launchd and the Task Scheduler by their files and the commands sent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from liveedit_cam.control.private_files import open_folder
from liveedit_cam.control.state import LOG_NAME, runtime_path
from liveedit_cam.errors import ControlError, DeviceError
from liveedit_cam.setup import units
from liveedit_cam.setup.computer import Answer, Run, run_program

UNIT = f"{units.NAME}.service"


@dataclass(frozen=True, slots=True)
class Manager:
    """What starts programs on one system, and how it is told."""

    name: str
    path: Path
    """The file it reads."""
    text: Callable[[Sequence[str]], str]
    """That file, for the command it is to run."""
    install: tuple[tuple[str, ...], ...]
    """Commands that make it read the file and start the program; they are run in order."""
    remove: tuple[tuple[str, ...], ...]
    """Commands that end the program and forget it, before the file is removed."""
    forgotten: tuple[tuple[str, ...], ...]
    """Commands after the file is removed."""
    ask: tuple[str, ...]
    """Prints where the service stands."""
    is_up: Callable[[Answer], bool]
    log: str
    """The command that shows what it printed."""


def this_manager(
    environ: Mapping[str, str], system: str = sys.platform, root: Path = Path("/")
) -> Manager:
    """The manager of this computer. Raises DeviceError where there is none."""
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    log = runtime_path(environ, system) / LOG_NAME
    if system == "darwin":
        return _launchd(home, log)
    if system == "win32":
        return _task_scheduler(log)
    if not (root / "run/systemd/system").is_dir():
        raise DeviceError(
            "There is no systemd on this computer, or none inside this container.",
            hint="Put this into what starts your session: liveedit-cam start",
        )
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return _systemd(config / "systemd/user" / UNIT)


def _systemd(path: Path) -> Manager:
    control = ("systemctl", "--user")
    return Manager(
        name="systemd",
        path=path,
        text=units.systemd_unit,
        install=((*control, "daemon-reload"), (*control, "enable", "--now", UNIT)),
        remove=((*control, "disable", "--now", UNIT),),
        forgotten=((*control, "daemon-reload"),),
        ask=(*control, "show", UNIT, "--property=ActiveState,SubState,NRestarts,UnitFileState"),
        is_up=lambda answer: "ActiveState=active" in answer.output,
        log=f"journalctl --user --unit {UNIT}",
    )


def _launchd(home: Path, log: Path) -> Manager:
    path = home / "Library/LaunchAgents" / f"{units.LABEL}.plist"
    domain = f"gui/{os.getuid() if sys.platform != 'win32' else 0}"
    return Manager(
        name="launchd",
        path=path,
        text=lambda command: units.launchd_plist(command, log),
        install=(("launchctl", "bootstrap", domain, str(path)),),
        remove=(("launchctl", "bootout", f"{domain}/{units.LABEL}"),),
        forgotten=(),
        ask=("launchctl", "print", f"{domain}/{units.LABEL}"),
        is_up=lambda answer: "state = running" in answer.output,
        log=f"cat '{log}'",
    )


def _task_scheduler(log: Path) -> Manager:
    path = log.parent.parent / "task.xml"
    name = ("/TN", units.NAME)
    return Manager(
        name="the Task Scheduler",
        path=path,
        text=units.windows_task,
        install=(
            ("schtasks", "/Create", *name, "/XML", str(path), "/F"),
            ("schtasks", "/Run", *name),
        ),
        remove=(("schtasks", "/End", *name), ("schtasks", "/Delete", *name, "/F")),
        forgotten=(),
        ask=("schtasks", "/Query", *name, "/FO", "LIST"),
        is_up=lambda answer: "Running" in answer.output,
        log=f'type "{log}"',
    )


def command(arguments: Sequence[str]) -> list[str]:
    """What the manager is to run: this very installation, with the options of ``run``."""
    python = sys.executable
    if sys.platform == "win32":  # without a console window
        python = str(Path(python).with_name("pythonw.exe"))
    return [python, "-m", "liveedit_cam", "run", "--quiet", *arguments]


def install(
    manager: Manager, words: Sequence[str], *, replace: bool, run: Run = run_program
) -> bool:
    """Write the file and start the service; False where it was installed like this already.

    ``words`` are the command it runs. Raises ControlError where another file lies there and not
    ``replace``, DeviceError where the manager refuses.
    """
    text = manager.text(words)
    found = _read(manager.path)
    if found is not None and found != text and not replace:
        raise ControlError(
            f"{manager.path} exists and differs from what would be written.",
            hint="With --replace it is written anew, and yours is kept beside it as .old.",
        )
    if found == text and state(manager, run).is_up:
        return False
    if found is not None:
        for one in manager.remove:  # what runs now runs the former command
            run(one)
    try:
        manager.path.parent.mkdir(parents=True, exist_ok=True)
        if found is not None and found != text:
            manager.path.rename(manager.path.with_name(f"{manager.path.name}.old"))
        if found != text:
            manager.path.write_text(text, "utf-8")
    except OSError as error:
        raise DeviceError(
            f"{manager.path} cannot be written: {error.strerror or error}.",
            hint="Give yourself access to its folder.",
        ) from error
    for one in manager.install:
        _tell(manager, one, run)
    return found != text


def remove(manager: Manager, *, run: Run = run_program) -> bool:
    """End and forget the service; False where there was none.

    Raises ControlError where the file was written by somebody else, DeviceError where the manager
    refuses.
    """
    found = _read(manager.path)
    if found is None:
        return False
    if units.MARK not in found:
        raise ControlError(
            f"{manager.path} was not made by `liveedit-cam service install`.",
            hint="Look at it, and remove it yourself if you want.",
        )
    for one in manager.remove:
        run(one)  # one that does not run cannot be ended, and that is well
    manager.path.unlink(missing_ok=True)
    for one in manager.forgotten:
        run(one)
    return True


@dataclass(frozen=True, slots=True)
class State:
    """Where the service stands."""

    is_installed: bool
    is_up: bool
    detail: str
    """The manager's own words, in one line."""


def state(manager: Manager, run: Run = run_program) -> State:
    """Ask the manager."""
    if _read(manager.path) is None:
        return State(False, False, "not installed")
    answer = run(manager.ask)
    if answer is None or answer.code != 0:
        return State(True, False, " ".join(answer.output.split()) if answer else "no answer")
    words = [line.strip() for line in answer.output.splitlines() if line.strip()]
    return State(True, manager.is_up(answer), ", ".join(words[:8]))


def make_log_folder(environ: Mapping[str, str]) -> None:
    """The private folder that the log goes to, before the manager opens it. Raises ControlError."""
    open_folder(runtime_path(environ))


def _tell(manager: Manager, words: Sequence[str], run: Run) -> None:
    answer = run(words)
    if answer is not None and answer.code == 0:
        return
    said = " ".join(answer.output.split()) if answer is not None else "it did not answer"
    no_bus = "Failed to connect to bus" in said
    raise DeviceError(
        f"{manager.name} refused `{' '.join(words)}`: {said}.",
        hint="Run it in the session of your desktop, or after: loginctl enable-linger"
        if no_bus
        else f"The file is {manager.path}; liveedit-cam service remove takes it away again.",
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ControlError(
            f"{path} cannot be read: {error}.", hint="Move it away, and try again."
        ) from error
