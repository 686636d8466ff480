"""The Wan codec: a stream equals diffusers' whole clip, and streams do not share state."""

from __future__ import annotations

import copy
import functools
import itertools
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import (
    AutoencoderKLWan,
    WanResidualBlock,
    WanUpsample,
)
from torch import nn

from liveedit_cam.errors import EditorError, WeightsError
from liveedit_cam.model.speed.compiling import compiled
from liveedit_cam.model.stream_codec import FrugalCodec, StreamCodec
from liveedit_cam.model.wan.vae import WanCodec, channels_last, load_wan_vae
from liveedit_cam.model.wan.vae_blocks import (
    PLAIN_CODEC_PARTS,
    FusedBlock,
    compiled_codec_parts,
    doubled,
    fuse,
)

CPU = torch.device("cpu")
ROUNDING = 1e-5
"""float32 sums of the same products in another order; latents and pixels are of order 1."""


def tiny_vae() -> AutoencoderKLWan:
    """Wan2.1's autoencoder at 1/24 of its width, its decoder's output spread over [0, 1]."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(base_dim=4, num_res_blocks=1).eval().requires_grad_(False)
    vae.decoder.conv_out.bias.fill_(0.5)
    return vae


@pytest.fixture(scope="module")
def vae() -> AutoencoderKLWan:
    """Shared weights; nobody changes them."""
    return tiny_vae()


def clip(num_frames: int, height: int = 16, width: int = 32, seed: int = 0) -> torch.Tensor:
    """Random frames (1, 3, T, H, W) in [0, 1]."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, num_frames, height, width, generator=drawn)


