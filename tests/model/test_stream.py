"""The live stream: sizes, seeds, resets, instruction switches, cuts."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_model import PAIRED, TINY, moving_frames, tiny_dit, tiny_stream

from liveedit_cam.errors import EditorError
from liveedit_cam.model import NANO, EditStream, ModelConfig, TextConditioning
from liveedit_cam.model.conditioning import KVPolicy
from liveedit_cam.model.config import model_size
from liveedit_cam.model.field import Steadier, fit
from liveedit_cam.model.matte import clear
from liveedit_cam.types import Region

Clip = NDArray[np.uint8]
CALM = replace(TINY, mask_threshold=1e9)
"""No change counts as one, so the mask cache skips all it may."""


def play(
    stream: EditStream, conditioning: TextConditioning, clip: Clip, seed: int = 0
) -> list[Clip]:
    """Edited chunks of a clip."""
    size = stream.chunk_frames
    starts = range(0, len(clip), size)
    return [stream.edit(clip[i : i + size], conditioning, seed=seed) for i in starts]


@pytest.mark.parametrize("size", [(64, 96), (120, 200), (361, 643), (96, 64), (16, 16)], ids=str)
@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_the_picture_keeps_its_size(config: ModelConfig, size: tuple[int, int]) -> None:
    """Catches a result at model size, and portrait or odd pictures that do not fit the grid."""
    stream = tiny_stream(config)
    clip = moving_frames(stream.chunk_frames, *size)
    clip.flags.writeable = False
    out = stream.edit(clip, stream.encode_text("make it blue"))
    assert out.shape == clip.shape
    assert out.dtype == np.uint8
    assert not np.array_equal(out, clip)


def test_another_size_starts_a_new_stream() -> None:
    """Catches caches of the old grid used for a new one; the way back must work too."""
    stream = tiny_stream()
    text = stream.encode_text("make it blue")
    wide, tall = moving_frames(8), moving_frames(8, 96, 64)
    first = play(stream, text, wide)
    assert stream.kv_latents == 2
    turned = play(stream, text, tall)
    assert stream.kv_latents == 2
    assert np.array_equal(turned, play(tiny_stream(), text, tall))
    assert np.array_equal(play(stream, text, wide), first)


@pytest.mark.parametrize(
    ("picture", "edited_at"),
    [
        ((720, 1280), (176, 320)),
        ((1080, 1920), (176, 320)),
        ((361, 643), (176, 320)),
        ((480, 640), (192, 256)),
        ((512, 512), (224, 224)),
        ((640, 480), (256, 192)),
        ((1280, 720), (320, 176)),
    ],
)
def test_model_size_by_hand(picture: tuple[int, int], edited_at: tuple[int, int]) -> None:
    """Catches a stretched portrait picture: 16 pixels a token, 220 tokens, the aspect kept."""
    assert model_size(NANO, *picture) == edited_at


def test_model_size_stays_within_the_tokens_and_turns_with_the_picture() -> None:
    """Catches more tokens than the model was trained at, and rows favoured over columns."""
    for height in range(100, 1300, 171):
        for width in range(100, 1300, 171):
            rows, columns = (side / NANO.token_px for side in model_size(NANO, height, width))
            assert rows == int(rows)
            assert columns == int(columns)
            assert NANO.num_tokens / 2 < rows * columns <= NANO.num_tokens
            assert abs(np.log(columns / rows * height / width)) < 0.12
            assert model_size(NANO, width, height) == (16 * columns, 16 * rows)


def test_too_small_a_picture_is_refused() -> None:
    """Catches a grid of no tokens."""
    with pytest.raises(
        EditorError, match="got a picture of 15x300 pixels, expected at least 16x16"
    ):
        model_size(NANO, 300, 15)


@pytest.mark.parametrize("shape", [(3, 64, 96, 3), (5, 64, 96, 3), (4, 64, 96), (4, 64, 96, 4)])
def test_wrong_frames_are_refused(shape: tuple[int, ...]) -> None:
    """Catches a chunk of another length, grey or RGBA pictures."""
    stream = tiny_stream()
    with pytest.raises(EditorError) as caught:
        stream.edit(np.zeros(shape, np.uint8), stream.encode_text("make it blue"))
    assert f"got frames of shape {shape}, expected (4, H, W, 3)" in str(caught.value)
    assert "Pass stream.chunk_frames frames at a time." in str(caught.value)


def test_reset_reproduces_the_frames() -> None:
    """Catches state that survives a reset: noise, caches, the codec's last latent."""
    stream = tiny_stream()
    text, clip = stream.encode_text("make it blue"), moving_frames(24)
    first = play(stream, text, clip)
    assert stream.kv_latents == TINY.window_latents
    stream.reset()
    assert stream.kv_latents == 0
    assert np.array_equal(first, play(stream, text, clip))
    assert not np.array_equal(first, play(stream, text, clip))


