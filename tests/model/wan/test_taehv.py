"""The light codec: TAEHV's names and numbers, and a stream that equals the whole clip."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from liveedit_cam.errors import EditorError, WeightsError
from liveedit_cam.model.speed.compiling import compiled
from liveedit_cam.model.stream_codec import StreamCodec
from liveedit_cam.model.wan.taehv import TAEHV, Past, TaehvCodec, load_taehv

CPU = torch.device("cpu")
ROUNDING = 1e-5
"""float32 sums of the same products in another order; latents and pixels are of order 1."""

SHAPES = {
    "encoder.0.weight": (64, 3, 3, 3),
    "encoder.2.conv.weight": (64, 128, 1, 1),
    "encoder.3.weight": (64, 64, 3, 3),
    "encoder.4.conv.0.weight": (64, 128, 3, 3),
    "encoder.7.conv.weight": (64, 128, 1, 1),
    "encoder.12.conv.weight": (64, 64, 1, 1),
    "encoder.16.conv.4.bias": (64,),
    "encoder.17.weight": (16, 64, 3, 3),
    "decoder.1.weight": (256, 16, 3, 3),
    "decoder.3.conv.0.weight": (256, 512, 3, 3),
    "decoder.5.conv.4.bias": (256,),
    "decoder.7.conv.weight": (256, 256, 1, 1),
    "decoder.8.weight": (128, 256, 3, 3),
    "decoder.13.conv.weight": (256, 128, 1, 1),
    "decoder.14.weight": (64, 128, 3, 3),
    "decoder.19.conv.weight": (128, 64, 1, 1),
    "decoder.20.weight": (64, 64, 3, 3),
    "decoder.22.weight": (3, 64, 3, 3),
    "decoder.22.bias": (3,),
}
"""Some tensors of the published taew2_1."""


def tiny_tae() -> TAEHV:
    """taew2_1 at 1/16 of its width, its output spread over the bright half that is shown."""
    torch.manual_seed(0)
    tae = TAEHV(widths=(16, 8, 4, 4)).eval().requires_grad_(False)
    for parameter in tae.parameters():
        parameter.mul_(2)  # random layers fade: without it nothing reaches the output
    last = tae.decoder[-1]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    last.weight.mul_(0.3)
    last.bias.fill_(0.75)
    return tae


@pytest.fixture(scope="module")
def tae() -> TAEHV:
    """Shared weights; nobody changes them."""
    return tiny_tae()


def conv(
    x: torch.Tensor, state: dict[str, torch.Tensor], name: str, stride: int = 1
) -> torch.Tensor:
    weight = state[f"{name}.weight"]
    padding = weight.shape[-1] // 2
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride=stride, padding=padding)


def by_hand(
    state: dict[str, torch.Tensor], kinds: str, x: list[torch.Tensor]
) -> list[torch.Tensor]:
    """The slow twin: frame after frame, layer after layer, by TAEHV's description.

    A letter of ``kinds`` per layer: c convolution, s with stride 2, r ReLU, t soft clamp, m memory
    block, p pool of 2 frames, 1 the same of one, u upsampling, g growth to 2 frames, 2 to one.
    """
    for index, kind in enumerate(kinds):
        name, after = f"{index}", []
        for t, frame in enumerate(x):
            if kind in "cs":
                after.append(conv(frame, state, name, 2 if kind == "s" else 1))
            elif kind == "r":
                after.append(frame.relu())
            elif kind == "t":
                after.append((frame / 3).tanh() * 3)
            elif kind == "m":
                past = x[t - 1] if t else torch.zeros_like(frame)
                h = conv(torch.cat((frame, past), 1), state, f"{name}.conv.0").relu()
                h = conv(h, state, f"{name}.conv.2").relu()
                after.append((conv(h, state, f"{name}.conv.4") + frame).relu())
            elif kind == "p" and t % 2:
                after.append(conv(torch.cat((x[t - 1], frame), 1), state, f"{name}.conv"))
            elif kind in "12":
                after.append(conv(frame, state, f"{name}.conv"))
            elif kind == "u":
                after.append(frame.repeat_interleave(2, -1).repeat_interleave(2, -2))
            elif kind == "g":
                after += conv(frame, state, f"{name}.conv").chunk(2, dim=1)
        x = after
    return x


def whole_latents(tae: TAEHV, frames: torch.Tensor) -> torch.Tensor:
    """A clip in [0, 1], as Wan's upper half, three copies of frame 0 in front."""
    each = list(((frames + 1) / 2).unbind(2))
    kinds = "cr" + "psmmm" * 2 + "1smmm" + "c"
    return torch.stack(by_hand(tae.encoder.state_dict(), kinds, each[:1] * 3 + each), dim=2)


