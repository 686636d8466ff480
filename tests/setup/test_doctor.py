"""What ``doctor`` finds of desktop, engine and network; and how it mends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from computers import DEBIAN, commands, computer, one

from liveedit_cam.commands.doctor import mend_all
from liveedit_cam.config import Config
from liveedit_cam.control.server import bind
from liveedit_cam.errors import LiveEditError, UsageError
from liveedit_cam.setup import desktop, engine, reach
from liveedit_cam.setup.computer import Answer
from liveedit_cam.setup.findings import (
    Finding,
    Fix,
    Verdict,
    as_json,
    fail,
    lines,
    ok,
    warn,
    worst,
)
from liveedit_cam.setup.fixing import mend, require_root
from liveedit_cam.types import Status


def pci(vendor: str, kind: str = "0x030000") -> dict[str, str]:
    folder = "sys/bus/pci/devices/0000:01:00.0"
    return {f"{folder}/vendor": vendor, f"{folder}/class": kind}


def device(
    root: Path, taken: str, files: dict[str, str] | None = None, **values: object
) -> Finding:
    """What is found of the device where a camera runs that took it."""
    running = computer(root, files, daemon=Status(device=taken), **values)
    return one([*engine.engine(running)], "device")


def test_a_graphics_card_that_lies_idle_is_told(tmp_path: Path) -> None:
    """Catches the silent fallback to the processor, what users complain of most."""
    idle = pci("0x10de") | {"proc/driver/nvidia/version": "1"}
    found = device(tmp_path, "cpu", idle)
    assert found.verdict is Verdict.WARN
    assert "NVIDIA" in found.text
    assert found.fixes
    assert device(tmp_path, "cuda:0", idle).verdict is Verdict.OK
    assert device(tmp_path, "cpu", idle, config=Config(device="cpu")).verdict is Verdict.OK


def test_a_network_card_of_that_maker_is_no_graphics_card(tmp_path: Path) -> None:
    """Catches a look at the maker alone."""
    assert list(engine.graphics_cards(computer(tmp_path, pci("0x10de", "0x020000")))) == []


def test_the_engine_is_measured_and_a_missing_model_is_one_line(tmp_path: Path) -> None:
    """Catches a traceback for a model that is not there, and a pace of nothing."""
    found = list(engine.engine(computer(tmp_path, config=Config(device="cpu", steps=1))))
    assert [finding.check for finding in found] == ["device", "speed"]
    assert float(found[1].text.split()[0]) > 0
    missing = list(engine.engine(computer(tmp_path, config=Config(model="liveedit-1.3b"))))
    assert missing[0].verdict is Verdict.FAIL
    (files,) = engine.weights(computer(tmp_path, config=Config(model="liveedit-1.3b")))
    assert commands(files) == ["liveedit-cam models pull liveedit-1.3b --yes"]


def test_the_editor_of_a_run_is_tried_with_all_its_options(tmp_path: Path) -> None:
    """Catches an engine that is well in the doctor's eyes and refused by the next run."""
    config = Config(device="cpu", lora="look.safetensors")
    (found,) = engine.engine(computer(tmp_path, config=config))
    assert (found.verdict, "got a LoRA for nano" in found.text) == (Verdict.FAIL, True)