def whole_latents(vae: AutoencoderKLWan, frames: torch.Tensor) -> torch.Tensor:
    """diffusers' encoding of a clip, normalised by the numbers of its configuration."""
    mean, std = (
        torch.tensor(vae.config[name]).view(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    return (vae.encode(frames).latent_dist.mode() - mean) / std


def whole_frames(vae: AutoencoderKLWan, latents: torch.Tensor) -> torch.Tensor:
    """diffusers' decoding of a clip; its clamp to [-1, 1] is narrowed to [0, 1]."""
    mean, std = (
        torch.tensor(vae.config[name]).view(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    return vae.decode(latents * std + mean).sample.clamp(0, 1)


def encoded(codec: StreamCodec, frames: torch.Tensor, chunk_latents: int = 3) -> torch.Tensor:
    """All of ``frames`` as a stream, chunk by chunk; the last chunk may be smaller."""
    parts, start = [], 0
    while start < frames.shape[2]:
        end = start + codec.frames_for(chunk_latents)
        parts.append(codec.encode(frames[:, :, start:end]))
        start = end
    return torch.cat(parts, dim=2)


def decoded(codec: StreamCodec, latents: torch.Tensor, chunk_latents: int = 3) -> torch.Tensor:
    """All of ``latents`` as a stream."""
    return torch.cat([codec.decode(part) for part in latents.split(chunk_latents, dim=2)], dim=2)


def difference(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a - b).abs().max())


@pytest.mark.parametrize("num_frames", [1, 9, 21, 33])
def test_a_stream_equals_the_whole_clip(vae: AutoencoderKLWan, num_frames: int) -> None:
    """Catches lost features between groups, a first group with time doubled, and a 2x - 1."""
    frames, codec = clip(num_frames), WanCodec(vae)
    latents = whole_latents(vae, frames)
    got = encoded(codec, frames)
    assert got.shape == (1, 16, 1 + (num_frames - 1) // 4, 2, 4)
    assert difference(got, latents) <= ROUNDING
    expected = whole_frames(vae, latents)
    assert expected.shape == frames.shape
    assert float(expected.std()) > 0.1, "a constant picture would prove nothing"
    assert difference(decoded(codec, latents), expected) <= ROUNDING


@pytest.mark.parametrize("chunk_latents", [1, 2, 5])
def test_the_size_of_a_chunk_does_not_matter(vae: AutoencoderKLWan, chunk_latents: int) -> None:
    """Catches memory that is right for groups of 12 only, such as one of the last two frames."""
    frames, codec = clip(21), WanCodec(vae)
    latents = whole_latents(vae, frames)
    assert difference(encoded(codec, frames, chunk_latents), latents) <= ROUNDING
    expected = whole_frames(vae, latents)
    assert difference(decoded(codec, latents, chunk_latents), expected) <= ROUNDING


def test_frames_wanted(vae: AutoencoderKLWan) -> None:
    """Catches 12 frames for the first chunk: 9 make 3 latents, since frame 0 is one of its own."""
    codec = WanCodec(vae)
    assert [codec.frames_for(n) for n in (1, 2, 3)] == [1, 5, 9]
    codec.encode(clip(9))
    assert [codec.frames_for(n) for n in (1, 2, 3)] == [4, 8, 12]
    codec.reset()
    assert codec.frames_for(3) == 9
    assert isinstance(codec, StreamCodec)


def test_reset_starts_a_new_clip(vae: AutoencoderKLWan) -> None:
    """Catches features of the old clip in the new one, in either direction."""
    codec = WanCodec(vae)
    decoded(codec, encoded(codec, clip(21, seed=1)))
    codec.reset()
    assert codec.num_bytes == 0
    frames = clip(9, height=32)  # another size too
    latents = encoded(codec, frames)
    assert difference(latents, whole_latents(vae, frames)) <= ROUNDING
    assert difference(decoded(codec, latents), whole_frames(vae, latents)) <= ROUNDING


def test_two_streams_share_weights_but_no_state(vae: AutoencoderKLWan) -> None:
    """Catches features kept in the network: interleaved streams must equal separate ones."""
    clips = [clip(21, seed=seed) for seed in (1, 2)]
    codecs = [WanCodec(vae) for _ in clips]
    parts: list[list[torch.Tensor]] = [[], []]
    for start, end in ((0, 9), (9, 21)):
        for codec, frames, found in zip(codecs, clips, parts, strict=True):
            found.append(codec.decode(codec.encode(frames[:, :, start:end])))
    for frames, found in zip(clips, parts, strict=True):
        expected = whole_frames(vae, whole_latents(vae, frames))
        assert difference(torch.cat(found, 2), expected) <= ROUNDING


def test_rows_of_a_batch_do_not_mix(vae: AutoencoderKLWan) -> None:
    """Catches a batch of source and edit that leaks from one to the other."""
    first, second = (whole_latents(vae, clip(9, seed=seed)) for seed in (1, 2))
    both = decoded(WanCodec(vae), torch.cat((first, second)), chunk_latents=2)
    assert difference(both[1:], whole_frames(vae, second)) <= ROUNDING


def test_memory_stays_the_same(vae: AutoencoderKLWan) -> None:
    """Catches features that grow with the stream: nothing kept may depend on its length."""
    codec, sizes = WanCodec(vae), []
    for chunk in range(6):
        latents = codec.encode(clip(codec.frames_for(3), seed=chunk))
        codec.decode(latents)
        sizes.append(codec.num_bytes)
    assert sizes[1] > 0
    assert len(set(sizes[1:])) == 1


def test_bfloat16_weights_give_float32_near_the_exact(vae: AutoencoderKLWan) -> None:
    """Catches latents normalised in bfloat16, and a dtype that leaks out.

    bfloat16 keeps 8 bits; over some 30 layers of order 1 a mean error below 2 % is expected.
    """
    codec = WanCodec(tiny_vae().to(torch.bfloat16))
    frames = clip(9)
    latents = encoded(codec, frames)
    assert latents.dtype == torch.float32
    exact = whole_latents(vae, frames)
    assert float((latents - exact).abs().mean()) < 0.02 * float(exact.abs().mean())
    pictures = decoded(codec, exact)
    assert pictures.dtype == torch.float32
    assert float((pictures - whole_frames(vae, exact)).abs().mean()) < 0.02


@pytest.mark.parametrize("shape", [(1, 3, 12, 16, 32), (1, 4, 9, 16, 32), (1, 3, 9, 20, 32)])
def test_a_wrong_first_group_is_refused(vae: AutoencoderKLWan, shape: tuple[int, ...]) -> None:
    """Catches 12 frames at the start, which diffusers would encode to something else."""
    with pytest.raises(EditorError) as caught:
        WanCodec(vae).encode(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    assert "1 + 4 n" in str(caught.value)
    assert "multiples of 8" in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 3, 9, 16, 32), (1, 3, 12, 32, 32), (2, 3, 12, 16, 32)])
def test_a_wrong_later_group_is_refused(vae: AutoencoderKLWan, shape: tuple[int, ...]) -> None:
    """Catches another picture size or batch in the middle of a stream."""
    codec = WanCodec(vae)
    codec.encode(clip(9))
    with pytest.raises(EditorError, match=r"reset\(\)") as caught:
        codec.encode(torch.zeros(shape))
    assert str(shape) in str(caught.value)


def test_latents_that_do_not_follow_are_refused(vae: AutoencoderKLWan) -> None:
    """Catches a shape error from deep inside diffusers."""
    codec = WanCodec(vae)
    with pytest.raises(EditorError, match=r"expected \(B, 16, t, h, w\)"):
        codec.decode(torch.zeros(1, 48, 1, 2, 4))
    codec.decode(torch.zeros(1, 16, 1, 2, 4))
    with pytest.raises(EditorError, match=r"reset\(\)"):
        codec.decode(torch.zeros(1, 16, 1, 4, 4))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder diffusers writes."""
    folder = tmp_path_factory.mktemp("vae")
    tiny_vae().save_pretrained(folder)
    return folder


def test_a_folder_loads(saved: Path, vae: AutoencoderKLWan) -> None:
    """Catches a codec at another dtype than asked, or with weights left at random."""
    codec = load_wan_vae(saved, CPU, torch.float32)
    frames = clip(9)
    assert difference(encoded(codec, frames), whole_latents(vae, frames)) <= ROUNDING
    assert load_wan_vae(saved, CPU, torch.bfloat16).vae.dtype == torch.bfloat16


def test_wan_vaes_config_is_the_released_one() -> None:
    """Catches other statistics or sizes than the release's: a folder without them means these."""
    codec = WanCodec(tiny_vae())
    assert (codec.latent_channels, codec.spatial_stride) == (16, 8)
    config = codec.vae.config
    assert config["latents_mean"][:3] == [-0.7571, -0.7089, -0.9113]
    assert config["latents_std"][-2:] == [2.8251, 1.9160]


def test_weights_that_do_not_fit_are_refused(saved: Path, tmp_path: Path) -> None:
    """Catches diffusers' own loading, which leaves missing tensors at random with a warning."""
    folder = shutil.copytree(saved, tmp_path / "vae")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_dim": 8}))
    with pytest.raises(WeightsError, match="wrong shape"):
        load_wan_vae(folder, CPU, torch.float32)
    for wrong in ({**config, "is_residual": True}, {"_class_name": "AutoencoderKL"}):
        path.write_text(json.dumps(wrong))
        with pytest.raises(WeightsError, match="models pull"):
            load_wan_vae(folder, CPU, torch.float32)
    path.unlink()
    with pytest.raises(WeightsError, match="no readable JSON"):
        load_wan_vae(folder, CPU, torch.float32)


def test_doubling_is_bit_exact() -> None:
    """Catches a doubling that rounds, or shifts by half a pixel, in the weights' own type."""
    x = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    theirs = WanUpsample(scale_factor=(2.0, 2.0), mode="nearest-exact")
    assert torch.equal(doubled(x), theirs(x))


@pytest.mark.parametrize("chunk_latents", [1, 2, 3])
def test_fused_blocks_are_the_same_codec(vae: AutoencoderKLWan, chunk_latents: int) -> None:
    """Catches a bias added twice or not, a past that is one frame short, a head without its norm.

    diffusers' own blocks, biases and gammas of any size: those of a fresh network are zero and one.
    """
    theirs, drawn = copy.deepcopy(vae), torch.Generator().manual_seed(1)
    for name, parameter in theirs.named_parameters():
        if name.endswith(("gamma", "conv1.bias", "conv2.bias")):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=drawn))
    ours = copy.deepcopy(theirs)
    fuse(ours)
    fused = [module for module in ours.modules() if isinstance(module, FusedBlock)]
    assert len(fused) == 4 + 2 + 2 + 8, "of encoder, both middles, decoder"
    assert not any(isinstance(one, nn.Upsample | WanResidualBlock) for one in ours.modules())
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    frames = clip(21)
    latents = whole_latents(theirs, frames)
    codec = WanCodec(ours)
    assert difference(encoded(codec, frames, chunk_latents), latents) <= ROUNDING
    expected = whole_frames(theirs, latents)
    assert difference(decoded(codec, latents, chunk_latents), expected) <= ROUNDING


