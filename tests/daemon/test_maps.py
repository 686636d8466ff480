"""The small maps of the status: where a field changes the picture."""

from __future__ import annotations

import numpy as np

from liveedit_cam.daemon.editing import MAP_COLUMNS, MAP_ROWS, MAP_STEP, field_map
from liveedit_cam.types import EditField


def test_the_map_of_a_field_shows_where_and_how_much() -> None:
    """Catches rows and columns exchanged, a matrix that is forgotten, and a small change lost."""
    cells = np.zeros((12, 36, 64), np.float32)
    cells[9, :, 48:] = 0.3  # red is raised in the right quarter
    cells[4, 20:, :4] = -1.0  # green is gone at the lower left: at middle grey, by a half
    cells[11, 0, 30] = 0.2 * MAP_STEP
    grey = np.zeros((144, 256), np.uint8)
    found = field_map(EditField(cells, None, grey, 0, 0.0, 1))
    assert (len(found), {len(row) for row in found}) == (MAP_ROWS, {MAP_COLUMNS})
    assert found[0] == "0" * 7 + "1" + "0" * 4 + "6666"
    assert found[-1] == "9" + "0" * 11 + "6666"
    small = field_map(EditField(np.zeros((12, 4, 3), np.float32), None, grey, 0, 0.0, 1))
    assert small == ("000",) * 4
    assert field_map(EditField(np.zeros_like(cells), None, grey, 0, 0.0, 1)) == ("0" * 16,) * 9