def test_seed_decides_the_noise() -> None:
    """Catches a seed that is ignored, and frames that depend on anything drawn elsewhere."""
    stream, clip = tiny_stream(), moving_frames(8)
    text = stream.encode_text("make it blue")
    played = []
    for seed in (1, 2, 1):
        stream.reset()
        played.append(play(stream, text, clip, seed))
    assert np.array_equal(played[0], played[2])
    assert not np.array_equal(played[0], played[1])


def test_a_still_picture_is_edited_alike_in_every_chunk() -> None:
    """Catches noise drawn anew in each chunk: with a full window, what differs is flicker alone."""
    stream, clip = tiny_stream(), np.repeat(moving_frames(1), 4, axis=0)
    text = stream.encode_text("make it blue")
    for _ in range(3 * TINY.window_latents):  # until the past in view is that of a still picture
        before, after = (decoded(stream, clip, text) for _ in range(2))
    assert np.abs(before.astype(int) - after).max() <= 1


def test_a_new_instruction_is_not_held_back() -> None:
    """Catches a steadier that carries the last edit over into the next one."""
    clip = np.repeat(moving_frames(1), 4, axis=0)
    one, other = tiny_stream(), tiny_stream()
    for stream in (one, other):
        play(stream, stream.encode_text("make it blue"), clip)
    other._past.steadier = Steadier()
    after = (play(s, s.encode_text("black and white"), clip) for s in (one, other))
    assert np.array_equal(next(after), next(after))


@pytest.mark.parametrize("policy", ["keep", "reset", "recache"])
def test_an_instruction_is_another_where_its_prompt_is(policy: KVPolicy) -> None:
    """Catches an instruction encoded anew, as after seventeen others, that starts the edit anew."""
    kept, anew = (tiny_stream(kv_policy=policy) for _ in range(2))
    text, clip = kept.encode_text("make it blue"), moving_frames(12)
    again = anew.encode_text("make it blue")
    for start in (0, 4):
        assert np.array_equal(
            kept.edit(clip[start : start + 4], text), anew.edit(clip[start : start + 4], again)
        )
        again = anew.encode_text("make it blue")
    assert kept.kv_latents == anew.kv_latents == 2
    anew.edit(clip[8:], anew.encode_text("black and white"))
    assert anew.kv_latents == (1 if policy == "reset" else 3)


def test_strength_and_region_reach_the_compositing() -> None:
    """Catches parameters that are taken and dropped."""
    stream, clip = tiny_stream(), moving_frames(4)
    text = stream.encode_text("make it blue")
    assert np.array_equal(stream.edit(clip, text, strength=0.0), clip)
    left = stream.edit(clip, text, region=Region(0, 0, 0.25, 1))
    assert np.array_equal(left[:, :, 48:], clip[:, :, 48:])
    assert not np.array_equal(left[:, :, :24], clip[:, :, :24])


