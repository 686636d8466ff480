"""Drawn vehicles: there, whole, seen from all sides, and no two alike."""

from __future__ import annotations

import random

import numpy as np
import pytest

from liveedit_cam.lab.edits.regions import BY_NAME, VEHICLES
from liveedit_cam.lab.training.vehicles import KINDS, Canvas, drawn_vehicle

SIZE = (120, 200)


@pytest.mark.parametrize("name", KINDS)
def test_a_vehicle_is_in_nearly_every_picture(name: str) -> None:
    """Catches a camera that looks past it, and pixels beside the mask."""
    shares = []
    for seed in range(30):
        pixels, where = drawn_vehicle(name, SIZE, random.Random(seed))
        assert pixels.shape == (*SIZE, 3)
        assert where.shape == SIZE
        shares.append(where.mean())
        assert (pixels[where].astype(int).sum(1) > 0).mean() > 0.98 if where.any() else True
    assert np.mean(np.array(shares) > 0.01) > 0.85
    assert np.median(shares) < 0.5
    assert np.std(shares) > 0.02


def test_each_kind_is_the_name_of_a_vehicle() -> None:
    """Catches a name that no instruction has."""
    assert all(set(BY_NAME[name].labels) <= set(VEHICLES) for name in KINDS)


def test_the_camera_is_a_pinhole() -> None:
    """Catches a mirrored picture, and one that is upside down or out of scale."""
    canvas = Canvas((100, 200), np.array((-10.0, 0, 0)), np.zeros(3), 50.0)
    seen = canvas.seen(np.array(((0.0, 0, 0), (0, 2, 0), (0, 0, 2), (-5, 2, 0))))
    # y to the left of who looks along x, z up
    np.testing.assert_allclose(seen, ((100, 50), (90, 50), (100, 40), (80, 50)), atol=1e-9)


def test_one_seed_draws_one_vehicle() -> None:
    """Catches random numbers from elsewhere: training would not resume."""
    first, again, other = (drawn_vehicle("car", SIZE, random.Random(s))[0] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