def test_a_block_without_a_stream_sees_zeros_before_it(vae: AutoencoderKLWan) -> None:
    """Catches a block that needs a list of features where diffusers' own needs none."""
    block = vae.decoder.mid_block.resnets[0]
    x = torch.randn(1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    assert difference(FusedBlock(block, PLAIN_CODEC_PARTS)(x), block(x)) <= ROUNDING


def test_channels_last_is_the_same_codec(vae: AutoencoderKLWan) -> None:
    """Catches weights laid out otherwise, and another codec behind them.

    The sums run in another order: 1e-5 of values up to 1.
    """
    last = copy.deepcopy(vae)
    channels_last(last)
    convolutions = [m for m in last.modules() if isinstance(m, nn.Conv3d)]
    form = torch.channels_last_3d
    assert all(m.weight.is_contiguous(memory_format=form) for m in convolutions)
    latents = torch.randn(1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    one, other = WanCodec(vae), WanCodec(last)
    assert torch.allclose(one.decode(latents), other.decode(latents), atol=1e-5)
    frames = torch.rand(1, 3, 9, 32, 48, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(one.encode(frames), other.encode(frames), atol=1e-4)


def test_latents_one_by_one_are_the_same(vae: AutoencoderKLWan) -> None:
    """Catches a first latent coded twice, and features that a change in mid-stream loses."""
    frames = clip(33)
    latents = whole_latents(vae, frames)
    expected = whole_frames(vae, latents)
    codec = WanCodec(vae)
    assert isinstance(codec, FrugalCodec)
    codec.one_by_one = True
    assert difference(encoded(codec, frames), latents) <= ROUNDING
    assert difference(decoded(codec, latents), expected) <= ROUNDING
    codec.reset()
    parts = []
    for number, part in enumerate(latents.split(3, dim=2)):
        codec.one_by_one = number % 2 == 1
        parts.append(codec.decode(part))
    assert difference(torch.cat(parts, dim=2), expected) <= ROUNDING


def compiled_by(fails_at: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A compiler whose functions raise at their ``fails_at``-th call."""

    def compiler(function: Callable[..., Any]) -> Callable[..., Any]:
        calls = itertools.count(1)

        def run(*given: Any) -> Any:
            if next(calls) == fails_at:
                raise RuntimeError("Triton found no compiler\nand more")
            return function(*given)

        return run

    return compiler


@pytest.mark.parametrize("fails_at", [1, 2, 99])
def test_a_compiler_that_fails_costs_a_line(
    vae: AutoencoderKLWan, fails_at: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a load that dies of a compiler, and one that is asked again after it failed."""
    frames, ours = clip(33), copy.deepcopy(vae)
    fuse(ours, compiled_codec_parts(compiled_by(fails_at)))
    codec = WanCodec(ours)
    latents = encoded(codec, frames)
    assert difference(latents, whole_latents(vae, frames)) <= ROUNDING
    assert difference(decoded(codec, latents), whole_frames(vae, latents)) <= ROUNDING
    told = sorted(record.getMessage() for record in caplog.records)
    names = ("activated", "after_convolution", "before_convolution", "doubled")
    whole = [f"{name} runs as it is: Triton found no compiler" for name in names]
    assert told == whole * (fails_at < 99)


def test_want_of_memory_is_no_fault_of_a_compiler(vae: AutoencoderKLWan) -> None:
    """Catches a full GPU for which the codec is slow from then on, and nothing is given up."""

    def full(_function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*_given: Any) -> Any:
            raise torch.OutOfMemoryError("full")

        return run

    ours = copy.deepcopy(vae)
    fuse(ours, compiled_codec_parts(full))
    with pytest.raises(torch.OutOfMemoryError):
        WanCodec(ours).encode(clip(9))


@pytest.mark.slow
def test_torch_compile_takes_the_codec(
    vae: AutoencoderKLWan, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches parts that dynamo cannot trace, or meets in too many shapes; no code is made."""
    frames, ours = clip(33), copy.deepcopy(vae)
    compiler = functools.partial(compiled, backend="eager")
    fuse(ours, compiled_codec_parts(compiler))
    codec = WanCodec(ours)
    latents = encoded(codec, frames)
    assert difference(latents, whole_latents(vae, frames)) <= ROUNDING
    assert difference(decoded(codec, latents), whole_frames(vae, latents)) <= ROUNDING
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