def decoded(stream: EditStream, clip: Clip, text: TextConditioning, seed: int = 0) -> Clip:
    """The decoded edit of one chunk, uint8 (T, h, w, 3)."""
    height, width = model_size(stream.config, *clip.shape[1:3])
    small = np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in clip])
    _, after = stream.decoded(small, text, seed)
    return np.asarray((after * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())


def test_the_edit_at_model_size() -> None:
    """Catches a decoded edit of another size, or one that advances another stream than ``edit``."""
    stream, clip = tiny_stream(), moving_frames(8, 360, 540)
    text = stream.encode_text("make it blue")
    assert decoded(stream, clip[:4], text).shape == (4, 64, 96, 3)
    assert stream.kv_latents == 1
    stream.edit(clip[4:], text)
    assert stream.kv_latents == 2


@pytest.mark.parametrize("shape", [(4, 60, 96, 3), (3, 64, 96, 3), (4, 64, 96), (4, 64, 96, 4)])
def test_small_frames_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """Catches a size the model cannot cut into tokens, which fails deep inside it."""
    stream = tiny_stream()
    with pytest.raises(EditorError, match="got frames of shape"):
        stream.change(np.zeros(shape, np.uint8), stream.encode_text("make it blue"))


def test_the_newest_frames_field_alone_is_that_frames_field() -> None:
    """Catches the field of another frame of the chunk, or a whole chunk's worth of work for it."""
    every, newest = tiny_stream(), tiny_stream()
    for stream in (every, newest):
        stream.new_steadier = None  # held from frame to frame, they would differ
        stream.reset()
    clip = moving_frames(4)
    wanted = every.change(clip, every.encode_text("make it blue"))
    got = newest.change(clip, newest.encode_text("make it blue"), every_frame=False)
    assert got.cells.shape == (1, *wanted.cells.shape[1:])
    assert np.allclose(got.cells[0], wanted.cells[-1], atol=1e-6)


def test_unknown_words_are_reported() -> None:
    """Catches words the model was never taught passing in silence."""
    text = tiny_stream().encode_text("Make it zebra, please")
    assert text.unknown == ("zebra", "please")
    assert len(text.kv) == TINY.num_layers
    assert text.kv[0][0].shape == (1, TINY.text.max_tokens, TINY.num_heads, TINY.head_dim)


def switched(policy: KVPolicy, config: ModelConfig, num_before: int, to: str) -> tuple[Clip, int]:
    """The first chunk after a switch from "make it blue", and the latents then in the cache."""
    stream = tiny_stream(config, kv_policy=policy)
    size = stream.chunk_frames
    clip = moving_frames((num_before + 1) * size)
    play(stream, stream.encode_text("make it blue"), clip[: num_before * size])
    out = decoded(stream, clip[num_before * size :], stream.encode_text(to))
    return out, stream.kv_latents


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
@pytest.mark.parametrize("num_before", [1, 3, 7])
def test_policies_hold_what_they_say(config: ModelConfig, num_before: int) -> None:
    """Catches a policy that does nothing: each leaves another history, so another picture."""
    size = config.chunk_latents
    to = "black and white"
    (keep, kept), (recache, recached), (reset, left) = (
        switched(policy, config, num_before, to) for policy in ("keep", "recache", "reset")
    )
    expected = min(size * (num_before + 1), config.window_latents)
    assert (kept, recached, left) == (expected, expected, size)
    for one, other in ((keep, recache), (keep, reset), (recache, reset)):
        assert not np.array_equal(one, other)


@pytest.mark.parametrize("config", [TINY, PAIRED], ids=["chunks of 1", "chunks of 2"])
def test_recache_under_the_same_words_is_keep(config: ModelConfig) -> None:
    """Catches a rewritten history out of order, or written at a timestep other than 0.

    Three chunks fill the window but for the current one, so nothing has rolled and the rewritten
    keys are those written live; a level of 255 allows for rounding.
    """
    keep, _ = switched("keep", config, 3, "make it blue")
    recache, _ = switched("recache", config, 3, "make it blue")
    assert np.abs(keep.astype(int) - recache).max() <= 1


def test_recache_keeps_the_sinks() -> None:
    """Catches a history of the newest latents only: with one layer a rolled window is exact too.

    One layer's keys depend on their own latent alone, so rewriting them changes nothing, as long
    as the rewritten latents are those of the window: sink and newest two.
    """
    config = replace(TINY, num_layers=1)
    keep, _ = switched("keep", config, 8, "make it blue")
    recache, _ = switched("recache", config, 8, "make it blue")
    assert np.abs(keep.astype(int) - recache).max() <= 1


def test_recache_rewrites_no_more_than_the_window_shows() -> None:
    """Catches a history that grows with uptime: 3 latents are rewritten, then 5 passes edit."""
    dit = tiny_dit()
    stream = tiny_stream(kv_policy="recache", dit=dit)
    clip = moving_frames(4)
    play(stream, stream.encode_text("make it blue"), np.tile(clip, (12, 1, 1, 1)))
    passes: list[object] = []
    dit.blocks[0].register_forward_pre_hook(lambda *_: passes.append(None))
    stream.edit(clip, stream.encode_text("black and white"))
    assert len(passes) == 3 + 5


def test_reset_policy_equals_a_stream_that_starts_there() -> None:
    """Catches history that leaks through a reset: the same noise must give the same picture.

    The codec's residual is off, since it sees the latent before the switch, as it should.
    """
    clip = moving_frames(12)
    old, fresh = (tiny_stream(kv_policy="reset", residual_std=0.0) for _ in range(2))
    play(old, old.encode_text("make it blue"), clip[:8], seed=5)
    after = decoded(old, clip[8:], old.encode_text("black and white"), seed=6)
    alone = decoded(fresh, clip[8:], fresh.encode_text("black and white"), seed=6)
    assert np.abs(after.astype(int) - alone).max() <= 1


def test_mask_cache_skips_and_a_new_instruction_recomputes() -> None:
    """Catches a mask of the old instruction used for the new one."""
    stream = tiny_stream(CALM)
    text, clip = stream.encode_text("make it blue"), moving_frames(4)
    ratios = []
    for conditioning in (text, text, text, stream.encode_text("black and white"), text):
        stream.edit(clip, conditioning)
        ratios.append(stream.skip_ratio)
    assert ratios == [0.0, 1.0, 1.0, 0.0, 0.0]


def test_a_cut_resets_the_mask() -> None:
    """Catches the mask of one picture used for quite another; slow motion is no cut."""
    stream = tiny_stream(CALM)
    text, clip = stream.encode_text("make it blue"), moving_frames(6)
    dark, bright = np.full_like(clip[:4], 20), np.full_like(clip[:4], 230)
    ratios = []
    for frames in (clip[:4], clip[1:5], clip[2:], dark, dark, bright):
        stream.edit(frames, text)
        ratios.append(stream.skip_ratio)
    assert ratios == [0.0, 1.0, 1.0, 0.0, 1.0, 0.0]


def test_mask_cache_off_never_skips() -> None:
    """Catches a switch that is not passed on."""
    stream = tiny_stream(replace(CALM, mask_target="none"))
    text = stream.encode_text("make it blue")
    play(stream, text, moving_frames(12))
    assert stream.skip_ratio == 0.0


def test_bfloat16_is_near_float32() -> None:
    """Catches a path that rounds latents or pictures too, or noise drawn in another type.

    bfloat16 keeps 8 bits: an error of 2^-8 of a change of up to 255 levels is about one level.
    """
    clip = moving_frames(8)
    shown = []
    for dtype in (torch.float32, torch.bfloat16):
        stream = tiny_stream(dtype=dtype)
        shown.append(np.stack(play(stream, stream.encode_text("make it blue"), clip)))
    exact, rounded = (pictures.astype(float) for pictures in shown)
    assert 0 < np.abs(exact - rounded).mean() < 1.0
    assert np.abs(exact - clip.reshape(exact.shape)).mean() > 5


def test_the_edits_of_a_sentence_are_made_one_on_another() -> None:
    """Catches a second edit that sees the source, one that shares the first one's history, and a
    stream that goes on with it under another instruction.
    """
    stream, one, two = tiny_stream(), tiny_stream(), tiny_stream()
    first, second = (stream.encode_text(prompt) for prompt in ("make it blue", "make it black"))
    clip = moving_frames(2 * stream.chunk_frames, 64, 96)
    steadier = Steadier()
    for chunk in (clip[: stream.chunk_frames], clip[stream.chunk_frames :]):
        got = stream.change(chunk, replace(first, then=second))
        before, after = one.decoded(chunk, first)
        after, plain = clear(before, after)
        shown = 255 * (after - before).permute(0, 2, 3, 1).numpy() + chunk
        again, last = two.decoded(np.clip(np.rint(shown), 0, 255).astype(np.uint8), second)
        last, plain_too = clear(again, last)
        both = (after + last - again).clamp(0, 1)
        wanted = fit(before, both, steadier=steadier, num_passed=1, plain=plain * plain_too)
        assert np.abs(got.cells - wanted.cells).max() < 1e-4
        alone = tiny_stream().change(chunk, first)
        assert np.abs(got.cells - alone.cells).max() > 1e-3
    stream.reset()
    alone = tiny_stream().change(clip[: stream.chunk_frames], first)
    assert np.array_equal(stream.change(clip[: stream.chunk_frames], first).cells, alone.cells)


def test_a_spared_token_reaches_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a stream that does not say what its instruction spares: a face in it is painted."""
    stream = tiny_stream()
    drawn = torch.Generator().manual_seed(2)
    before = 0.2 + 0.6 * torch.rand(1, 3, 9, 16, generator=drawn)
    before = torch.nn.functional.interpolate(before, (144, 256)).expand(4, -1, -1, -1)
    after = 0.25 * before
    after[..., 48:64, 96:112] = before[..., 48:64, 96:112]
    monkeypatch.setattr(stream, "decoded", lambda *_: (before, after))
    small = (255 * before).byte().permute(0, 2, 3, 1).numpy()
    text = stream.encode_text("make it black")
    middle = (-1, slice(None), 56 // 4, 104 // 4)
    assert np.abs(stream.change(small, replace(text, spares=True)).cells[middle]).max() < 0.02
    stream.reset()
    assert np.abs(stream.change(small, text).cells[middle]).max() > 0.1


def test_a_sentence_is_cut_into_what_the_model_was_taught() -> None:
    """Catches an edit that the model cannot do and makes all the same, beside one that it can."""
    stream = tiny_stream()
    prompt = "make it blue and make it black"
    assert stream.encode_text(prompt, cuts=False).then is None
    cut = stream.encode_text(prompt)
    assert cut.then is not None
    assert (cut.prompt, cut.then.prompt, cut.then.then) == (prompt, "make it black", None)
    many = stream.encode_text(" and ".join(["make it blue"] * 6))
    assert many.unread == "make it blue make it blue"
    half = stream.encode_text("make it blue and invert it")
    assert (half.then, half.unknown, half.is_understood) == (None, ("invert",), True)
    for ours, theirs in zip(half.kv, stream.encode_text("make it blue").kv, strict=True):
        assert torch.equal(ours[0], theirs[0])
