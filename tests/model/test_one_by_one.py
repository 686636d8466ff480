"""A chunk edited picture by picture: the same pictures, and never two of them at once."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
from tiny_model import moving_frames, tiny_stream

from liveedit_cam.model.one_by_one import OneByOne


class Counted:
    """Makes pictures and counts those that are held."""

    def __init__(self) -> None:
        self.alive = self.most = 0

    def maker(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        def make() -> np.ndarray:
            made = pixels.copy()
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(made, self.gone)
            return made

        return make

    def gone(self) -> None:
        self.alive -= 1


def test_it_is_what_edit_makes_with_one_picture_at_a_time() -> None:
    """Catches another result than ``edit``'s, its exact twin, in any chunk; and the 100 MB that
    four pictures of 3840x2160 take (issue 15).
    """
    whole, stream = tiny_stream(), tiny_stream()
    text, same = whole.encode_text("make it blue"), stream.encode_text("make it blue")
    counted, each = Counted(), OneByOne(stream)
    for chunk in np.split(moving_frames(3 * each.chunk_frames, 70, 100), 3):
        expected = whole.edit(chunk, text, strength=0.7)
        assert not np.array_equal(expected, chunk)
        made = each.edit_each([counted.maker(one) for one in chunk], same, strength=0.7)
        for one in expected:
            assert np.array_equal(next(made), one)
    assert counted.most == 1
    assert counted.alive == 0
