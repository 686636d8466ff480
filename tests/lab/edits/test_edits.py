"""Exact edits: their formulas by spot values, where they act, and where they must not."""

from __future__ import annotations

import pytest
import torch

from liveedit_cam.lab.edits.apply import apply_edit, scope_mask
from liveedit_cam.lab.edits.colours import (
    HUES,
    NAMES,
    NEUTRALS,
    colour_membership,
    hue_colour,
)
from liveedit_cam.lab.edits.looks import recolour
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope, Side

TEAL = (0.2, 0.4, 0.8)
ALL_SPECS = [
    EditSpec(family, scope, TEAL, "red", (0.9, 0.5, 0.1), Side.LEFT)
    for family in Family
    for scope in Scope
]


def flat(red: float, green: float, blue: float) -> torch.Tensor:
    """One frame of 2 x 3 pixels of one colour."""
    return torch.tensor([red, green, blue], dtype=torch.float32).expand(1, 2, 3, 3)


def picture() -> torch.Tensor:
    """Two random frames of 12 x 16 pixels, saturated enough to hold every hue."""
    return torch.rand(2, 12, 16, 3, generator=torch.Generator().manual_seed(0))


def left_half() -> torch.Tensor:
    """A subject that is all of the left half, none of the right, and half on a column between."""
    subject = torch.zeros(2, 12, 16)
    subject[:, :, :8] = 1
    subject[:, :, 8] = 0.5
    return subject


@pytest.mark.parametrize(
    ("family", "of_red", "of_grey"),
    [
        (Family.BLACK_AND_WHITE, (0.299, 0.299, 0.299), (0.5, 0.5, 0.5)),
        (Family.SEPIA, (0.393, 0.349, 0.272), (0.6755, 0.6015, 0.4685)),
        (Family.INVERT, (0.0, 1.0, 1.0), (0.5, 0.5, 0.5)),
        (Family.NIGHT, (0.150, 0.075, 0.160), (0.135, 0.175, 0.345)),
        (Family.WARM, (1.0, 0.0, 0.0), (0.575, 0.5, 0.37)),
        (Family.COLD, (0.76, 0.0, 0.04), (0.38, 0.485, 0.585)),
        (Family.LAVENDER, (0.78, 0.13, 0.31), (0.53, 0.415, 0.635)),
        (Family.GOLDEN, (0.81, 0.17, 0.05), (0.61, 0.455, 0.275)),
        (Family.RECOLOUR, (0.190747, 0.181494, 0.362988), (0.1715, 0.293, 0.536)),
    ],
)  # fmt: skip
def test_spot_values(family: Family, of_red: tuple[float, ...], of_grey: tuple[float, ...]) -> None:
    """Catches a transposed or mistyped table: pure red shows its first column, grey its row sums.

    Recolouring: a tenth of the source and 0.9 paint x (0.25 + 0.85 luma).
    """
    spec = EditSpec(family, colour=TEAL)
    for given, expected in ((flat(1, 0, 0), of_red), (flat(0.5, 0.5, 0.5), of_grey)):
        target, mask = apply_edit(given, torch.zeros(1, 2, 3), spec)
        assert target[0, 1, 2].tolist() == pytest.approx(expected, abs=1e-5)
        assert float(mask.min()) == 1.0


def test_identity_changes_nothing() -> None:
    """Catches an identity with a mask, or one that hands out the source itself to be changed."""
    source = picture()
    target, mask = apply_edit(source, left_half(), EditSpec(Family.IDENTITY))
    assert torch.equal(target, source)
    assert target.data_ptr() != source.data_ptr()
    assert float(mask.abs().max()) == 0.0


@pytest.mark.parametrize("spec", ALL_SPECS, ids=lambda s: f"{s.family}:{s.scope}")
def test_pixels_outside_the_mask_are_untouched(spec: EditSpec) -> None:
    """Catches an edit that leaks: mask 0 is the source, bit for bit; results stay pictures."""
    source = picture()
    target, mask = apply_edit(source, left_half(), spec)
    assert target.shape == source.shape
    assert mask.shape == source.shape[:3]
    assert torch.equal(target[mask == 0], source[mask == 0])
    assert (float(target.min()) >= 0, float(target.max()) <= 1) == (True, True)
    if spec.family is not Family.IDENTITY:
        assert (target - source).abs().max() > 0.05


