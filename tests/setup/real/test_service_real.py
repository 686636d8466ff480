"""The service under a real systemd user manager, which runs in a mount namespace of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from liveedit_cam.control.server import bind

HERE = Path(__file__).parent
SYSTEMD = Path("/lib/systemd/systemd")


def why_not() -> str | None:
    """What is missing for a systemd of our own; None = nothing."""
    if sys.platform != "linux" or not SYSTEMD.exists():
        return "there is no systemd to run"
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "only root may make a mount namespace"
    tried = subprocess.run(
        ["unshare", "--mount", "true"], capture_output=True, check=False
    ).returncode
    return "mount namespaces are not permitted here" if tried else None


def test_it_comes_with_the_session_and_back_after_a_kill(tmp_path: Path) -> None:
    """Catches a unit that systemd refuses, does not start again, or starts after `stop`.

    Three seconds from the kill to the new process is the bar; systemd waits one of them.
    """
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with bind(0) as listener:
        port = listener.getsockname()[1]
    environ = {name: text for name, text in os.environ.items() if "LIVEEDIT" not in name}
    environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    ended = subprocess.run(
        [
            "unshare",
            "--mount",
            HERE / "user_systemd.sh",
            tmp_path,
            sys.executable,
            HERE / "service_job.py",
            str(port),
        ],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["install"] == [0, ""]
    assert "left as it was" in found["again"]
    assert found["back_s"] <= 3, found
    assert "exists and differs" in found["differs"]
    assert found["stays_stopped"], found
    assert [found[name] for name in ("status", "status_stopped", "stop", "remove")] == [0, 1, 0, 0]
