"""Stage "codec": fit the transform in closed form, then train the decoder's residual."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.training.data import PairMaker
from liveedit_cam.lab.training.loop import LoopConfig, Run
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import ModelConfig

FIT_SIZES = ((144, 256), (96, 160), (208, 208))


FIT_PAIRS = 600


def fit_transform(codec: Codec, clips: Sequence[Clip], seed: int, num_pairs: int) -> None:
    """Fit the transform on blocks of augmented sources and targets at several scales."""
    maker = PairMaker(clips, plain_palette(), seed)
    blocks = []
    for index in range(num_pairs):
        (pair,) = maker.pairs(
            1, 1, codec.config.frames_per_latent, *FIT_SIZES[index % len(FIT_SIZES)]
        )
        for frames in (pair.source, pair.target()):
            split = codec.split_blocks(frames.permute(3, 0, 1, 2).unsqueeze(0))
            flat = split.flatten(2)[0].T
            blocks.append(flat[torch.randperm(len(flat))[:80]])
    codec.fit(torch.cat(blocks))


def codec_loss(codec: Codec, frames: Tensor) -> tuple[Tensor, dict[str, float]]:
    """L1 of pixels and of their gradients; frames (B, 3, T, H, W) in [0, 1]."""
    decoded = codec.decode(codec.encode(frames))
    error = decoded - frames
    gradients = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    psnr = -10 * torch.log10(error.square().mean((1, 2, 3, 4)).clamp_min(1e-8)).mean()
    return error.abs().mean() + 0.5 * gradients, {"psnr": psnr.item()}


def train_codec(
    config: ModelConfig,
    clips: Sequence[Clip],
    out: Path,
    loop: LoopConfig,
    seed: int,
    fit_pairs: int = FIT_PAIRS,
) -> Codec:
    """Fit and train; writes ``out/codec.safetensors`` (16 bit) and returns the mean codec."""
    codec = Codec(config.codec)
    run = Run(out, codec, loop)
    if run.iteration == 0:
        torch.manual_seed(seed)
        fit_transform(codec, clips, seed, fit_pairs)
        run.ema.module.load_state_dict(codec.state_dict())
    maker = PairMaker(clips, plain_palette(), seed + 1)

    def loss_of(iteration: int) -> tuple[Tensor, dict[str, float]]:
        maker.draws.begin(iteration)
        pairs = maker.pairs(8, 2, config.codec.frames_per_latent, 96, 96)
        frames = torch.stack([p.target() if i % 2 else p.source for i, p in enumerate(pairs)])
        return codec_loss(codec, frames.permute(0, 4, 1, 2, 3))

    run.train(loss_of)
    mean = run.ema.module
    assert isinstance(mean, Codec)
    save_file({k: v.half().contiguous() for k, v in mean.state_dict().items()},
              out / "codec.safetensors")  # fmt: skip
    return mean


@torch.no_grad()
def codec_psnr(codec: Codec, clip: Clip, height_px: int, width_px: int) -> float:
    """Mean PSNR in dB of up to six chunks of a clip at the given size."""
    t = codec.config.frames_per_latent
    values = []
    for start in torch.linspace(0, len(clip.frames) - t, 6).int().tolist():
        frames = torch.from_numpy(clip.frames[start : start + t]).permute(3, 0, 1, 2).float() / 255
        small = F.interpolate(frames, (height_px, width_px), mode="area").unsqueeze(0)
        error = (codec.decode(codec.encode(small)) - small).square().mean()
        values.append(-10 * torch.log10(error).item())
    return sum(values) / len(values)