def whole_frames(tae: TAEHV, latents: torch.Tensor) -> torch.Tensor:
    """A clip, three frames trimmed in front, from Wan's upper half to [0, 1]."""
    kinds = "tcr" + "mmmu2c" + "mmmugc" * 2 + "rc"
    each = by_hand(tae.decoder.state_dict(), kinds, list(latents.unbind(2)))
    return (torch.stack(each[3:], dim=2).clamp(0, 1) * 2 - 1).clamp(0, 1)


def clip(num_frames: int, height: int = 16, width: int = 24, seed: int = 0) -> torch.Tensor:
    """Random frames (1, 3, T, H, W) in [0, 1]."""
    drawn = torch.Generator().manual_seed(seed)
    return torch.rand(1, 3, num_frames, height, width, generator=drawn)


def draw_latents(num_latents: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.Generator().manual_seed(seed)
    return torch.randn(1, 16, num_latents, 2, 3, generator=drawn)


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


def test_names_and_shapes_are_the_published_ones() -> None:
    """Catches a layer out of its place: the published file would not load, or load wrongly."""
    with torch.device("meta"):
        state = TAEHV().state_dict()
    assert len(state) == 128
    assert sum(tensor.numel() for tensor in state.values()) == 11_315_539
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES


@pytest.mark.parametrize("num_frames", [1, 9, 21, 33])
def test_a_stream_equals_the_whole_clip(tae: TAEHV, num_frames: int) -> None:
    """Catches a lost past, frames pooled or grown in another order, and a wrong pixel range."""
    codec, frames = TaehvCodec(tae), clip(num_frames)
    num_latents = 1 + (num_frames - 1) // 4
    expected = whole_latents(tae, frames)
    assert expected.shape == (1, 16, num_latents, 2, 3)
    assert float(expected.std()) > 0.03, "constant latents would prove nothing"
    assert difference(encoded(codec, frames), expected) <= ROUNDING
    latents = draw_latents(num_latents)
    pictures = whole_frames(tae, latents)
    assert pictures.shape == frames.shape
    assert float(pictures.std()) > 0.03, "a constant picture would prove nothing"
    assert difference(decoded(codec, latents), pictures) <= ROUNDING


@pytest.mark.parametrize("chunk_latents", [1, 2, 6])
def test_the_size_of_a_chunk_does_not_matter(tae: TAEHV, chunk_latents: int) -> None:
    """Catches a past that is right for groups of 3 only, such as one taken from the first frame."""
    codec, frames, latents = TaehvCodec(tae), clip(21), draw_latents(6)
    assert difference(encoded(codec, frames, chunk_latents), whole_latents(tae, frames)) <= ROUNDING
    assert (
        difference(decoded(codec, latents, chunk_latents), whole_frames(tae, latents)) <= ROUNDING
    )


@pytest.mark.parametrize("fails", [False, True])
def test_a_compiler_takes_a_stream_under_way(
    tae: TAEHV, fails: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Catches a first chunk that is compiled for itself, a past that is lost on the fast way, and a
    compiler that fails and ends the stream.
    """
    taken: list[bool] = []

    def compiler(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(x: torch.Tensor, pasts: Sequence[Past]) -> Any:
            taken.append(any(past is not None for past in pasts))
            if fails:
                raise RuntimeError("Triton found no compiler")
            return function(x, pasts)

        return run

    frames, latents, codec = clip(33), draw_latents(9), TaehvCodec(tae, compiler)
    assert difference(encoded(codec, frames), whole_latents(tae, frames)) <= ROUNDING
    assert difference(decoded(codec, latents), whole_frames(tae, latents)) <= ROUNDING
    assert taken == [True] * (2 if fails else 4)
    assert len(caplog.records) == (2 if fails else 0)


@pytest.mark.slow
def test_torch_compile_takes_both_networks(tae: TAEHV, caplog: pytest.LogCaptureFixture) -> None:
    """Catches networks that dynamo cannot trace with their pasts; no code is made."""
    frames, latents = clip(21), draw_latents(6)
    codec = TaehvCodec(tae, functools.partial(compiled, backend="eager"))
    assert difference(encoded(codec, frames), whole_latents(tae, frames)) <= ROUNDING
    assert difference(decoded(codec, latents), whole_frames(tae, latents)) <= ROUNDING
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_the_past_matters(tae: TAEHV) -> None:
    """Catches tests that could not fail: without the past the frames differ by far more."""
    latents = draw_latents(4)
    alone = decoded(TaehvCodec(tae), latents[:, :, 1:])  # its first frames are trimmed
    assert difference(alone, whole_frames(tae, latents)[:, :, 4:]) > 1000 * ROUNDING


def test_reset_and_streams_that_share_weights(tae: TAEHV) -> None:
    """Catches state in the network, or left over after a reset."""
    codec, other = TaehvCodec(tae), TaehvCodec(tae)
    decoded(codec, encoded(codec, clip(9, seed=1)))
    codec.reset()
    frames, latents = clip(21), draw_latents(6)
    first = [codec.encode(frames[:, :, :9]), codec.decode(latents[:, :, :3])]
    decoded(other, encoded(other, clip(21, seed=2)))
    rest = [codec.encode(frames[:, :, 9:]), codec.decode(latents[:, :, 3:])]
    expected = whole_latents(tae, frames), whole_frames(tae, latents)
    for got, later, whole in zip(first, rest, expected, strict=True):
        assert difference(torch.cat((got, later), 2), whole) <= ROUNDING


def test_rows_of_a_batch_do_not_mix(tae: TAEHV) -> None:
    """Catches time and batch flattened in the wrong order."""
    first, second = draw_latents(3, seed=1), draw_latents(3, seed=2)
    both = decoded(TaehvCodec(tae), torch.cat((first, second)), chunk_latents=2)
    assert difference(both[:1], whole_frames(tae, first)) <= ROUNDING
    assert difference(both[1:], whole_frames(tae, second)) <= ROUNDING


def test_black_and_white_keep_their_range() -> None:
    """Catches the usual mapping to [-1, 1]: TAEHV's mid-grey is black here, its white white."""
    grey = tiny_tae()
    last = grey.decoder[-1]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    last.weight.zero_()
    for output, shown in ((0.2, 0.0), (0.5, 0.0), (0.75, 0.5), (1.0, 1.0), (1.3, 1.0)):
        last.bias.fill_(output)
        frames = TaehvCodec(grey).decode(draw_latents(1))
        assert frames.unique().tolist() == pytest.approx([shown], abs=1e-6)


def test_wrong_groups_are_refused(tae: TAEHV) -> None:
    """Catches frames that would be pooled across a chunk's border."""
    codec = TaehvCodec(tae)
    assert [codec.frames_for(n) for n in (1, 3)] == [1, 9]
    with pytest.raises(EditorError, match=r"1 \+ 4 n"):
        codec.encode(clip(12))
    codec.encode(clip(9))
    assert [codec.frames_for(n) for n in (1, 3)] == [4, 12]
    with pytest.raises(EditorError, match=r"3, 4 n"):
        codec.encode(clip(9))
    with pytest.raises(EditorError, match="16, t, h, w"):
        codec.decode(torch.zeros(1, 48, 1, 2, 3))
    assert isinstance(codec, StreamCodec)


def test_a_file_loads_at_full_size(tmp_path: Path) -> None:
    """Catches weights left at random, and a file of another TAEHV that is taken for this one."""
    torch.manual_seed(1)
    given = TAEHV()
    path = tmp_path / "taew2_1.safetensors"
    save_file(given.half().state_dict(), path)
    codec = load_taehv(path, CPU, torch.bfloat16)
    got = codec.tae.state_dict()
    assert all(torch.equal(got[n], t.bfloat16()) for n, t in given.state_dict().items())
    save_file(TAEHV(latent_channels=48).state_dict(), path)
    with pytest.raises(WeightsError, match="wrong shape"):
        load_taehv(path, CPU, torch.float32)
