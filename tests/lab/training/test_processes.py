"""Training in several processes: each draws pairs of its own, one writes the files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_model import TINY, tiny_codec, tiny_text

ITERATIONS = 2


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A tiny model ready for stage 2 in ``tmp_path``."""
    for name, network in (("codec", tiny_codec()), ("text", tiny_text())):
        (tmp_path / name).mkdir()
        save_file(network.state_dict(), tmp_path / name / f"{name}.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(TINY.to_dict()))
    path = tmp_path / "stage.toml"
    path.write_text(
        f'model = "{tmp_path}/config.json"\nout = "{tmp_path}"\ndevice = "cpu"\nthreads = 1\n'
        f"iterations = {ITERATIONS}\nlog_every = 1\nema = 0.0\nbatch = 2\nnum_latents = 1\n"
        f"height = 64\nwidth = 96\nmuon = false\n"
    )
    return path


def train(settings: Path, launcher: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """Weights after ``ITERATIONS``, from one process or those of ``launcher``."""
    command = [sys.executable, *launcher, "-m", "liveedit_cam", "train", "teacher-forcing"]
    done = subprocess.run(
        [*command, "--config", str(settings)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    run = settings.parent / "editor"
    assert len((run / "log.jsonl").read_text().splitlines()) == ITERATIONS
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    assert state["iteration"] == ITERATIONS
    shutil.rmtree(run)
    weights: dict[str, torch.Tensor] = state["module"]
    return weights


@pytest.mark.slow
def test_two_processes_learn_from_different_pairs(settings: Path) -> None:
    """Catches processes that draw the same pairs: their mean gradient would be one's own.

    Also a second process that writes the log, and one that cannot join.
    """
    alone = train(settings)
    again = train(settings)
    assert all(torch.equal(alone[name], again[name]) for name in alone)
    both = train(settings, ("-m", "torch.distributed.run", "--nproc-per-node=2"))
    assert any(not torch.equal(alone[name], both[name]) for name in alone)
