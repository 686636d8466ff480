"""The fitted change reaches the full-size picture, and nothing else of it is touched."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from liveedit_cam.compositing import put_on, put_on_exact
from liveedit_cam.errors import EditorError
from liveedit_cam.model.field import (
    STEADY_SHARE,
    Steadier,
    bind,
    fields_of,
    fit,
    packed,
    to_host,
    unpacked,
)
from liveedit_cam.model.region import seen_from
from liveedit_cam.types import EditField, ModelFrame, Region

Picture = NDArray[np.uint8]
Edit = Callable[[Picture], Picture]
Size = tuple[int, int]
FULL, SMALL = (360, 640), (144, 256)
GREY = np.array([[0.299], [0.587], [0.114]]) * np.ones((1, 3))


def picture(size: Size = FULL, seed: int = 0) -> Picture:
    """Coloured discs on a gradient, colour at half size as cameras deliver it, and grey texture.

    The texture has equal strength in every octave, down to single pixels, as photographs have.
    """
    height, width = size
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : 1j * (height // 2), 0 : 1 : 1j * (width // 2)]
    base = np.stack([60 + 120 * x, 60 + 120 * y, 180 - 120 * x], axis=-1)
    for _ in range(6):
        base[np.hypot(y - rng.uniform(), 1.8 * (x - rng.uniform())) < 0.2] = rng.uniform(40, 215, 3)
    base = cv2.resize(base, (width, height), interpolation=cv2.INTER_LINEAR)
    texture = np.zeros((height, width))
    for octave in range(6):
        grid = rng.normal(0, 9, (max(2, height >> octave), max(2, width >> octave)))
        texture += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(base + texture[..., None], 0, 255).round().astype(np.uint8)


def reduce(*pictures: Picture) -> torch.Tensor:
    """What a perfect codec would decode: area means, float32 (T, 3, h, w) in [0, 1]."""
    small = [cv2.resize(p, SMALL[::-1], interpolation=cv2.INTER_AREA) for p in pictures]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 255


def fields(before: torch.Tensor, after: torch.Tensor, *more: object) -> list[EditField]:
    """Fields of frames 0, 1, ..; ``more`` as ``fit`` takes it."""
    small = (before * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    frames = [ModelFrame(one, index, 0.1 * index) for index, one in enumerate(small)]
    return bind(fit(before, after, *more), frames, 1)  # type: ignore[arg-type]


def composite(
    source: Picture,
    before: torch.Tensor,
    after: torch.Tensor,
    strength: float = 1.0,
    region: Region | None = None,
    steadier: Steadier | None = None,
) -> Picture:
    """The change from ``before`` to ``after`` on full-size frames (T, H, W, 3)."""
    made = fields(before, after, strength, region, steadier)
    return np.stack([put_on(one, field) for one, field in zip(source, made, strict=True)])


def black_and_white(pixels: Picture) -> Picture:
    return np.asarray((pixels @ GREY).round(), np.uint8)


def invert(pixels: Picture) -> Picture:
    return 255 - pixels


def psnr(one: Picture, other: Picture) -> float:
    """Peak signal to noise ratio in dB."""
    return float(10 * np.log10(255**2 / np.square(one.astype(float) - other).mean()))


@pytest.mark.parametrize("size", [FULL, (720, 1280), (361, 643)], ids=str)
@pytest.mark.parametrize("edit", [black_and_white, invert])
def test_a_colour_edit_keeps_the_detail_of_the_full_size(edit: Edit, size: Size) -> None:
    """Catches an upsampled edit, which reaches 26 to 28 dB here; measured are 40 to 48.

    Not exact: near borders a cell's fit looks at several colours, and detail fainter than the
    ridge is taken for the codec's noise.
    """
    source = picture(size)
    exact = edit(source)
    out = composite(source[None], reduce(source), reduce(exact))
    upsampled = cv2.resize(cv2.resize(exact, SMALL[::-1], interpolation=cv2.INTER_AREA), size[::-1])
    assert out.shape == (1, *size, 3)
    assert out.dtype == np.uint8
    assert psnr(out[0], exact) > 38
    assert psnr(out[0], exact) > psnr(upsampled, exact) + 10


@pytest.mark.parametrize("size", [(96, 160), (48, 64), (145, 257)], ids=str)
def test_pictures_near_or_below_model_size(size: Size) -> None:
    """Catches a source smaller than the model's picture, and one a single pixel larger."""
    source = picture(size)
    exact = invert(source)
    out = composite(source[None], reduce(source), reduce(exact))
    assert out.shape == (1, *size, 3)
    assert psnr(out[0], exact) > 30


