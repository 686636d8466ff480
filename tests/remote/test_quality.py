"""How much a camera sends follows how long it takes."""

from liveedit_cam.remote.quality import (
    FAST_S,
    HIGHEST,
    LOWEST,
    NUM_FAST,
    NUM_SLOW,
    SLOW_S,
    JpegQuality,
)


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
