"""The virtual camera on the real drivers, in a virtual machine; one boot for each group of checks.

About 30 s for our sink by itself, once scripts/v4l2-vm is set up (which the first run does, in 20 s
and 85 MB). The daemon with a test camera, and Chromium, take minutes there, and run where
LIVEEDIT_TEST_SLOW=1 is set. Skipped, with the reason, where a part is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
MISSING_PART = 77
SINK_TIMEOUT_S, SLOW_TIMEOUT_S = 240, 400
"""Far above what is normal: a busy computer must not fail the test."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one check in the machine."""

    passed: bool
    seen: str
    """What it saw, or the traceback."""
    seconds: float


def run(suite: str, out: Path, timeout_s: int) -> dict[str, Result]:
    """Boot the machine and run ``suite`` of vm_checks.py there."""
    environ = {"LIVEEDIT_TEST_VM_OUT": str(out), "LIVEEDIT_TEST_VM_TIMEOUT": str(timeout_s)}
    ended = subprocess.run(
        [
            ROOT / "scripts/v4l2-vm",
            HERE / "vm_job.sh",
            sys.executable,
            HERE / "vm_checks.py",
            suite,
            "/mnt/out",
        ],
        cwd=ROOT,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode == MISSING_PART:
        pytest.skip(ended.stderr.strip().splitlines()[-1])
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads((out / "results.json").read_text())
    return {name: Result(**result) for name, result in found.items()}


@pytest.fixture(scope="module")
def sink_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    """All checks of our sink by itself."""
    if shutil.which("v4l2-ctl") is None:
        pytest.skip("got no program v4l2-ctl; run: sudo apt-get install -y v4l-utils")
    return run("sink", tmp_path_factory.mktemp("vm"), SINK_TIMEOUT_S)


@pytest.fixture(scope="module", params=["daemon", "browser"])
def slow_results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Result]:
    """All checks of the daemon and its readers, then those of Chromium."""
    if os.environ.get("LIVEEDIT_TEST_SLOW") != "1":
        pytest.skip("takes minutes; set LIVEEDIT_TEST_SLOW=1 to run it")
    if request.param == "browser" and shutil.which("chromium") is None:
        pytest.skip("got no program chromium; run: sudo apt-get install -y chromium")
    return run(request.param, tmp_path_factory.mktemp("vm"), SLOW_TIMEOUT_S)


SINK_CHECKS = (
    "a_reader_is_noticed_when_it_comes_and_when_it_goes",
    "it_is_chosen_by_label_path_and_number",
    "it_is_reopened_again_and_again",
    "what_another_library_left_is_repaired",
    "a_reader_that_came_first_gets_pictures",
    "a_reader_that_stays_goes_on_after_a_restart",
    "a_killed_writer_does_no_harm",
    "another_program_is_named",
    "opencv_and_pyav_see_the_colours",
    "wrong_targets_are_explained",
    "a_missing_permission_names_the_group",
    "the_first_free_one_is_taken",
)


@pytest.mark.parametrize("name", SINK_CHECKS)
def test_our_sink_on_the_real_driver(sink_results: dict[str, Result], name: str) -> None:
    """What each check would catch stands in vm_sink.py."""
    assert sink_results[name].passed, sink_results[name].seen


def test_daemon_and_browser_on_the_real_drivers(slow_results: dict[str, Result]) -> None:
    """What each check would catch stands in vm_readers.py and vm_browser.py."""
    assert [result.seen for result in slow_results.values() if not result.passed] == []
    assert slow_results


def test_no_check_is_left_out(sink_results: dict[str, Result]) -> None:
    """Catches a check that runs in the machine and is not looked at here."""
    assert set(sink_results) == set(SINK_CHECKS)
