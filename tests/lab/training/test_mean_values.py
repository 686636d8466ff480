"""Figures of a batch that is trained in parts."""

from __future__ import annotations

from liveedit_cam.lab.training.threaded import mean_values


def test_a_part_without_pictures_tells_no_figure_of_pictures() -> None:
    """Catches a run that ends because one of its parts drew clips alone."""
    assert mean_values([{"edit": 1.0, "parts": 0.5}, {"edit": 3.0}]) == {"edit": 2.0, "parts": 0.5}
    assert mean_values([{"edit": 1.0}, {"edit": 3.0, "parts": 0.5}]) == {"edit": 2.0, "parts": 0.5}
