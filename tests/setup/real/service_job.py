"""Runs beside a real systemd: installs the service, kills it, removes it; prints JSON at the end.

Its one argument is the port of the control page.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from liveedit_cam.control.client import find_daemon
from liveedit_cam.control.state import runtime_path
from liveedit_cam.errors import ControlError

SETTINGS = ["a spotlight", "--source", "pattern:320x180", "--sink", "null", "--device", "cpu"]


def service(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "liveedit_cam", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def pid() -> int:
    shown = ["systemctl", "--user", "show", "liveedit-cam", "--property=MainPID", "--value"]
    return int(subprocess.check_output(shown, text=True))


def seconds_until(condition: Callable[[], bool], timeout_s: float) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < timeout_s, "it did not come"
        time.sleep(0.05)
    return round(time.monotonic() - began, 2)


def answers() -> bool:
    try:
        return find_daemon(runtime_path(os.environ)).status().uptime_s >= 0
    except ControlError:
        return False


def main() -> None:
    installed = service("install", "--port", sys.argv[1], "--", *SETTINGS)
    found: dict[str, object] = {"install": [installed.returncode, installed.stderr]}
    found["first_answer_s"] = seconds_until(answers, 100)
    found["status"] = service("status").returncode
    found["again"] = service("install", "--port", sys.argv[1], "--", *SETTINGS).stdout
    before = pid()
    os.kill(before, signal.SIGKILL)
    found["back_s"] = seconds_until(lambda: pid() not in (0, before), 20)
    found["answers_again_s"] = seconds_until(answers, 100)
    found["differs"] = service("install", "--port", sys.argv[1], "--", "fog").stderr
    stopped = subprocess.run([sys.executable, "-m", "liveedit_cam", "stop"], check=False)
    found["stop"] = stopped.returncode
    seconds_until(lambda: pid() == 0, 20)
    time.sleep(2)  # a manager that starts it again would by now
    found["stays_stopped"] = pid() == 0
    found["status_stopped"] = service("status").returncode
    found["remove"] = service("remove").returncode
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