def test_little_memory_is_a_warning(tmp_path: Path) -> None:
    """Catches kilobytes read as bytes."""
    low = computer(tmp_path, {"proc/meminfo": "MemTotal: 8 kB\nMemAvailable:   600000 kB\n"})
    (found,) = engine.memory(low)
    assert found.verdict is Verdict.WARN
    assert "0.6 GB" in found.text


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Catches a check that does not see the other program."""
    with bind(0) as listener:
        port = listener.getsockname()[1]
        (found,) = reach.page(computer(tmp_path, config=Config(port=port)))
    assert found.verdict is Verdict.FAIL
    assert str(port) in found.text
    (free,) = reach.page(computer(tmp_path, config=Config(port=port)))
    assert free.verdict is Verdict.OK


def test_an_obs_that_does_not_answer(tmp_path: Path) -> None:
    """Catches OBS asked where nobody wants it, and its silence taken for well."""
    away = {"HOME": str(tmp_path)}
    (quiet,) = reach.obs(computer(tmp_path, environ=away))
    assert quiet.verdict is Verdict.OK
    with bind(0) as listener:
        port = listener.getsockname()[1]
    (found,) = reach.obs(computer(tmp_path, environ=away, config=Config(obs="on", obs_port=port)))
    assert found.verdict is Verdict.WARN


def test_the_desktop_is_named(tmp_path: Path) -> None:
    """Catches Wayland taken for X11 because its X11 display is there too."""
    x11 = computer(tmp_path, environ={"DISPLAY": ":0"})
    assert next(desktop.screen(x11)).text.startswith("X11")
    both = {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}
    without = computer(tmp_path, {"etc/os-release": DEBIAN}, environ=both)
    found = next(desktop.screen(without))
    assert found.verdict is Verdict.WARN
    assert "xdg-desktop-portal" in commands(found)[-1]
    portal = computer(tmp_path, environ=both, run=lambda command: Answer(0, "u 3"))
    assert next(desktop.screen(portal)).verdict is Verdict.OK


def test_pipewire_is_a_failure_only_where_it_was_asked_for(tmp_path: Path) -> None:
    """Catches a red line for what nobody needs."""
    dead = "PipeWire does not run for this user. Run: systemctl --user start pipewire"
    values = {"pipewire_problem": lambda: dead}
    (found,) = desktop.pipewire(computer(tmp_path, **values))
    assert found.verdict is Verdict.WARN
    assert "Run:" not in found.text
    (found,) = desktop.pipewire(computer(tmp_path, config=Config(sinks=("pipewire",)), **values))
    assert found.verdict is Verdict.FAIL


def test_commands_run_in_order_and_stop_at_the_first_that_fails() -> None:
    """Catches a later step run on the ruins of an earlier one."""
    ran: list[str] = []

    def shell(command: str) -> int:
        ran.append(command)
        return 3 if command == "second" else 0

    fixes = [Fix("first", after="log in again"), Fix("second"), Fix("third")]
    with pytest.raises(LiveEditError, match="`second` ended with exit status 3"):
        mend(fixes, ran.append, shell)
    assert ran == ["$ first", "first", "$ second", "second"]
    assert mend(fixes[:1], ran.append, shell) == ["log in again"]


def test_without_root_the_commands_are_handed_over() -> None:
    """Catches a --fix that begins, and fails half-way for want of root."""
    fixes = [Fix("sudo a"), Fix("b"), Fix("sudo c | sudo d")]
    with pytest.raises(UsageError, match=r"Run as root: a && c \| d"):
        require_root(fixes, may_sudo=False)
    require_root(fixes, may_sudo=True)
    require_root([Fix("b")], may_sudo=False)


def test_what_shows_only_after_the_first_round_is_mended_too(tmp_path: Path) -> None:
    """Catches a camera that is gone the next morning: that shows once its module is loaded.

    A command that did not help is not run again, nor one after a no.
    """
    told = tmp_path / "told"

    def step(number: int) -> Finding:
        return fail("x", "no", Fix(f"echo {number} >> {told}"))

    rounds = iter(([step(2), fail("y", "no", Fix("true"))], [step(2)], [step(3)]))
    asked: list[int] = []

    def agrees(fixes: tuple[Fix, ...]) -> bool:
        asked.append(len(fixes))
        return True

    first = [step(1), fail("y", "no", Fix("true"))]
    found = mend_all(first, computer(tmp_path), agrees, lambda: next(rounds))
    assert told.read_text() == "1\n2\n"
    assert (asked, found) == ([2, 1], [step(2)])
    assert mend_all(first, computer(tmp_path), lambda fixes: False, lambda: next(rounds)) == first


def test_a_report_in_words_and_as_json() -> None:
    """Catches a command that a person cannot find, and JSON without it."""
    found = [ok("memory", "much"), warn("x", "slow", Fix("a", False)), fail("y", "no", Fix("b"))]
    assert worst(found) is Verdict.FAIL
    assert worst(found[:2]) is Verdict.WARN
    assert lines(found[2])[1].strip() == "run: b"
    assert lines(found[1])[1].strip() == "try: a"
    told = json.loads(json.dumps(as_json(found)))
    assert told["verdict"] == "fail"
    assert told["findings"][2]["fixes"] == [{"command": "b", "is_certain": True, "after": None}]


def doctor(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "HOME": str(home), "LIVEEDIT_CAM_RUNTIME_DIR": str(home / "run")}
    return subprocess.run(
        [sys.executable, "-m", "liveedit_cam", "doctor", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_command_as_a_program_calls_it(tmp_path: Path) -> None:
    """Catches text mixed into the JSON, and an exit code that does not fit the verdict."""
    ended = doctor(tmp_path, "--json", "--quick")
    told = json.loads(ended.stdout)
    assert ended.returncode == (1 if told["verdict"] == "fail" else 0), ended.stderr
    assert {"camera", "virtual camera", "control page"} <= {f["check"] for f in told["findings"]}
    assert doctor(tmp_path, "--json", "--fix").returncode == UsageError.exit_code
