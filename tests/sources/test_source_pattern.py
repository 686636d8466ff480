"""The drawn scene."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.errors import SourceEnded, UsageError
from liveedit_cam.sources import pattern


@pytest.fixture(scope="module")
def scene() -> pattern.Scene:
    return pattern.Scene()


def test_a_frame_is_a_function_of_its_index(scene: pattern.Scene) -> None:
    """Catches hidden state and a random grain: tests and demonstrations rely on equal pictures."""
    later = scene.draw(40)
    scene.draw(7)
    assert np.array_equal(scene.draw(40), later)
    assert np.array_equal(pattern.Scene().draw(40), later)


def test_a_scene_of_another_shape_is_cut_not_barred() -> None:
    """Catches black bars inside the scene, which an edit takes for a part of the picture."""
    for width, height in ((640, 640), (90, 160), (1280, 400)):
        pixels = pattern.Pattern(width, height, realtime=False).read().pixels
        assert pixels.shape == (height, width, 3)
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert edge.mean() > 10


def test_things_move_and_the_room_stands_still(scene: pattern.Scene) -> None:
    """Catches a frozen scene and a background that flickers."""
    one, other = scene.draw(0), scene.draw(30)
    moved = (one != other).any(axis=2)
    assert 0.02 < moved.mean() < 0.4
    assert not moved[:160, :].any()


def test_the_named_objects_are_there(scene: pattern.Scene) -> None:
    """Catches a lost layer: instructions name the red cup, blue ball, green plant, yellow book."""
    red, green, blue = (scene.draw(0)[..., channel].astype(int) for channel in range(3))
    assert ((red > 170) & (green < 80) & (blue < 80)).sum() > 3000
    assert ((blue > 160) & (red < 80) & (green < 130)).sum() > 3000
    assert ((green > 100) & (red < 100) & (blue < 100)).sum() > 3000
    assert ((red > 200) & (green > 150) & (blue < 90)).sum() > 3000


def test_frames_come_at_their_rate() -> None:
    """Catches a scene that is not paced: 31 frames at 30 per second span one second."""
    clock = Clock(10.0)
    source = pattern.Pattern(64, 36, now=clock.now, sleep=clock.wait)
    times = [source.read().captured_at for _ in range(31)]
    assert times[-1] - times[0] == pytest.approx(1.0)


def test_close_ends_a_waiting_read() -> None:
    """Catches a program that hangs at its end because a source sleeps."""
    source = pattern.Pattern(64, 36, now=lambda: 0.0)  # a clock that stands: the wait never ends
    source.read()
    ended: list[SourceEnded] = []

    def read() -> None:
        try:
            source.read()
        except SourceEnded as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    source.close()
    reader.join(timeout=10)
    assert ended


def test_another_size_is_fitted() -> None:
    """Catches a target that is ignored."""
    source = pattern.create("320x192", loop=False, realtime=False)
    assert (source.width, source.height) == (320, 192)
    assert source.read().pixels.shape == (192, 320, 3)


@pytest.mark.parametrize("target", ["big", "320", "0x0", "320x"])
def test_a_bad_size_is_refused(target: str) -> None:
    """Catches a typing error that silently gives 1280x720."""
    with pytest.raises(UsageError, match="WIDTHxHEIGHT"):
        pattern.create(target, loop=False, realtime=False)
