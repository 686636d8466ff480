"""Fields carried to later frames by optical flow, and where they may not be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from liveedit_cam.compositing import Carrier, CutDetector, put_on, put_on_exact
from liveedit_cam.compositing.carry import WIDEST_PX, _covered
from liveedit_cam.types import EditField

Picture = NDArray[np.uint8]
HEIGHT, WIDTH = 144, 256


def scene(hand_x: int = 100, seed: int = 0) -> Picture:
    """A textured wall and a textured square before it, "the hand", whose left side is hand_x."""
    rng = np.random.default_rng(seed)

    def texture(height: int, width: int, level: int) -> NDArray[np.float64]:
        grid = rng.normal(0, 45, (height // 6 + 2, width // 6 + 2, 1))
        fine = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.clip(level + fine, 0, 255)

    picture = np.repeat(texture(HEIGHT, WIDTH, 90)[..., None], 3, axis=2)
    hand = np.repeat(texture(48, 48, 170)[..., None], 3, axis=2)
    picture[48:96, hand_x : hand_x + 48] = hand
    return picture.round().astype(np.uint8)


def field(source: Picture, mask: NDArray[np.bool_], amount: float = 0.3) -> EditField:
    """Adds ``amount`` of blue where ``mask`` (H, W) is set."""
    cells = np.zeros((12, HEIGHT // 4, WIDTH // 4), np.float32)
    share = cv2.resize(mask.astype(np.float32), (WIDTH // 4, HEIGHT // 4), interpolation=3)
    cells[11] = amount * share
    return EditField(cells, None, cv2.cvtColor(source, cv2.COLOR_RGB2GRAY), 0, 0.0, 1)


def hand_mask(x: int) -> NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[48:96, x : x + 48] = True
    return mask


def added(picture: Picture, edited: Picture) -> NDArray[np.int64]:
    return (edited.astype(int) - picture)[..., 2]


def test_an_edit_moves_with_what_it_is_on() -> None:
    """Catches an edit that stays behind: 18 pixels on, a third of the hand would lie beside it; and
    one that grows on the way: nowhere more than 5 % above the exact edit, on the whole.
    """
    before, after = scene(100), scene(118)
    made = field(before, hand_mask(100))
    exact, carried, stayed = (
        added(after, put_on(after, one))
        for one in (field(after, hand_mask(118)), Carrier().carry(made, after), made)
    )
    rows = np.s_[54:90]
    inside = hand_mask(118)[rows]
    whole = exact[rows][inside].mean()
    assert 0.88 < carried[rows][inside].mean() / whole < 1.05
    assert stayed[rows][inside].mean() / whole < 0.7
    assert carried[rows, 100:114].mean() < 0.15 * whole, "of the wall where the hand was"
    assert carried[:, 180:].max() == 0


def test_an_edited_background_closes_behind_a_moving_hand() -> None:
    """Catches a raw wall shown where the hand has just been: nobody has edited that yet.

    Of the strip the hand uncovers at least 85 % must be edited by half or more.
    """
    before, after = scene(100), scene(118)
    made = field(before, ~hand_mask(100))
    carried = put_on(after, Carrier().carry(made, after))
    uncovered = added(after, carried)[52:92, 102:116]
    assert (uncovered > 38).mean() > 0.85


def test_what_is_uncovered_takes_the_change_of_what_looks_like_it() -> None:
    """Catches a face that turns blue with the wall because it turned, and a wall left raw.

    Left a dark wall, edited but for one column of cells; right a bright face, not edited. All the
    cells at the border are uncovered.
    """
    picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    picture[:, 128:] = 200
    cells = np.zeros((12, HEIGHT // 4, WIDTH // 4), np.float32)
    cells[11, :, :31] = 0.3
    uncovered = np.zeros((HEIGHT // 4, WIDTH // 4), bool)
    uncovered[:, 30:34] = True
    out = _covered(cells, uncovered, picture)
    assert out[11, :, 30:32] == pytest.approx(0.3, abs=1e-6)
    assert not out[:, :, 32:].any()


def test_a_face_that_turns_stays_as_it_is() -> None:
    """Catches splotches: the most changed of like cells won, and hair is as dark as some of a wall.

    A wall of all greys, edited, dark hair before it and a bright face: of hair and face that seem
    uncovered less than a third of the wall's change may be seen in the mean.
    """
    grey = np.random.default_rng(0).integers(40, 220, (HEIGHT // 4, 25), np.uint8)
    picture = np.full((HEIGHT, WIDTH, 3), 170, np.uint8)
    picture[:, :100] = np.kron(grey, np.ones((4, 4), np.uint8))[..., None]
    picture[:, 100:120] = 50
    cells = np.zeros((12, HEIGHT // 4, WIDTH // 4), np.float32)
    cells[11, :, :25] = 0.3
    uncovered = np.zeros((HEIGHT // 4, WIDTH // 4), bool)
    uncovered[10:20, 25:32] = True
    assert _covered(cells, uncovered, picture)[11, 10:20, 25:32].mean() < 0.1


def test_a_mouth_that_opens_does_not_take_the_walls_change() -> None:
    """Catches blue lips: dark as the wall, eight cells from it, in a face that nothing edits."""
    picture = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    picture[40:112, 80:160] = 200
    picture[72:80, 96:108] = 60
    cells = np.zeros((12, HEIGHT // 4, WIDTH // 4), np.float32)
    cells[11] = 0.3
    cells[11, 10:28, 20:40] = 0
    uncovered = np.zeros((HEIGHT // 4, WIDTH // 4), bool)
    uncovered[18:20, 24:27] = True
    assert np.array_equal(_covered(cells, uncovered, picture), cells)
    uncovered[18:20, 20:27] = True  # as far as the wall: a hand that goes away from both
    assert _covered(cells, uncovered, picture)[11, 19, 25] > 0


def test_noise_on_a_flat_picture_moves_an_edit_by_little() -> None:
    """Catches an edit thrown about where there is nothing to follow but noise.

    Flow finds 7 pixels at most in such noise, and what seems uncovered looks 12 pixels further: 6
    cells (24 pixels) off the border of the edit all must stay as it is.
    """
    rng = np.random.default_rng(1)
    flat = np.full((HEIGHT, WIDTH, 3), 120.0)
    one, other = (
        np.clip(flat + rng.normal(0, 4, flat.shape), 0, 255).round().astype(np.uint8)
        for _ in range(2)
    )
    made = field(one, hand_mask(100))
    carried = Carrier().carry(made, other)
    blue = made.cells[11]
    near = cv2.dilate(blue, np.ones((13, 13))) - cv2.erode(blue, np.ones((13, 13))) > 0
    assert not near.all()
    assert np.abs(carried.cells[11] - blue)[~near].max() < 1e-3


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_pictures_are_no_fault(level: int) -> None:
    """Catches a division by nothing where there is no texture at all."""
    flat = np.full((HEIGHT, WIDTH, 3), level, np.uint8)
    made = field(scene(), hand_mask(100))
    carried = Carrier().carry(made, flat)
    assert np.isfinite(carried.cells).all()


def test_its_own_frame_gets_the_field_as_it_is() -> None:
    """Catches a warp of what needs none."""
    source = scene()
    made = field(source, hand_mask(100))
    assert Carrier().carry(made, source) is made


def test_a_wide_field_is_carried_as_a_narrow_one() -> None:
    """Catches flow that is found in a smaller picture and not brought back to this one."""
    wide = (WIDEST_PX // WIDTH + 1) * np.array((WIDTH, HEIGHT))
    before, after = (cv2.resize(scene(x), wide.tolist()) for x in (100, 112))
    rest = np.zeros((3, wide[1], wide[0]), np.float32)
    rest[0, wide[1] // 2 - 12 : wide[1] // 2 + 12, 216:280] = 0.4
    cells = np.zeros((12, wide[1] // 4, wide[0] // 4), np.float32)
    made = EditField(cells, rest, cv2.cvtColor(before, cv2.COLOR_RGB2GRAY), 0, 0.0, 1)
    carried = Carrier().carry(made, after).rest
    assert carried is not None
    moved = 12 * wide[0] / WIDTH
    at = np.average(np.arange(wide[0]), weights=carried[0].sum(axis=0))
    assert at == pytest.approx(247.5 + moved, abs=3)


def test_new_content_moves_too() -> None:
    """Catches a rest that stays where it was drawn."""
    before, after = scene(100), scene(112)
    rest = np.zeros((3, HEIGHT, WIDTH), np.float32)
    rest[0, 60:84, 112:136] = 0.4
    made = EditField(
        np.zeros((12, HEIGHT // 4, WIDTH // 4), np.float32),
        rest,
        cv2.cvtColor(before, cv2.COLOR_RGB2GRAY),
        0,
        0.0,
        1,
    )
    carried = Carrier().carry(made, after)
    assert carried.rest is not None
    columns = carried.rest[0].sum(axis=0)
    assert np.average(np.arange(WIDTH), weights=columns) == pytest.approx(123.5 + 12, abs=1.5)


@pytest.mark.parametrize("size", [(720, 1280), (361, 643), (16, 16)], ids=str)
@pytest.mark.parametrize("has_rest", [False, True])
def test_the_compiled_loop_agrees_with_the_formula(size: tuple[int, int], has_rest: bool) -> None:
    """Catches a lost plane, a shift, an overflow; only the rounding of float32 may differ."""
    rng = np.random.default_rng(3)
    cells = rng.normal(0, 0.3, (12, 36, 64)).astype(np.float32)
    rest = rng.normal(0, 0.3, (3, HEIGHT, WIDTH)).astype(np.float32) if has_rest else None
    made = EditField(cells, rest, np.zeros((HEIGHT, WIDTH), np.uint8), 0, 0.0, 1)
    picture = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    apart = np.abs(put_on(picture, made).astype(int) - put_on_exact(picture, made))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_a_picture_may_take_its_own_edit() -> None:
    """Catches a loop that reads what it has just written."""
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 255, (90, 160, 3), dtype=np.uint8)
    cells = rng.normal(0, 0.3, (12, 9, 16)).astype(np.float32)
    rest = rng.normal(0, 0.1, (3, 36, 64)).astype(np.float32)
    field = EditField(cells, rest, picture[..., 0], 0, 0.0, 1)
    expected = put_on(picture, field)
    assert put_on(picture, field, picture) is picture
    np.testing.assert_array_equal(picture, expected)


def test_a_zero_field_gives_the_cameras_own_pixels() -> None:
    """Catches rounding where nothing is edited, in a picture that may not be written to."""
    picture = scene()
    picture.flags.writeable = False
    made = field(picture, np.zeros((HEIGHT, WIDTH), bool))
    out = put_on(picture, made)
    assert np.array_equal(out, picture)
    assert out is not picture


def test_a_part_of_a_larger_picture_can_be_edited() -> None:
    """Catches a kernel that takes a view's rows for adjacent."""
    large = np.random.default_rng(0).integers(0, 256, (300, 500, 3), dtype=np.uint8)
    view = large[40:240, 60:420]
    made = field(scene(), hand_mask(100))
    assert np.array_equal(put_on(view, made), put_on(view.copy(), made))


def test_another_scene_is_a_cut_and_motion_is_none() -> None:
    """Catches a field of the last scene on the next, and a hand that is taken for a cut."""
    cuts = CutDetector()
    others = [scene(100 + 4 * n) for n in range(10)]
    assert not any(cuts.is_cut(one, n / 30) for n, one in enumerate(others))
    assert cuts.is_cut(scene(100, seed=5)[::-1].copy(), 0.4)
    brighter = np.clip(scene(100, seed=5)[::-1].astype(int) + 40, 0, 255).astype(np.uint8)
    assert not cuts.is_cut(brighter, 2.0)


def test_a_flashing_source_does_not_cut_all_the_time() -> None:
    """Catches a picture that stands still because every frame starts a scene."""
    cuts = CutDetector()
    pictures = [scene(seed=n)[:: 1 - 2 * (n % 2)].copy() for n in range(30)]
    found = [cuts.is_cut(one, n / 30) for n, one in enumerate(pictures)]
    assert sum(found) == 1
