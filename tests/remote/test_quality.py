"""How much a camera sends follows how long it takes."""

from liveedit_cam.model.governor import FAST_CHUNKS, SLOW_CHUNKS, AgeWatch
from liveedit_cam.remote.quality import (
    FAST_S,
    HIGHEST,
    LOWEST,
    NUM_FAST,
    NUM_SLOW,
    SLOW_S,
    JpegQuality,
    PictureSize,
)
from liveedit_cam.types import ModelSize


def test_it_sends_less_on_a_slow_link_and_more_again_on_a_fast_one() -> None:
    """Catches a quality that never comes back, leaves its bounds, or reacts to a single hiccup."""
    quality = JpegQuality()
    quality.took(2 * SLOW_S)
    quality.took(FAST_S / 2)
    assert quality.level == HIGHEST
    for _ in range(20 * NUM_SLOW):
        quality.took(2 * SLOW_S)
    assert quality.level == LOWEST
    for _ in range(20 * NUM_FAST):
        quality.took(FAST_S / 2)
    assert quality.level == HIGHEST


def test_old_fields_make_smaller_pictures_and_young_ones_larger_again() -> None:
    """Catches a size that never comes back, one that shrinks on and on, and an age counted from
    the new field instead of the one it replaced.
    """
    pictures = PictureSize(AgeWatch(0.25))
    whole = ModelSize(16, 220)
    assert not pictures.replaced(newest_at=0.0, now=5.0)  # nothing was before it
    changes = [pictures.replaced(0.1 * i, 0.1 * (i - 1) + 0.3) for i in range(1, 9)]
    assert changes == [i == SLOW_CHUNKS - 1 for i in range(8)]
    assert pictures.of(whole).of(1280, 720) == (256, 144)
    at = 0.8
    changes = [pictures.replaced(at + 0.1 * i, at + 0.1 * (i - 1) + 0.1) for i in range(1, 60)]
    assert changes.index(True) == FAST_CHUNKS - 1
    assert sum(changes) == 1
    assert pictures.of(whole) == whole


def test_without_a_limit_pictures_stay_as_large_as_the_server_takes_them() -> None:
    """Catches a limit where every field is waited for."""
    pictures = PictureSize(AgeWatch(None))
    assert not any(pictures.replaced(float(i), i + 9.0) for i in range(99))
