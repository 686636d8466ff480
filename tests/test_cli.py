"""The command line as a user meets it: texts, exit codes, and what each command loads."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from rich.console import Console

from liveedit_cam.commands.devices import Device, Devices, described, in_words
from liveedit_cam.commands.display import (
    PLAIN_EVERY_S,
    PlainDisplay,
    choose_progress,
    status_table,
    watch,
)
from liveedit_cam.commands.lines import rows, summary, table
from liveedit_cam.commands.start import log_tail
from liveedit_cam.control.app import create_app
from liveedit_cam.control.client import ControlClient
from liveedit_cam.control.server import ControlServer, bind
from liveedit_cam.control.state import DaemonAddress, DaemonLock
from liveedit_cam.control.wire import status_from_json
from liveedit_cam.errors import ControlError
from liveedit_cam.presets import Applied, PresetBook, apply
from liveedit_cam.sources._camera_list import DeviceInfo
from liveedit_cam.types import (
    EditInstruction,
    Latency,
    LatencyMode,
    Mode,
    OnFailure,
    Region,
    Settled,
    State,
    Status,
)

HEAVY = (
    *("numpy", "pydantic", "rich", "typer", "fastapi", "uvicorn", "torch", "cv2", "httpx"),
    *("http.client", "ssl", "email", "logging", "webbrowser"),
)
STATUS = Status(
    state=State.LIVE,
    instruction="make it night",
    revision=3,
    source="pattern",
    sinks=("preview:8643",),
    model="nano",
    device="cpu",
    sink_fps=30.0,
    glass_to_sink=Latency(310.0, 360.0),
)


class Controller:
    """Accepts everything as revision 7, visible after 0.42 s; the engine knows no galaxies.

    It refuses "refuse me", and reads nothing while it loads.
    """

    def __init__(self) -> None:
        self.found = STATUS
        self.instructions: list[EditInstruction] = []
        self.presets = PresetBook(Path("/nowhere/presets.toml"))

    def instruct(
        self,
        prompt: str,
        *,
        strength: float,
        region: Region | None,
        seed: int,
        origin: str,
        transition_s: float = 0.0,
    ) -> EditInstruction:
        given = EditInstruction(
            prompt, strength, region, seed, revision=7, transition_s=transition_s
        )
        self.instructions.append(given)
        return self.instructions[-1]

    def set_mode(self, mode: Mode) -> None:
        self.found = replace(self.found, mode=mode)

    def apply_preset(self, name: str, origin: str) -> Applied:
        return apply(self.presets.find(name), self, origin)

    def set_latency(self, latency: LatencyMode) -> None:
        self.found = replace(self.found, latency=latency)

    def set_on_failure(self, rule: OnFailure) -> None:
        self.found = replace(self.found, on_failure=rule)

    def status(self) -> Status:
        return self.found

    def shown(self) -> None:
        """No picture."""

    def wait_settled(self, revision: int, timeout_s: float) -> Settled:
        prompt = self.instructions[-1].prompt
        if self.found.state is State.WARMING:
            return Settled(7, None, None, None, None, None)
        refused = "impossible." if prompt == "refuse me" else None
        notice = "no galaxies" if "galaxy" in prompt else None
        return Settled(7, 0.01, None if refused else 0.42, refused, notice, None)


class Daemon:
    """A served controller whose address lies in a runtime folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.controller = Controller()
        self.lock = DaemonLock(folder)
        app = create_app(self.controller, self.lock.token, self.lock.release)
        self.server = ControlServer(app, bind(0))
        self.server.start()
        self.address = self.lock.publish(self.server.port)

    def close(self) -> None:
        self.server.stop()
        self.lock.release()


def environment(folder: Path) -> dict[str, str]:
    environ = {**os.environ, "LIVEEDIT_CAM_RUNTIME_DIR": str(folder), "HOME": str(folder)}
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    return environ


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    served = Daemon(folder)
    yield served
    served.close()


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``liveedit-cam`` as its own process."""
    return python(folder, "-m", "liveedit_cam", *arguments)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


STARTING = """
import os, signal
from pathlib import Path
from liveedit_cam.control.state import StartNote
with StartNote(Path(os.environ["LIVEEDIT_CAM_RUNTIME_DIR"])):
    print("starting", flush=True)
    signal.pause()
