"""The benchmark that is the first thing to run on a GPU, from its command line to its last line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_it_runs_at_tiny_size() -> None:
    """Catches a first hour on a rented GPU lost to a changed name: every kind of variant."""
    names = ["dense", "masked", "light_codec", "latent_by_latent", "paper", "plain"]
    done = subprocess.run(
        [sys.executable, "benchmarks/wan.py", "--scale", "tiny", "--device", "cpu", "--chunks", "1",
         "--only", *names],
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert not [name for name in found if name.endswith("_failed")], found
    for name in names:
        assert found[f"{name}_fps"] > 0
        assert {
            f"{name}_{part}_ms" for part in ("encode", "step_1", "context", "decode", "fit")
        } <= (found.keys())
    assert found["dense_against_plain"] > 0
    assert 0 < found["masked_tokens_skipped"] < 1
