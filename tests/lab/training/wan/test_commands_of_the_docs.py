"""docs/train.md takes a lab from raw pairs to a model: its commands, run in their order, tiny."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import torch
from latent_sets import write_video
from safetensors.torch import save_file
from test_wan_stream import TINY_WAN, folder
from tiny_model import tiny_dit
from typer.testing import CliRunner

from liveedit_cam.commands.app import app

pytest.importorskip("transformers")
__all__ = ["folder"]

DOCS = Path(__file__).resolve().parents[4] / "docs/train.md"
TINY_SIZES = "--height 32 --width 48 --latents 6"
NOT_HERE = ("pull", "liveedit-cam run", "pip install")
"""What needs the net or a camera."""
STAGE = """
model = "base/config.json"
latents = "latents"
batch = 2
iterations = 2
learning_rate = 1e-5
muon = false
device = "cpu"
threads = 1
"""


def commands() -> list[str]:
    """Command lines of the page in their order; each is one process here."""
    fences = DOCS.read_text("utf-8").split("```")
    inside = [line for block in fences[1::2] for line in block.splitlines()]
    lines = [line.partition("#")[0].strip() for line in inside]
    plain = [re.sub(r"^torchrun .* -m liveedit_cam", "liveedit-cam", line) for line in lines]
    found = [line for line in plain if line.startswith("liveedit-cam")]
    return [line for line in found if not any(word in line for word in NOT_HERE)]


def prepare(base: Path) -> None:
    """What the page takes as given: a pulled model, Wan2.1's weights, a set, the settings."""
    Path("base").symlink_to(base, target_is_directory=True)
    weights = tiny_dit(TINY_WAN).state_dict()
    grown = weights["patch_embedding.weight"]
    weights["patch_embedding.weight"] = grown[:, :16].contiguous()
    save_file(weights, "t2v.safetensors")
    rows = []
    for number in range(4):
        for kind in ("source", "local"):
            place = Path("Ditto-1M/videos") / kind
            place.mkdir(parents=True, exist_ok=True)
            write_video(place / f"{number}.mp4", seed=number + (50 if kind == "local" else 0))
        rows.append({
            "source_path": f"source/{number}.mp4",
            "instruction": f"make it blue {number}",
            "edited_path": f"local/{number}.mp4",
        })  # fmt: skip
    Path("Ditto-1M/training_metadata").mkdir()
    Path("Ditto-1M/training_metadata/local.json").write_text(json.dumps(rows))
    write_video(Path("in.mp4"))
    Path("stage1.toml").write_text(STAGE + 'out = "runs"\nstart = "t2v.safetensors"\n')
    for number in (2, 3):
        Path(f"stage{number}.toml").write_text(STAGE + 'out = "runs"\n')
    lora = 'out = "lora"\nlora_rank = 4\nstart = "base/model.safetensors"\n'
    Path("lora.toml").write_text(STAGE + lora)


@pytest.mark.slow
def test_each_command_runs_in_its_order(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches an option that was renamed, and a stage that misses what the last one wrote."""
    monkeypatch.chdir(tmp_path)
    prepare(folder)
    ran = commands()
    assert len(ran) >= 9
    threads = torch.get_num_threads()
    for line in ran:
        words = shlex.split(line.replace("$BASE", "base"))[1:]
        if "encode-pairs" in words:
            words += TINY_SIZES.split()
        if words[0] == "process":
            words += ["--device", "cpu"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{line}: {done.output[-2000:]} {done.exception!r}"
    torch.set_num_threads(threads)
    for made in (
        "runs/dmd/checkpoint.pt",
        "lora/editor/lora.safetensors",
        "mine/model.safetensors",
    ):
        assert Path(made).is_file()
    assert Path("out.mp4").stat().st_size > 0