"""


def python_running(folder: Path, code: str) -> subprocess.Popen[str]:
    environ = environment(folder)
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    "arguments", [["edit", "x", "--wait"], ["status"], ["page"], ["mode", "slate"], ["stop"]]
)
def test_a_remote_command_loads_nothing_heavy(
    folder: Path, daemon: Daemon, arguments: list[str]
) -> None:
    """Catches an import that makes every instruction slow; the command does its whole work here."""
    code = (
        "import sys; from liveedit_cam.cli import main\n"
        f"sys.argv = ['liveedit-cam', *{arguments!r}]\n"
        "main()\n"
        f"print('LOADED', sorted(set(sys.modules) & set({HEAVY!r})))"
    )
    done = python(folder, "-c", code)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_edit_sends_all_it_was_told(folder: Path, daemon: Daemon) -> None:
    """Catches an option that is parsed and dropped."""
    options = ["--strength", "0.5", "--region", "0,0,0.5,1", "--seed", "3"]
    done = command(folder, "edit", "make it night", *options)
    assert (done.returncode, done.stdout) == (0, "instruction 7: make it night\n")
    expected = EditInstruction("make it night", 0.5, Region(0, 0, 0.5, 1), 3, revision=7)
    assert daemon.controller.instructions == [expected]


def test_edit_tells_what_the_model_does_not_know(folder: Path, daemon: Daemon) -> None:
    """Catches a notice that is looked for before the engine has read the instruction."""
    done = command(folder, "edit", "add a galaxy")
    assert done.stdout.splitlines() == ["instruction 7: add a galaxy", "note: no galaxies"]


def test_edit_does_not_wait_for_an_engine_that_loads(folder: Path, daemon: Daemon) -> None:
    """Catches an `edit` that hangs, or repeats the notice about an older instruction."""
    loading = replace(STATUS, state=State.WARMING, notice="old")
    daemon.controller.found = loading
    done = command(folder, "edit", "add a galaxy")
    assert done.stdout.splitlines() == [
        "instruction 7: add a galaxy",
        "note: the model has not read it yet, see the status (or edit with --wait)",
    ]
    done = command(folder, "edit", "add a galaxy", "--wait", "--timeout", "0")
    assert (done.returncode, done.stdout) == (5, "")
    assert "was not visible within 0 s" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "prompt", "strength"),
    [
        (["make it night"], "make it night", 1.0),
        (["make", "it", "night"], "make it night", 1.0),
        (["make", "it", "night", "--strength", "50%"], "make it night", 0.5),
        (["--strength", "50 %", "make", "it", "night"], "make it night", 0.5),
    ],
)
def test_an_instruction_needs_no_quotes(
    folder: Path, daemon: Daemon, arguments: list[str], prompt: str, strength: float
) -> None:
    """Issue 15: "unexpected extra arguments" for what everybody types first."""
    assert command(folder, "edit", *arguments).returncode == 0
    assert daemon.controller.instructions == [EditInstruction(prompt, strength, revision=7)]


def test_edit_fails_where_the_engine_refuses(folder: Path, daemon: Daemon) -> None:
    """Catches a refusal that is only visible in the status."""
    done = command(folder, "edit", "refuse me")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "liveedit-cam: impossible.\n"


def test_edit_waits_until_it_is_visible(folder: Path, daemon: Daemon) -> None:
    """Catches seconds or notice that never reach the user."""
    done = command(folder, "edit", "add a galaxy", "--wait")
    assert done.stdout.splitlines()[1:] == ["note: no galaxies", "visible after 0.42 s"]
    done = command(folder, "edit", "add a galaxy", "--wait", "--json")
    expected = {"revision": 7, "prompt": "add a galaxy", "seconds": 0.42, "notice": "no galaxies"}
    assert json.loads(done.stdout) == {**expected, "changed": None}


def test_edit_says_how_much_it_changes(folder: Path, daemon: Daemon) -> None:
    """Catches an edit that finds nothing to change and says nothing of it."""
    daemon.controller.found = replace(STATUS, changed=0.336)
    done = command(folder, "edit", "make it night", "--wait")
    assert done.stdout.splitlines()[1:] == ["visible after 0.42 s", "changes 34 % of the picture"]
    daemon.controller.found = replace(STATUS, changed=0.0004)
    done = command(folder, "edit", "turn my shirt red", "--wait")
    _, _, changes, hint = done.stdout.splitlines()
    assert changes == "changes nothing in this picture"
    assert "name it, or the colour it has" in hint
    for options in (("--strength", "0"), ("--region", "0,0,0.1,1")):
        done = command(folder, "edit", "make it night", "--wait", *options)
        assert done.stdout.splitlines()[-1] == "changes nothing in this picture"
    daemon.controller.found = replace(STATUS, changed=0.004)
    done = command(folder, "edit", "make it night", "--wait")
    assert done.stdout.splitlines()[-1] == "changes less than 1 % of the picture"


def test_page_prints_both_addresses_and_makes_new_ones(folder: Path, daemon: Daemon) -> None:
    """Issue 20: catches a printed address that does not open the page after the change."""
    before = command(folder, "page").stdout
    assert f"#token={daemon.lock.token}" in before
    assert "#key=" in before
    after = command(folder, "page", "--new-token").stdout
    assert "#token=" in after
    assert f"#token={daemon.lock.token}" not in after


def test_a_preset_is_applied_in_the_running_camera(folder: Path, daemon: Daemon) -> None:
    """Issue 20: catches a name that is not found although it is shipped, and one without help."""
    applied = command(folder, "preset", "apply", "Golden", "hour")
    assert applied.stdout == "preset golden hour\n"
    (given,) = daemon.controller.instructions
    assert (given.prompt, given.transition_s) == ("golden light", 0.5)
    unknown = command(folder, "preset", "apply", "golden our")
    assert unknown.returncode == 2
    assert "Near: 'golden hour'" in unknown.stderr


def test_status_is_watched_until_the_camera_ends() -> None:
    """Issue 20: catches a watch that ends with an error, or that never looks again."""
    found = [STATUS, replace(STATUS, instruction="golden light")]

    class Client:
        address = DaemonAddress(1, 8642, "t")

        def status(self) -> Status:
            if not found:
                raise ControlError("no liveedit-cam is running.")
            return found.pop(0)

    lines: list[str] = []
    last = watch(cast("ControlClient", Client()), write=lines.append, pause=lambda seconds: None)
    assert ["golden light" in line for line in lines] == [False, True]
    assert last == "liveedit-cam has ended"


def test_status_is_for_people_or_for_programs(folder: Path, daemon: Daemon) -> None:
    """Catches JSON that is not the status, and a page address that does not open the page."""
    shown = command(folder, "status").stdout
    assert daemon.address.page_url in shown
    assert "make it night" in shown
    printed = command(folder, "status", "--json").stdout
    assert status_from_json(json.loads(printed)) == STATUS
    assert daemon.lock.token not in printed


def test_stop_returns_when_the_daemon_has_ended(folder: Path, daemon: Daemon) -> None:
    """Catches `stop && start` that meets the old daemon."""
    done = command(folder, "stop")
    assert (done.returncode, done.stdout) == (0, f"stopped (process {os.getpid()})\n")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a signal there is no request")
def test_stop_ends_a_start_that_is_not_there_yet(folder: Path) -> None:
    """Issue 15: "nothing is running", and then the camera went live."""
    starting = python_running(folder, STARTING)
    assert starting.stdout is not None
    assert starting.stdout.readline() == "starting\n"
    assert "is still starting" in command(folder, "status").stderr
    done = command(folder, "stop")
    assert done.stdout == f"stopped (process {starting.pid}, which was starting)\n"
    starting.wait(60)
    starting.stdout.close()
    done = command(folder, "stop")
    assert (done.returncode, done.stderr[:44]) == (
        5,
        "liveedit-cam: no liveedit-cam is running. St",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["edit", "x"], 5, "liveedit-cam: no liveedit-cam is running. Start one with"),
        (["train", "codec", "--media", "/nowhere"], 2, "got media folder /nowhere without"),
        (["train", "toy"], 2, "`train toy` is `lab toy` now. Try: liveedit-cam lab toy --help"),
        (["process", "none.mp4", "out.mp4", "night"], 3, "none.mp4, which is no file. Give"),
        (["process", "none.mp4", "out.mp4", " "], 2, "Got an empty instruction"),
        (["-v", "status"], 5, "ControlError: no liveedit-cam is running"),
        (["edit"], 2, "the following arguments are required: prompt"),
        (["edit", "x", "--region", "1,2"], 2, "four shares such as 0,0,0.5,1"),
        (["edit", "x", "--wiat"], 2, "unrecognized arguments: --wiat"),
        (["edit", "x", "--strength", "50"], 2, "expected a share from 0 to 1. Write 50% for per"),
        (["edit", "x", "--strength", "nan"], 2, "got 'nan', expected a share from 0 to 1"),
        (["run", "--strength", "50"], 2, "expected a share from 0 to 1. Write 50% for per"),
        (["run", "--sink", "preview:web"], 2, "Got the preview port 'web', expected"),
        (["run", "--port", "9000", "--sink", "preview:9001"], 2, "ports 9000, 9001 for the page"),
        (["edit", "x", "--wait", "--timeout", "-3"], 2, "got '-3', expected seconds from 0 to 600"),
        (["run", "x" * 3000], 2, "xxx...xxx"),
        (["mode", "black"], 2, "invalid choice: 'black' (choose from"),
        (["run", "--width", "63"], 2, "got width = 63, expected"),
        (["run", "--config", "none.toml"], 2, "none.toml cannot be read"),
        (["run", "--mode", "black"], 2, "edit, bypass or slate"),
        (["run", "--wdth", "640"], 2, "--width"),
        (["start", "--width", "63"], 2, "got width = 63, expected"),
        (["fly"], 2, "fly"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(
    folder: Path, arguments: list[str], code: int, message: str
) -> None:
    """Catches a traceback in front of a user, and scripts that cannot tell failures apart."""
    done = command(folder, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stdout == ""
    assert ("Traceback" in done.stderr) == ("-v" in arguments)
    assert not (folder / "lock").exists()


@pytest.mark.parametrize("name", ["train", "bench", "lab"])
def test_the_laboratory_says_what_to_install(folder: Path, name: str) -> None:
    """Catches a traceback where only what a camera needs is installed, and torch loaded first."""
    code = (
        "import sys; sys.modules['matplotlib'] = sys.modules['torch'] = None\n"
        f"sys.argv = ['liveedit-cam', {name!r}, '--help']\n"
        "from liveedit_cam.cli import main; main()"
    )
    done = python(folder, "-c", code)
    assert done.returncode == 6
    assert done.stderr.endswith('Install the laboratory: pip install "liveedit-cam[lab]"\n')
    assert "Traceback" not in done.stderr


def test_a_second_daemon_is_refused_and_the_first_keeps_its_log(
    folder: Path, daemon: Daemon
) -> None:
    """Catches a start that empties the log of the daemon that runs."""
    (folder / "daemon.log").write_text("the first one's words")
    for name in ("start", "run"):
        done = command(folder, name, "--source", "pattern", "--sink", "memory")
        assert done.returncode == 5
        assert f"process {os.getpid()} on port {daemon.server.port}" in done.stderr
    assert (folder / "daemon.log").read_text() == "the first one's words"


def test_a_start_adds_to_the_log_and_shows_its_own_part(folder: Path) -> None:
    """Issue 15: a start that wipes what the last run said of its end."""
    folder.mkdir()
    (folder / "daemon.log").write_text("why the last one ended\n")
    done = command(folder, "start", "--width", "63")
    assert done.returncode == 2
    assert "got width = 63" in done.stderr
    assert "the last one" not in done.stderr
    log = (folder / "daemon.log").read_text()
    assert log.startswith("why the last one ended\n")
    assert "got width = 63" in log
    assert sorted(path.name for path in folder.iterdir()) == ["daemon.log"]


def test_help_names_commands_and_kinds(folder: Path) -> None:
    """Catches a command that is there and not listed, and help that misses a new backend."""
    listed = command(folder, "--help").stdout
    names = ("run", "start", "stop", "status", "edit", "mode", "devices", "process", "models")
    assert [name for name in (*names, "train") if f"\n  {name} " not in listed] == []
    kinds = command(folder, "run", "--help").stdout
    assert "pattern" in kinds
    assert "virtual-camera" in kinds
    assert "--region X,Y,W,H" in command(folder, "edit", "--help").stdout


def test_version_is_printed(folder: Path) -> None:
    """Catches --version that asks for a command."""
    done = command(folder, "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("liveedit-cam")


def test_a_plain_line_comes_now_and_then() -> None:
    """Catches a log that grows four times a second, and one that stays empty."""
    now, lines = [0.0], list[str]()
    display = PlainDisplay(write=lines.append, now=lambda: now[0])
    display.started(DaemonAddress(1, 8642, "t"), STATUS)
    assert lines == [
        "page: http://127.0.0.1:8642/#token=t",
        "source: pattern",
        "sink: preview:8643",
    ]
    for tick in range(41):
        now[0] = tick * PLAIN_EVERY_S / 20
        display.show(STATUS)
    assert lines[3:] == [summary(STATUS)] * 3


def test_rows_leave_out_what_is_not_there() -> None:
    """Catches a screen full of "None", and a notice or an error that is not shown."""
    labels = [label for label, _ in rows(STATUS)]
    assert not {"pending", "notice", "last error", "restarts"} & set(labels)
    loud = replace(STATUS, pending="x", notice="y", last_error="z", engine_restarts=3)
    assert {"pending", "notice", "last error", "restarts"} <= {label for label, _ in rows(loud)}
    assert "None" not in table(rows(STATUS)) + summary(STATUS)
    assert "last error: z" in summary(loud)
    assert status_table(loud, "http://page").row_count == len(rows(loud)) + 2


def test_an_instruction_is_no_markup() -> None:
    """Catches brackets in a prompt that colour the screen, vanish, or crash the live display."""
    screen = Console(file=io.StringIO(), width=100)
    screen.print(
        status_table(replace(STATUS, instruction="make [red]it[/nope] red"), "http://page")
    )
    assert isinstance(screen.file, io.StringIO)
    assert "make [red]it[/nope] red" in screen.file.getvalue()


def test_progress_is_drawn_on_a_terminal_only() -> None:
    """Catches control characters in a log, and a bar that does not move."""
    for is_terminal in (False, True):
        drawn = io.StringIO()
        screen = Console(file=drawn, force_terminal=is_terminal, width=80)
        with choose_progress(screen) as progress:
            progress(3, None)
            progress(40, 81)
        assert ("40/81" in drawn.getvalue()) == is_terminal
        assert bool(drawn.getvalue()) == is_terminal


def test_devices_tell_what_is_missing() -> None:
    """Catches a list that is silent about why there is no camera."""
    camera = Device("--source camera:0", "HD Webcam (1280x720)")
    shown = in_words(Devices((camera,), (), "there is no display.", None, "no PipeWire"))
    assert "--source camera:0" in shown
    assert "No screen: there is no display." in shown
    assert "--sink virtual-camera" in shown
    assert "--sink pipewire" not in shown
    shown = in_words(Devices((), (), None, "load v4l2loopback.", None))
    assert "No camera was found." in shown
    assert "No virtual camera: load v4l2loopback." in shown
    assert "--sink virtual-camera" not in shown
    assert "--sink pipewire" in shown
    shown = in_words(Devices((), (), None, "load v4l2loopback.", "start PipeWire."))
    assert "No PipeWire camera: start PipeWire." in shown


def test_a_camera_says_why_auto_leaves_it() -> None:
    """Catches an infrared or a virtual camera listed as if it were any other (issue 15)."""
    phone = described(DeviceInfo("/dev/video9", "Phone", is_virtual=True))
    infrared = described(DeviceInfo("/dev/video2", "IR", ((640, 360),), is_infrared=True))
    assert (phone.option, "fed by another program" in phone.description) == (
        "--source camera:/dev/video9",
        True,
    )
    assert infrared.description == "IR (640x360; infrared, the last choice of auto)"


def test_the_tail_of_a_log_is_short(tmp_path: Path) -> None:
    """Catches a failed start that floods the terminal, or says nothing at all."""
    log = tmp_path / "log"
    log.write_bytes(b"")
    assert log_tail(log) == "(the log is empty)"
    log.write_bytes(b"\n".join(b"%d" % number for number in range(100)) + b"\n\xff")
    assert log_tail(log).splitlines() == [*(str(number) for number in range(81, 100)), "\ufffd"]


def test_no_thread_is_left(folder: Path) -> None:
    """Catches a control server that keeps the process alive after its end."""
    before = set(threading.enumerate())
    Daemon(folder).close()
    assert set(threading.enumerate()) - before == set()
