"""The stages on tiny models and drawn clips: pairs, losses, a few iterations, export."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tiny_model import TINY, tiny_codec, tiny_dit, tiny_text

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.apply import apply_edit
from liveedit_cam.lab.edits.clips import Clip, certainty, head_of, load_clips
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.training import data
from liveedit_cam.lab.training.augment import estrange, hang_folds, redress
from liveedit_cam.lab.training.batches import collate
from liveedit_cam.lab.training.data import PairMaker
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.losses import channel_weights, edit_loss
from liveedit_cam.lab.training.teacher_forcing import (
    Inputs,
    TeacherForcing,
    disturbed_past,
    own_estimate,
)
from liveedit_cam.model.attention import MaskedAttend, rotation_table
from liveedit_cam.model.generator import denoise_chunk
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.schedule import FlowSchedule


def drawn_clip(seed: int = 0) -> Clip:
    """16 frames of 64x96 with a bright moving subject."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(rng.integers(0, 255, (1, 64, 96, 3), np.uint8), 16, axis=0)
    subject = np.zeros((16, 64, 96), np.uint8)
    for t in range(16):
        subject[t, 16:56, 20 + t : 50 + t] = 255
        frames[t][subject[t] > 0] = (220, 60, 60)
    return Clip(f"drawn{seed}", frames, subject, 24.0, True)


def maker(seed: int = 1) -> PairMaker:
    return PairMaker([drawn_clip(0), drawn_clip(1)], plain_palette(), seed)


def test_pairs_are_seeded_and_their_targets_exact() -> None:
    """Catches a target that is not the edit of the very source beside it."""
    first, again = maker(), maker()
    for _ in range(12):
        (pair,), (twin,) = first.pairs(1, 2, 4, 48, 64), again.pairs(1, 2, 4, 48, 64)
        assert pair.prompt == twin.prompt
        assert torch.equal(pair.source, twin.source)
        assert pair.source.shape == pair.target().shape == (8, 48, 64, 3)
        target, _ = apply_edit(pair.source, pair.subject, pair.spec)
        if pair.shown is not None:
            target = target * pair.shown[..., None]
        assert torch.equal(target, pair.target())
        assert 0 <= float(pair.source.min()) <= float(pair.source.max()) <= 1


def test_small_edits_count() -> None:
    """Catches a loss in which an edit of 2 % of the picture can be ignored."""
    source = torch.zeros(2, 8, 1, 10, 10)
    target = source.clone()
    target[0] = 1.0
    target[1, :, :, :2, :1] = 1.0
    ignored = [
        edit_loss(source[i : i + 1], target[i : i + 1], source[i : i + 1], torch.ones(8)).item()
        for i in (0, 1)
    ]
    assert ignored[1] > 0.1 * ignored[0]  # 0.02 of it were they weighed by size alone