def test_unedited_pixels_are_the_cameras_own() -> None:
    """Catches rounding or blur where nothing was edited: bit for bit, away from the edit.

    Edited is a square; 40 pixels around it (16 at model size) the change may fade, and for 25
    pixels inside it (10 at model size) a fit still sees both sides of a border nothing shows.
    """
    source = picture()
    edited = source.copy()
    edited[100:200, 200:300] = 255 - edited[100:200, 200:300]
    out = composite(source[None], reduce(source), reduce(edited))[0]
    outside = np.ones(FULL, bool)
    outside[60:240, 160:340] = False
    assert np.array_equal(out[outside], source[outside])
    inside = np.s_[125:175, 225:275]
    assert psnr(out[inside], edited[inside]) > 33


def test_invisible_changes_are_dropped() -> None:
    """Catches codec noise on an unedited picture: under 3 of 255 levels everywhere is nothing."""
    source = picture()
    before = reduce(source)
    noise = torch.randn(before.shape, generator=torch.Generator().manual_seed(0))
    after = before + noise.clamp(-1, 1) * 2.5 / 255
    assert np.array_equal(composite(source[None], before, after)[0], source)


def test_strength_scales_the_change() -> None:
    """Catches strength 0 that still edits, and a strength that is ignored or squared.

    Half strength is half the change, to the rounding of two pictures.
    """
    source = picture()
    before, after = reduce(source), reduce(black_and_white(source))
    none, half, whole = (composite(source[None], before, after, s)[0] for s in (0.0, 0.5, 1.0))
    assert np.array_equal(none, source)
    middle = (source.astype(float) + whole) / 2
    assert np.abs(half - middle).mean() < 1.0


@pytest.mark.parametrize(
    "region", [Region(0.25, 0.5, 0.5, 0.25), Region(0, 0, 0.5, 1), Region(0.5, 0, 0.5, 1)], ids=str
)
def test_region_limits_the_edit(region: Region) -> None:
    """Catches a region with x and y swapped, and an edit that leaks out of it.

    A border fades over cells of 4 pixels at model size, 10 here, on either side.
    """
    source = picture()
    before, after = reduce(source), reduce(invert(source))
    out = composite(source[None], before, after, region=region)[0]
    everywhere = composite(source[None], before, after)[0]
    height, width = FULL
    margin = 15 / width
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    margin_y = 15 / height

    def within(grow_x: float, grow_y: float) -> NDArray[np.bool_]:
        columns = (x > region.x - grow_x) & (x < region.x + region.width + grow_x)
        rows = (y > region.y - grow_y) & (y < region.y + region.height + grow_y)
        return np.outer(rows, columns)

    outside, inside = ~within(margin, margin_y), within(-margin, -margin_y)
    assert outside.any()
    assert np.array_equal(out[outside], source[outside])
    assert np.abs(out[inside].astype(int) - everywhere[inside]).max() <= 1


def test_replaced_content_is_the_decoded_edit() -> None:
    """Catches a compositing that can only recolour: flat grey holds no slope to fit."""
    source = np.full((*FULL, 3), 120, np.uint8)
    y, x = np.mgrid[0 : FULL[0], 0 : FULL[1]]
    waves = 120 + 80 * np.sin(x / 12) * np.cos(y / 12)
    edited = np.repeat(waves[..., None], 3, axis=2).round().astype(np.uint8)
    out = composite(source[None], reduce(source), reduce(edited))[0]
    assert psnr(out, edited) > 35


