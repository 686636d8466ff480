"""Tiny videos, pairs and latents of them, for the stages of models like liveedit-1.3b."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import torch
from tiny_model import TINY, moving_frames, tiny_codec
from torch import Tensor

from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.lab.training.wan.latents import EncodingSettings, encode_pairs
from liveedit_cam.lab.training.wan.pairs import read_pairs
from liveedit_cam.model.codec import CodecStream
from liveedit_cam.model.config import CodecConfig

FLOW = replace(
    TINY,
    name="tiny-flow",
    prediction="flow",
    codec=CodecConfig(16, decoder_width=8, decoder_blocks=1, kind="wan"),
    height=32,
    width=48,
    chunk_latents=3,
    window_latents=12,
    num_sink_latents=3,
)
"""Structure, prediction and chunks as WAN_1_3B; 6 tokens a latent."""

SIZE = EncodingSettings(32, 48, 6, pairs_per_shard=3)


def write_video(path: Path, num_frames: int = 24, seed: int = 0) -> Path:
    """A moving picture of 96x64, lossless enough."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=16)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for pixels in moving_frames(num_frames, 64, 96, seed):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    return path


def write_set(folder: Path, count: int = 8) -> Path:
    """``pairs.jsonl`` of ``count`` pairs and their videos."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        write_video(folder / f"{number}.mp4", seed=number)
        write_video(folder / f"{number}-edited.mp4", seed=number + 100)
        lines.append(
            json.dumps(
                {
                    "source": f"{number}.mp4",
                    "edited": f"{number}-edited.mp4",
                    "instruction": f"edit {number}",
                }
            )
        )
    (folder / "pairs.jsonl").write_text("\n".join(lines))
    return folder / "pairs.jsonl"


class Words:
    """A text encoder of random rows, a prompt's always the same."""

    def __init__(self) -> None:
        self.num_called = 0

    def __call__(self, prompts: list[str]) -> Tensor:
        self.num_called += len(prompts)
        out = torch.zeros(len(prompts), FLOW.text.max_tokens, FLOW.text.width)
        for row, prompt in zip(out, prompts, strict=True):
            drawn = torch.Generator().manual_seed(sum(prompt.encode()) + 1)
            count = min(len(prompt) + 1, FLOW.text.max_tokens)
            row[:count] = torch.randn(count, FLOW.text.width, generator=drawn)
        return out


def codec() -> CodecStream:
    return CodecStream(tiny_codec(FLOW.codec))


def write_latents(folder: Path, count: int = 8) -> Path:
    """A folder of latents of ``count`` pairs."""
    pairs = write_set(folder / "videos", count)
    encode_pairs(read_pairs(pairs), codec(), Words(), folder / "latents", SIZE)
    return folder / "latents"


def settings(folder: Path, latents: Path, **changes: object) -> StageSettings:
    """Settings of a stage over ``latents``, three iterations of two samples."""
    config = folder / "config.json"
    config.write_text(json.dumps(FLOW.to_dict()))
    return StageSettings.model_validate(
        {
            "model": str(config),
            "out": folder / "runs",
            "latents": latents,
            "device": "cpu",
            "iterations": 3,
            "batch": 2,
            "learning_rate": 1e-3,
            "muon": False,
            "threads": 1,
            "log_every": 1,
            **changes,
        }
    )


def widest(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Largest difference of two sets of weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def half_grey(path: Path) -> Path:
    """A file that is no video."""
    path.write_bytes(np.random.default_rng(0).bytes(999))
    return path
