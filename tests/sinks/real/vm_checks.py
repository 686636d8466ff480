"""What is checked inside the machine, against the real drivers; one JSON object as the result.

    vm_checks.py sink|daemon|browser OUT

``sink``: our sink by itself. ``daemon``: the daemon with the test camera as its source, read by
OpenCV and PyAV. ``browser``: our sink, read by headless Chromium.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

HERE = Path(__file__).parent
DEADLINE_S = 120.0

Check = Callable[[], str]
"""Returns what it saw; raises what is wrong."""


def main() -> None:
    """Run one suite and write the results."""
    suite, out = sys.argv[1], Path(sys.argv[2])
    results: dict[str, dict[str, object]] = {}
    with ExitStack() as undo:
        for check in checks_of(suite, out, undo):
            results[check.__name__] = run(check)
            (out / "results.json").write_text(json.dumps(results, indent=1))


def checks_of(suite: str, out: Path, undo: ExitStack) -> Sequence[Check]:
    """The checks in the order in which they run; what they need is ended by ``undo``."""
    if suite == "sink":
        import vm_sink

        return vm_sink.CHECKS
    if suite == "browser":
        import vm_browser

        return vm_browser.CHECKS
    import vm_readers

    note = out / "camera_colours.json"
    note.unlink(missing_ok=True)
    undo.enter_context(daemon(note, out / "daemon.log"))
    return vm_readers.checks(note)


def run(check: Check) -> dict[str, object]:
    """Whether it passed, what it saw or why it failed, and its seconds."""
    began = time.monotonic()
    try:
        seen, passed = check(), True
    except BaseException:  # noqa: BLE001 - becomes the result of this check
        seen, passed = traceback.format_exc(), False
    seconds = round(time.monotonic() - began, 1)
    sys.stdout.write(f"{'ok' if passed else 'FAILED'} {check.__name__} {seconds} s: {seen}\n")
    return {"passed": passed, "seen": seen, "seconds": seconds}


@contextmanager
def daemon(note: Path, log: Path) -> Iterator[None]:
    """Our daemon, camera to virtual camera, ended as Ctrl-C ends it."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "vm_daemon.py"), str(note), "virtual-camera:LiveEdit"],
            stdout=file,
            stderr=file,
        )
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition: Callable[[], object], what: str, limit_s: float = DEADLINE_S) -> None:
    """Poll; TimeoutError where it never becomes true."""
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"got no {what} within {limit_s:g} s")
        time.sleep(0.1)


if __name__ == "__main__":
    main()
