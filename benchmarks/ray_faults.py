"""What does a camera notice when a part of Ray dies under it, and how soon is there another?

    python benchmarks/ray_faults.py [--replicas 2]

`serve --local` with nano for two cameras a replica, and the remote editor with a stand-in of 100 ms
as the local model. The only replica is killed: how soon chunks are edited here, the longest time
from one field to the next, and how soon Ray's next replica edits. With --replicas 2 a second
session is opened, which calls for a second replica: how soon that is there; then the first one's is
killed, and its camera moves to the other. At last Ray's head is killed: for how long the session
goes on.

Needs the extra `serve`. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import Figure, print_result
from serve import Engine
from stand_in import TOKEN

START_S = 300.0
HEAD_S = 120.0
"""Longest look at what is left without a head."""


@contextmanager
def cluster(replicas: int) -> Iterator[tuple[int, int]]:
    """`serve --local` as a user starts it; its port, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tokens.toml").write_text(f'[bench]\ntoken = "{TOKEN}"\n')
        command = [
            *(sys.executable, "-m", "liveedit_cam", "serve", "--local", f"--port={port}"),
            *(f"--replicas={replicas}", "--sessions=2", f"--tokens={folder / 'tokens.toml'}"),
        ]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until = time.monotonic() + START_S
            while "camera:" not in (folder / "log").read_text():
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((folder / "log").read_text())
                time.sleep(0.2)
            yield port, process.pid
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def replica(port: int) -> tuple[int, int]:
    """Process and sessions of one of the replicas, by chance; 0, 0 while there is none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            found = json.load(answer)
    except OSError:
        return 0, 0
    return int(found["pid"]), int(found["sessions"])


def wait_for_replicas(port: int, count: int) -> float:
    """Seconds until so many answer. Raises TimeoutError."""
    began, seen = time.monotonic(), set[int]()
    while len(seen) < count:
        seen.add(replica(port)[0])
        seen.discard(0)
        if time.monotonic() - began > START_S:
            raise TimeoutError(f"{len(seen)} replicas, expected {count}")
        time.sleep(0.2)
    return time.monotonic() - began


def head_of(parent: int) -> int:
    """Process of Ray's head among the descendants of ``parent``. Raises StopIteration."""
    parents = {
        int(one.parent.name): int(one.read_text().rpartition(")")[2].split()[1])
        for one in Path("/proc").glob("[0-9]*/stat")
    }
    heads = (
        pid for pid in parents if b"gcs_server" in Path(f"/proc/{pid}/cmdline").read_bytes()[:200]
    )

    def is_below(pid: int) -> bool:
        return pid == parent or (pid in parents and is_below(parents[pid]))

    return next(pid for pid in heads if is_below(pid))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, choices=(1, 2), default=1)
    wanted = parser.parse_args()
    Engine.patience_s = START_S
    figures: dict[str, Figure] = {"replicas": wanted.replicas}
    began = time.monotonic()
    with cluster(wanted.replicas) as (port, pid):
        figures["start_s"] = time.monotonic() - began
        engine = Engine(port)
        engine.until("ms away", 3.0)
        first, _ = replica(port)
        if wanted.replicas == 2:
            second = Engine(port)
            second.until("ms away", 1.0)
            figures["second_replica_after_s"] = wait_for_replicas(port, 2)
            second.close()
            engine.until("ms away", 1.0)  # it stood still while replicas were counted
        began = time.monotonic()
        os.kill(first, signal.SIGKILL)
        figures["killed_here_after_s"] = engine.until("this computer")
        figures["killed_ray_after_s"] = time.monotonic() - began + engine.until("ms away")
        figures["killed_longest_gap_s"] = engine.longest_gap_s(began)
        began = time.monotonic()
        os.kill(head_of(pid), signal.SIGKILL)
        Engine.patience_s = HEAD_S
        try:
            engine.until("this computer")
            figures["headless_session_went_on_s"] = time.monotonic() - began
        except TimeoutError:
            figures["headless_session_went_on_s"] = f"more than {HEAD_S:g}"
        figures["headless_longest_gap_s"] = engine.longest_gap_s(began)
        engine.close()
    print_result("What of Ray's faults does a camera notice?", figures)


if __name__ == "__main__":
    main()