def test_scopes_are_subject_and_the_rest() -> None:
    """Catches a swapped scope, and a soft border that is thresholded."""
    subject = left_half()
    masks = {
        scope: apply_edit(picture(), subject, EditSpec(Family.INVERT, scope))[1] for scope in Scope
    }
    assert torch.equal(masks[Scope.SUBJECT], subject)
    assert torch.equal(masks[Scope.BACKGROUND], 1 - subject)
    assert float(masks[Scope.WHOLE].min()) == 1.0
    assert float(masks[Scope.SUBJECT][0, 0, 8]) == 0.5


def test_a_soft_mask_blends() -> None:
    """Catches a hard border: half a mask is half the change."""
    source, subject = picture(), left_half()
    target, _ = apply_edit(source, subject, EditSpec(Family.INVERT, Scope.SUBJECT))
    assert torch.allclose(target[:, :, 8], torch.full((2, 12, 3), 0.5), atol=1e-6)
    assert torch.allclose(target[:, :, :8], 1 - source[:, :, :8], atol=1e-6)


@pytest.mark.parametrize("name", HUES)
def test_a_colour_belongs_to_its_own_name_alone(name: str) -> None:
    """Catches a hue that wraps wrongly at red, and grey or dark pixels taken for a colour."""
    for other, hue in HUES.items():
        red, green, blue = hue_colour(hue, 0.8, 0.8)
        share = colour_membership(flat(red, green, blue), name)
        expected = 1.0 if other == name else 0.0
        if other == name or abs((hue - HUES[name] + 0.5) % 1 - 0.5) * 360 > 26:
            assert float(share[0, 0, 0]) == pytest.approx(expected, abs=1e-3), other
    for colour in (
        (0.5, 0.5, 0.5),
        (0.0, 0.0, 0.0),
        (1.0, 1.0, 1.0),
        hue_colour(HUES[name], 1, 0.1),
    ):
        assert float(colour_membership(flat(*colour), name).max()) == 0.0


def test_membership_is_continuous_across_red() -> None:
    """Catches a jump between hue 359 and 1 degrees, and a hard border in hue."""
    degrees = torch.arange(-40.0, 41.0)
    colours = torch.tensor([hue_colour(float(d % 360) / 360, 0.8, 0.8) for d in degrees])
    share = colour_membership(colours.view(1, 1, -1, 3), "red")[0, 0]
    assert torch.allclose(share, share.flip(0), atol=1e-3)
    assert float(share.diff().abs().max()) < 0.15
    assert bool((share[degrees.abs() < 13] > 0.99).all())
    assert bool((share[degrees.abs() > 27] < 0.01).all())


def test_replaced_colour_acts_on_that_colour_only() -> None:
    """Catches "red to blue" that paints everything."""
    source = torch.cat((flat(0.8, 0.1, 0.1), flat(0.1, 0.7, 0.2)))
    spec = EditSpec(Family.REPLACE_COLOUR, colour=TEAL, from_colour="red")
    target, mask = apply_edit(source, torch.zeros(2, 2, 3), spec)
    assert mask[:, 0, 0].tolist() == pytest.approx([1.0, 0.0], abs=1e-4)
    assert torch.allclose(target[0], recolour(source[0], TEAL), atol=1e-4)
    assert torch.equal(target[1], source[1])


def test_blur_takes_colour_from_inside_the_mask_only() -> None:
    """Catches a subject that bleeds into its blurred background: a white subject stays out of it.

    Only the soft column carries a little of both, and a share of 1e-4 of every pixel.
    """
    source = torch.full((2, 40, 60, 3), 0.2)
    subject = torch.zeros(2, 40, 60)
    subject[:, 10:30, 20:40] = 1
    source[subject == 1] = 1.0
    target, _ = apply_edit(source, subject, EditSpec(Family.BLUR, Scope.BACKGROUND))
    assert (target[subject == 0] - 0.2).abs().max() < 0.01
    assert torch.equal(target[subject == 1], source[subject == 1])


def test_blur_blurs_by_four_percent_of_the_short_side() -> None:
    """Catches a blur of fixed pixels: one bright column spreads with sigma 0.04 x 50 = 2.

    The kernel ends at 2.5 sigma, which narrows the spread to 1.90; a tenth is allowed.
    """
    source = torch.zeros(1, 50, 81, 3)
    source[:, :, 40] = 1.0
    target, _ = apply_edit(source, torch.zeros(1, 50, 81), EditSpec(Family.BLUR))
    line = target[0, 25, :, 0].double()
    offsets = torch.arange(-40, 41, dtype=torch.float64)
    assert float(line.sum()) == pytest.approx(1.0, abs=1e-4)
    assert float((line * offsets**2).sum().sqrt()) == pytest.approx(1.9, abs=0.1)


