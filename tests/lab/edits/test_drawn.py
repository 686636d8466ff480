"""Drawn scenes: the mask must be the figure."""

from __future__ import annotations

import numpy as np

from liveedit_cam.lab.edits.drawn import drawn_clips


def test_masks_fit_their_figures_and_scenes_are_seeded() -> None:
    """Catches a mask of another frame, an empty one, and scenes that differ between runs."""
    clips, again = drawn_clips(4, seed=3), drawn_clips(4, seed=3)
    for clip, twin in zip(clips, again, strict=True):
        assert np.array_equal(clip.frames, twin.frames)
        assert clip.frames.shape == (*clip.subject.shape, 3)
        share = (clip.subject > 127).mean(axis=(1, 2))
        assert share.min() > 0.01
        assert share.max() < 0.8
        moved = (clip.subject[0] > 127) != (clip.subject[-1] > 127)
        calm = ~(clip.subject > 0).any(axis=0)
        spread = clip.frames.astype(float).std(axis=0).mean(axis=-1)
        assert spread[moved].mean() > 5 * spread[calm].max() + 1e-6