def test_frames_do_not_mix_and_inputs_stay() -> None:
    """Catches one frame's change on another, writing into the camera's picture, and its need."""
    frames = np.stack([picture(seed=s) for s in range(3)])
    frames.flags.writeable = False
    edits = [frames[0], invert(frames[1]), black_and_white(frames[2])]
    out = composite(frames, reduce(*frames), reduce(*edits))
    assert np.array_equal(out[0], frames[0])
    for t in (1, 2):
        alone = composite(frames[t : t + 1], reduce(frames[t]), reduce(edits[t]))
        assert np.array_equal(out[t : t + 1], alone)


def test_strong_changes_saturate() -> None:
    """Catches integers that wrap: all black stays black, all white stays white."""
    source = picture()
    for level in (0, 255):
        edited = np.full_like(source, level)
        out = composite(source[None], reduce(source), reduce(edited))[0]
        assert np.abs(out.astype(int) - level).mean() < 2
        assert np.abs(out.astype(int) - level).max() < 100


def flickering(source: Picture, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A source that holds still, and an edit whose brightness is another one in each frame."""
    before = reduce(*[source] * count)
    levels = torch.tensor([0.2, 0.23] * count)[:count].view(-1, 1, 1, 1)
    return before, (before + levels).clamp(0, 1)


def test_a_still_source_is_edited_steadily() -> None:
    """Catches a flicker that is let through: what is left is the share of the way, in each frame.

    The change is 0.2 and 0.23 in turn, 8 levels; going that share of the way, it ends up swinging
    by 8 * share / (2 - share), 0.3 levels, which rounding makes 0 or 1. Measured in dark pixels,
    where nothing is clipped; after 80 frames 0.3 % of the first one is left.
    """
    source = np.full((*FULL, 3), 60, np.uint8)
    before, after = flickering(source, 80)
    out = composite(np.stack([source] * 80), before, after, steadier=Steadier())
    swing = np.abs(np.diff(out[-3:].astype(float), axis=0)).mean()
    assert swing <= 8 * STEADY_SHARE / (2 - STEADY_SHARE) + 0.75
    assert out[-2:].mean() / 255 == pytest.approx(60 / 255 + 0.215, abs=0.004)


def test_another_edit_is_shown_at_once() -> None:
    """Catches a change of a still picture that creeps in: a lamp that the model lets come on.

    By 0.3 in one frame; at STEADY_SHARE a frame it would be 47 frames until 0.01 is missing.
    """
    source = np.full((*FULL, 3), 60, np.uint8)
    before = reduce(*[source] * 4)
    after = before + torch.tensor([0.1, 0.1, 0.4, 0.4]).view(-1, 1, 1, 1)
    out = composite(np.stack([source] * 4), before, after, steadier=Steadier())
    assert out[2].mean() / 255 == pytest.approx(60 / 255 + 0.4, abs=0.01)


def test_a_moving_source_is_followed_at_once() -> None:
    """Catches a change that lags behind what moves: a trail behind a waving hand."""
    pictures = [picture(seed=seed) for seed in range(3)]
    exact = [invert(one) for one in pictures]
    steadier = Steadier()
    frames, edits = np.stack(pictures), reduce(*exact)
    held = composite(frames, reduce(*pictures), edits, steadier=steadier)
    plain = composite(frames, reduce(*pictures), edits)
    assert np.abs(held.astype(int) - plain).mean() < 4
    assert psnr(held[2], exact[2]) > psnr(plain[2], exact[2]) - 1.5


def test_chunks_are_one_stream_to_the_steadier() -> None:
    """Catches a steadier that starts anew in each chunk, and one that survives its reset."""
    source = picture()
    before, after = flickering(source, 8)
    frames = np.stack([source] * 8)
    whole = composite(frames, before, after, steadier=Steadier())
    steadier = Steadier()
    parts = [
        composite(frames[i : i + 4], before[i : i + 4], after[i : i + 4], steadier=steadier)
        for i in (0, 4)
    ]
    assert np.array_equal(np.concatenate(parts), whole)
    steadier.reset()
    again = composite(frames[:4], before[:4], after[:4], steadier=steadier)
    assert np.array_equal(again, whole[:4])


def test_nothing_changed_stays_the_cameras_own_under_the_steadier() -> None:
    """Catches a steadier that invents a change, and one that chokes on another picture size."""
    steadier, source = Steadier(), picture()
    before = reduce(source, source)
    frames = np.stack([source] * 2)
    assert np.array_equal(composite(frames, before, before, steadier=steadier), frames)
    small = before[..., ::2, ::2]
    assert np.array_equal(composite(frames, small, small, steadier=steadier), frames)


def test_frames_left_out_are_made_up_for() -> None:
    """Catches an edit that creeps four times as slowly where only each fourth frame is fitted.

    After 0.2 and 0.23 in turn in every frame, or 0.23 four frames on, both have gone the same
    share of the way from one held change to another that lasts.
    """
    source = np.full((*FULL, 3), 60, np.uint8)
    before = reduce(*[source] * 5)
    after = before + torch.tensor([0.2, 0.23, 0.23, 0.23, 0.23]).view(-1, 1, 1, 1)
    every = fit(before, after, steadier=Steadier())
    steadier = Steadier()
    fit(before[:1], after[:1], steadier=steadier)
    last = fit(before[4:], after[4:], steadier=steadier, num_passed=4)
    assert np.abs(last.cells[0] - every.cells[4]).max() < 1e-3


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_cannot_be_computed_never_means_unchanged(value: float) -> None:
    """Catches a model that turns to NaN and so shows the raw camera (issue 15)."""
    before = reduce(picture())
    after = before.clone()
    after[0, 0, 40, 40] = value
    with pytest.raises(EditorError, match="not finite"):
        fit(before, after)


def test_a_picture_becomes_a_field_by_one_call() -> None:
    """Catches an editor of pictures whose frames, region or strength get lost on the way."""
    source = picture(SMALL)
    frames = [ModelFrame(source, 7, 1.5), ModelFrame(invert(source), 9, 1.6)]
    made = fields_of(frames, np.stack([invert(source), source]), 4)
    assert [(f.index, f.captured_at, f.revision) for f in made] == [(7, 1.5, 4), (9, 1.6, 4)]
    assert psnr(put_on(source, made[0]), invert(source)) > 30
    left = fields_of(
        frames, np.stack([invert(source), source]), 4, region=Region(0, 0, 0.5, 1), strength=0.5
    )
    out = put_on(source, left[0])
    assert np.array_equal(out[:, 150:], source[:, 150:])
    half = (source[:, :100].astype(float) + invert(source)[:, :100]) / 2
    assert np.abs(out[:, :100] - half).mean() < 6
    with pytest.raises(EditorError, match="expected"):
        fields_of(frames, source[None], 4)


def test_a_region_is_seen_from_the_part_that_is_shown() -> None:
    """Catches a region measured in the picture between black bars."""
    part = Region(0.25, 0.0, 0.5, 1.0)
    assert seen_from(part, Region(0.25, 0.0, 0.25, 1.0)) == Region(0.0, 0.0, 0.5, 1.0)
    assert seen_from(None, part) is part


def test_the_exact_twin_makes_the_same_picture() -> None:
    """Catches a mistake of the compiled loop: a lost channel, a shift by half a pixel.

    The twin computes in float64, the loop in float32: a few pixels round the other way.
    """
    source = picture((361, 643))
    made = fields(reduce(source), reduce(invert(source)))[0]
    apart = np.abs(put_on(source, made).astype(int) - put_on_exact(source, made))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_one_row_for_the_copy_from_the_device() -> None:
    """Catches values that come back in another tensor, order or shape."""
    tensors = [torch.arange(24.0).view(2, 3, 4), torch.tensor([7.0]), torch.rand(1, 2, 2)]
    back = unpacked(packed(tensors), [tensor.shape for tensor in tensors])
    direct = to_host(*tensors)
    for tensor, one, other in zip(tensors, back, direct, strict=True):
        assert np.array_equal(one, tensor.numpy())
        assert np.array_equal(other, tensor.numpy())
