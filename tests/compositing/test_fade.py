"""One edit fades into the next, on a picture that moves on."""

from __future__ import annotations

import numpy as np
from test_carry import HEIGHT, WIDTH, added, field, scene

from liveedit_cam.compositing import CrossFade, put_on

EVERYWHERE = np.ones((HEIGHT, WIDTH), bool)


def blue(edited: np.ndarray, picture: np.ndarray) -> float:
    return float(np.median(added(picture, edited)))


def test_the_change_goes_from_one_edit_to_the_other_in_time() -> None:
    """Catches a cut, a fade that jumps at an end, and one that never ends."""
    fade = CrossFade()
    picture = scene()
    before, after = field(picture, EVERYWHERE, 0.0), field(picture, EVERYWHERE, 0.2)
    fade.begin(before, 2.0)
    shown = [
        blue(put_on(picture, fade.mixed(after, picture, 10 + at)), picture)
        for at in (0.0, 0.5, 1.0, 1.5, 2.0, 2.5)
    ]
    assert np.allclose(shown, [0, 12.75, 25.5, 38.25, 51, 51], atol=1.5)


def test_the_edit_of_before_moves_with_what_it_is_on() -> None:
    """Catches the old edit left behind while it fades: half of the hand would lie beside it."""
    fade = CrossFade()
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[48:96, 100:148] = True
    fade.begin(field(scene(100), mask, 0.3), 100.0)
    for hand_x in (100, 106, 112, 118):
        picture = scene(hand_x)
        mixed = fade.mixed(field(picture, EVERYWHERE, 0.0), picture, 0.0)
    change = added(picture, put_on(picture, mixed))
    assert change[54:90, 148:162].mean() > 40  # left behind it would be 5 at most
    assert np.abs(change[:, 190:]).max() <= 2


def test_a_cut_and_another_size_show_the_new_edit_at_once() -> None:
    """Catches a division by no seconds, and fields of two sizes that are added."""
    fade = CrossFade()
    picture = scene()
    after = field(picture, EVERYWHERE, 0.2)
    fade.begin(field(picture, EVERYWHERE, 0.0), 0.0)
    assert fade.mixed(after, picture, 0.0) is after
    small = scene()[:72, :128]
    fade.begin(field(picture, EVERYWHERE, 0.0), 1.0)
    half = type(after)(after.cells[:, :18, :32], None, after.guide[:72, :128], 0, 0.0, 2)
    assert fade.mixed(half, small, 0.0) is half