def test_neutral_colours_are_told_apart() -> None:
    """Catches a white wall taken for grey, and a brown coat for black or orange skin."""
    samples = {
        "brown": (0.36, 0.22, 0.12),
        "white": (0.92, 0.93, 0.95),
        "grey": (0.5, 0.52, 0.5),
        "black": (0.05, 0.06, 0.07),
    }
    assert set(samples) == set(NEUTRALS)
    for name in NEUTRALS:
        for other, colour in samples.items():
            share = float(colour_membership(flat(*colour), name)[0, 0, 0])
            assert share == pytest.approx(1.0 if other == name else 0.0, abs=0.01), (name, other)
    with pytest.raises(AssertionError, match="beige"):
        colour_membership(flat(0, 0, 0), "beige")
    assert (*HUES, *NEUTRALS) == NAMES


def test_regions_are_where_they_say() -> None:
    """Catches swapped axes: each region's own quarter points, and halves that cover the picture."""
    nothing = torch.zeros(1, 40, 60)
    inside = {
        Scope.LEFT: (20, 10),
        Scope.RIGHT: (20, 50),
        Scope.TOP: (8, 30),
        Scope.BOTTOM: (32, 30),
        Scope.CENTRE: (20, 30),
    }
    for scope, (row, column) in inside.items():
        mask = scope_mask(nothing, scope)[0]
        assert float(mask[row, column]) == 1.0, scope
        assert float(mask[39 - row, 59 - column]) == (1.0 if scope is Scope.CENTRE else 0.0), scope
    both = scope_mask(nothing, Scope.LEFT) + scope_mask(nothing, Scope.RIGHT)
    assert torch.allclose(both, torch.ones_like(both))


def test_strength_scales_the_change() -> None:
    """Catches a strength that is ignored; beyond 1 the change goes on, within the picture."""
    source = flat(0.4, 0.5, 0.6)
    changes = [
        apply_edit(source, torch.zeros(1, 2, 3), EditSpec(Family.WARM, strength=s))[0] - source
        for s in (0.5, 1.0, 1.4)
    ]
    assert torch.allclose(2 * changes[0], changes[1], atol=1e-6)
    assert torch.allclose(changes[2], 1.4 * changes[1], atol=1e-6)


def test_a_second_edit_acts_on_the_first() -> None:
    """Catches a second edit that forgets the first, or a mask of only one of them."""
    source, subject = picture(), left_half()
    behind = EditSpec(Family.RECOLOUR, Scope.BACKGROUND, TEAL)
    both = EditSpec(Family.INVERT, Scope.SUBJECT, then=behind)
    target, mask = apply_edit(source, subject, both)
    assert torch.allclose(target[:, :, :8], 1 - source[:, :, :8], atol=1e-6)
    assert torch.allclose(target[:, :, 9:], recolour(source, TEAL)[:, :, 9:], atol=1e-6)
    assert float(mask[:, :, :8].min()) == 1.0
    assert float(mask[:, :, 9:].min()) == 1.0


def test_looks_are_the_same_at_every_size() -> None:
    """Catches lengths in pixels: twice the size must give the same look, seen small."""
    small = torch.rand(1, 9, 16, 3, generator=torch.Generator().manual_seed(1))
    small = small.repeat_interleave(16, dim=1).repeat_interleave(16, dim=2)
    large = small.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    for family in (Family.SKETCH, Family.CARTOON, Family.PIXEL_ART, Family.SPOTLIGHT, Family.FOG):
        spec = EditSpec(family)
        one = apply_edit(small, torch.zeros(small.shape[:3]), spec)[0]
        two = apply_edit(large, torch.zeros(large.shape[:3]), spec)[0]
        shrunk = torch.nn.functional.avg_pool2d(two.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        assert float((one - shrunk).abs().mean()) < 0.02, family


def test_lights_come_from_their_side() -> None:
    """Catches a light on the wrong side: the near side shows more of its colour."""
    source = torch.full((1, 20, 30, 3), 0.5)
    near = {Side.LEFT: (10, 0), Side.RIGHT: (10, 29), Side.ABOVE: (0, 15)}
    far = {Side.LEFT: (10, 29), Side.RIGHT: (10, 0), Side.ABOVE: (19, 15)}
    for side in Side:
        spec = EditSpec(Family.LIGHT, colour=(1.0, 0.2, 0.1), side=side)
        red = apply_edit(source, torch.zeros(1, 20, 30), spec)[0][0, :, :, 0]
        assert float(red[near[side]]) > 2 * float(red[far[side]]), side
