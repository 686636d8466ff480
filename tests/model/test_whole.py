"""Whole clips, the guided way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from odd_media import write_bars
from tiny_model import TINY, draw_latents, moving_frames, tiny_stream, write_folder
from typer.testing import CliRunner

from liveedit_cam.commands.app import app
from liveedit_cam.errors import EditorError
from liveedit_cam.model import whole
from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.sampling import sample_offline
from liveedit_cam.model.whole import WholeClips


def clips(num_steps: int = 3, *, is_causal: bool = False) -> WholeClips:
    return WholeClips(
        tiny_stream(), num_latents=4, num_steps=num_steps, guidance=3.0, is_causal=is_causal
    )


def edited(
    clip: WholeClips, frames: np.ndarray, text: TextConditioning, strength: float = 1.0
) -> np.ndarray:
    return np.stack(list(clip.edit_each([one.copy for one in frames], text, strength=strength)))


def test_a_clip_is_edited_whole_and_alike_each_time() -> None:
    """Catches state between clips, groups put in another order, and a shape that is not kept."""
    clip = clips()
    assert clip.chunk_frames == 16
    frames = moving_frames(16, 70, 100)
    text = clip.encode_text("make it blue")
    first = edited(clip, frames, text)
    assert first.shape == frames.shape
    assert not np.array_equal(first, frames)
    assert np.array_equal(edited(clip, frames, text), first)
    assert np.array_equal(edited(clip, frames, text, strength=0.0), frames)
    with pytest.raises(EditorError, match="expected 16"):
        edited(clip, frames[:12], text)


def test_every_latent_sees_the_last_one() -> None:
    """Catches chunks edited one after another: the first frame must depend on the last."""
    clip = clips()
    frames = moving_frames(16, 64, 96)
    text = clip.encode_text("make it blue")
    other = frames.copy()
    other[-4:] = 255 - other[-4:]
    before, after = edited(clip, frames, text), edited(clip, other, text)
    assert not np.array_equal(before[0], after[0])


def test_a_causal_clip_sees_its_past_alone() -> None:
    """Catches a stage 2 checkpoint shown a future it never saw, or no past: 4 frames a chunk."""
    clip = clips(is_causal=True)
    frames = moving_frames(16, 64, 96)
    text = clip.encode_text("make it blue")
    base = edited(clip, frames, text)
    first, last = frames.copy(), frames.copy()
    first[:4], last[12:] = 255 - first[:4], 255 - last[12:]
    assert np.array_equal(edited(clip, last, text)[:12], base[:12])
    assert not np.array_equal(edited(clip, first, text)[4:], base[4:])


def test_guidance_goes_away_from_no_text() -> None:
    """Catches the two texts exchanged: guidance 1 is the instruction alone."""
    stream = tiny_stream()
    text, none = stream.encode_text("make it blue").kv, stream.encode_text("").kv
    source = draw_latents(TINY, 2, 0)
    made = [
        sample_offline(
            stream.dit,
            source,
            text,
            none,
            num_steps=2,
            guidance=guidance,
            shift=5.0,
            noise=torch.Generator().manual_seed(0),
        )
        for guidance in (0.0, 1.0, 2.0)
    ]
    assert float((made[0] + made[2] - 2 * made[1]).abs().max()) < 1.0
    assert float((made[2] - made[1]).abs().max()) > 0.0


def test_a_file_is_edited_by_whole_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches an option that is dropped on the way, and clips longer than the file lost."""
    monkeypatch.setattr(whole, "NUM_LATENTS", 4)
    monkeypatch.setattr(whole, "NUM_STEPS", 2)
    write_bars(tmp_path / "in.mp4", num_frames=20)
    folder = str(write_folder(tmp_path / "tiny"))
    made = {}
    for quality in ("fast", "best", "causal"):
        out = tmp_path / f"{quality}.mp4"
        arguments = [str(tmp_path / "in.mp4"), str(out), "make it blue", "--model", folder]
        done = CliRunner().invoke(app, ["process", *arguments, "--quality", quality])
        assert done.exit_code == 0, done.output
        made[quality] = out.read_bytes()
    assert len(set(made.values())) == 3