@pytest.mark.parametrize("num_latents", [1, 3])
def test_loss_reaches_every_weight(num_latents: int) -> None:
    """Catches a branch of the model that training leaves out, such as the text.

    Of clips nobody says what each cell is: the head that learns it has nothing to learn.
    """
    torch.manual_seed(0)
    editor = Editor(TINY)
    torch.nn.init.normal_(editor.dit.head.head.weight, std=0.02)
    codec, text = tiny_codec(), tiny_text()
    make = maker()
    pairs = make.pairs(4, num_latents, 4, 48, 64)
    loss, values = TeacherForcing(TINY, text, channel_weights(codec.scale), 0)(
        editor, collate(pairs, codec)
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert set(values) == {"edit", "subject"}
    idle = [n for n, p in editor.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == ["parts_head.weight", "parts_head.bias"]


def noise_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("step", [0, 1, 2])
def test_training_rolls_out_as_live_editing_does(step: int) -> None:
    """Catches an estimate of another loop than the live one: its noise, its sigmas, its start.

    The live sampler with as many steps, the same noise and no past gives the same latents.
    """
    dit, cell = tiny_dit(), (TINY.height // 8, TINY.width // 8)
    source = torch.randn(1, 8, 1, *cell, generator=noise_of(1))
    text = tuple(dit.text_kv(tiny_text()(["make it blue"]).detach()))
    grid = dit.grid(source)
    attend = MaskedAttend(rotation_table([0], grid, TINY.head_dim, torch.device("cpu")), None)
    schedule = FlowSchedule(TINY.timesteps, TINY.shift)
    inputs = Inputs(source, None, text, attend)
    own = own_estimate(dit, inputs, torch.tensor([step]), schedule, noise_of(2))
    if step == 0:
        assert not own.any()
        return
    shorter = FlowSchedule(TINY.timesteps[:step], TINY.shift)
    cache = KVCache(TINY, grid, torch.device("cpu"), torch.float32)
    live = denoise_chunk(dit, source, text, shorter, cache, None, noise_of(2), context_pass=False)
    assert torch.allclose(own, live, atol=1e-5)


def test_each_sample_of_a_batch_is_rolled_out_as_if_alone() -> None:
    """Catches rows that are mixed up: another sample's source or text, or steps of a neighbour."""
    dit, cell = tiny_dit(), (TINY.height // 8, TINY.width // 8)
    source = torch.randn(2, 8, 1, *cell, generator=noise_of(1))
    text = tuple(dit.text_kv(tiny_text()(["make it blue", "black and white"]).detach()))
    rotation = rotation_table([0], dit.grid(source), TINY.head_dim, torch.device("cpu"))
    both = Inputs(source, None, text, MaskedAttend(rotation, None))
    schedule = FlowSchedule(TINY.timesteps, TINY.shift)
    second = both.rows(torch.tensor([1]))
    alone = own_estimate(dit, second, torch.tensor([2]), schedule, noise_of(2))
    beside = own_estimate(dit, both, torch.tensor([0, 2]), schedule, noise_of(2))
    assert not beside[0].any()
    assert torch.allclose(beside[1:], alone, atol=1e-5)


def test_a_model_of_one_step_can_be_trained() -> None:
    """Catches steps drawn from an empty range."""
    config, codec = replace(TINY, timesteps=(1000,)), tiny_codec()
    batch = collate(maker().pairs(2, 1, 4, 48, 64), codec)
    stage = TeacherForcing(config, tiny_text(), channel_weights(codec.scale), 0)
    assert torch.isfinite(stage(Editor(config), batch)[0])


def test_some_subjects_wear_the_colour_of_the_wall() -> None:
    """Catches clothes that always stand out, and a picture without a wall that is a mistake."""
    frames = np.full((2, 20, 20, 3), (0.2, 0.5, 0.8), np.float32)
    subject = np.zeros((2, 20, 20), np.float32)
    subject[:, :, :10] = 1
    frames[:, :, :10] = (0.9, 0.1, 0.1)
    # a band painted like the wall shares its order of red, green and blue, whatever its shading
    dressed = [redress(frames, subject, random.Random(seed))[0, :, :10] for seed in range(60)]
    like_wall = [bool((np.diff(one, axis=-1) > 0.05).all(axis=-1).mean() > 0.1) for one in dressed]
    assert 0.1 < sum(like_wall) / 60 < 0.6
    everywhere = np.ones_like(subject)
    assert np.isfinite(redress(frames, everywhere, random.Random(3))).all()


def test_a_subject_wears_the_pattern_it_is_given() -> None:
    """Catches a pattern that is left out, and one painted over what is not the subject."""
    frames = np.full((2, 36, 64, 3), 0.5, np.float32)
    subject = np.zeros((2, 36, 64), np.float32)
    subject[:, 10:, 20:40] = 1
    boards = np.zeros((36, 64, 3), np.float32)
    boards[:, ::8] = 1
    across = []
    for seed in range(20):
        dressed = redress(frames, subject, random.Random(seed), boards)
        assert np.array_equal(dressed[subject < 0.5], frames[subject < 0.5])
        across.append(float(dressed[0, 10:, 20:40].std(axis=1).max()))
    assert np.median(across) > 0.1
    plain = redress(frames, subject, random.Random(0))[0, 10:, 20:40]
    assert plain.std(axis=1).max() < 1e-6


def test_a_known_place_becomes_another() -> None:
    """Catches a place that never changes, and pictures of another size, kind or range."""
    frames = np.random.default_rng(0).random((2, 36, 64, 3), np.float32)
    others = [estrange(frames, random.Random(seed)) for seed in range(30)]
    assert all(o.shape == frames.shape and o.dtype == np.float32 for o in others)
    assert all(0 <= o.min() <= o.max() <= 1 for o in others)
    changed = sum(not np.array_equal(o, frames) for o in others)
    assert 10 < changed < 30


def test_folds_hang_behind_the_subject() -> None:
    """Catches stripes over the subject, colours out of range, and a wall left as it was."""
    frames = np.full((2, 36, 64, 3), 0.7, np.float32)
    subject = np.zeros((2, 36, 64), np.float32)
    subject[:, 10:, 20:40] = 1
    for seed in range(20):
        hung = hang_folds(frames, subject, random.Random(seed))
        assert hung.dtype == np.float32
        assert 0 <= hung.min() <= hung.max() <= 1
        assert np.array_equal(hung[subject > 0.5], frames[subject > 0.5])
        assert hung[subject < 0.5].std() > 0.03, seed


@pytest.mark.parametrize(("share", "leaks"), [(1.0, False), (0.0, True)])
def test_the_answer_is_in_the_input_only_in_the_papers_form(share: float, leaks: bool) -> None:
    """Catches a rollout that lets the target through, and a share that changes nothing."""
    seen: list[torch.Tensor] = []
    editor, codec = Editor(TINY), tiny_codec()
    editor.dit.register_forward_pre_hook(lambda _m, given: seen.append(given[0].detach()))
    batch = collate(maker().pairs(6, 1, 4, 48, 64), codec)
    for target in (batch.target, batch.target + 1):
        stage = TeacherForcing(TINY, tiny_text(), channel_weights(codec.scale), 0, share)
        stage(editor, replace(batch, target=target))
    half = len(seen) // 2
    same = all(torch.equal(*two) for two in zip(seen[:half], seen[half:], strict=True))
    assert same is not leaks


def test_no_edit_touches_black_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches bars that are learnt as picture: they stay black, whatever is asked."""
    monkeypatch.setattr(data, "BARS_SHARE", 1.0)
    pairs = maker().pairs(20, 1, 4, 48, 64)
    for pair in pairs:
        columns, rows = pair.source.amax((0, 1, 3)) == 0, pair.source.amax((0, 2, 3)) == 0
        assert bool(columns[0] & columns[-1]) or bool(rows[0] & rows[-1])
        for black in (columns[None, :], rows[:, None]):
            bars = black.expand(48, 64)
            assert float(pair.target()[:, bars].abs().sum()) == 0.0
            assert float(pair.subject[:, bars].sum()) == 0.0
    assert any(not torch.equal(pair.source, pair.target()) for pair in pairs)


def test_clear_masks_are_drawn_more_often() -> None:
    """Catches masks that say "maybe" drawn as often as clear ones: they teach half edits."""
    vague = drawn_clip(1)
    vague.subject[vague.subject > 0] = 120
    assert (certainty(drawn_clip(0).subject), certainty(vague.subject)) == (1.0, 0.0)
    for clips in ([drawn_clip(0), vague], [vague]):
        made = PairMaker(clips, plain_palette(), 1).pairs(4, 1, 4, 48, 64)
        assert len(made) == 4
    weights = PairMaker([drawn_clip(0), vague], plain_palette(), 1)._weights
    assert weights[0] > 50 * weights[1] > 0


def test_the_head_is_at_the_top_of_the_subject() -> None:
    """Catches rows and columns swapped, and a crop around the middle of the body."""
    subject = np.zeros((100, 200), np.uint8)
    subject[20:40, 50:60] = 255
    subject[40:90, 30:120] = 255
    assert head_of(subject) == (20.0, 54.5, 70.0)
    assert head_of(np.zeros((10, 10), np.uint8)) is None


def test_disturbed_past_is_often_but_not_always_the_target() -> None:
    """Catches a clean past that is always right (errors would feed themselves) or never."""
    make = maker()
    batch = collate(make.pairs(6, 2, 4, 48, 64), tiny_codec())
    is_target = [
        torch.equal(past, target)
        for seed in range(12)
        for past, target in zip(
            disturbed_past(batch, random.Random(seed)), batch.target, strict=True
        )
    ]
    assert 0.4 < sum(is_target) / len(is_target) < 0.9


def write_clip(path: Path, num_frames: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(num_frames):
            pixels = np.full((48, 64, 3), 20 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def test_a_corrupt_clip_is_skipped_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches a training run that dies, or goes on silently, for one broken file."""
    facts = {"width": 64, "height": 48, "fps": 24.0, "split": "train"}
    (tmp_path / "clips.json").write_text(
        json.dumps({"good": facts, "broken": facts, "gone": facts})
    )
    for name in ("good.mp4", "good.mask.mp4"):
        write_clip(tmp_path / name, 6)
    (tmp_path / "broken.mp4").write_bytes(b"this is no video")
    clips = load_clips(tmp_path, "train", tmp_path / "cache", short_side_px=48)
    assert [clip.name for clip in clips] == ["good"]
    assert clips[0].frames.shape == (6, 48, 64, 3)
    told = capsys.readouterr().out
    assert "skipped clip broken" in told
    assert "skipped clip gone" in told
    again = load_clips(tmp_path, "train", tmp_path / "cache", short_side_px=48)
    assert np.array_equal(again[0].frames, clips[0].frames)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    """Catches a traceback for a wrong --media."""
    with pytest.raises(UsageError, match=r"without clips\.json"):
        load_clips(tmp_path, "train")
