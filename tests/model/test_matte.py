"""Mattes made clear: doubt at a border takes a side, everything else stays bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.compositing.affine import put_on
from liveedit_cam.model.field import bind, fit
from liveedit_cam.model.matte import clear
from liveedit_cam.types import ModelFrame

HEIGHT, WIDTH = 144, 256


DISC = (0.25, 0.35, 0.50)


def drawn(
    scale: int = 1, colour: tuple[float, float, float] = DISC, grain: float = 0.08
) -> tuple[Tensor, Tensor]:
    """A textured disc before a textured wall, (1, 3, h, w), and its mask (1, 1, h, w)."""
    rng = torch.Generator().manual_seed(3)
    height, width = scale * HEIGHT, scale * WIDTH
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    mask = ((y - 80 * scale) ** 2 + (x - 120 * scale) ** 2 < (45 * scale) ** 2).float()[None, None]
    wall = torch.tensor((0.75, 0.72, 0.68)).view(1, 3, 1, 1)
    disc = torch.tensor(colour).view(1, 3, 1, 1)
    noise = F.avg_pool2d(torch.randn(1, 3, height, width, generator=rng), 5, 1, 2) * grain
    return ((1 - mask) * wall + mask * disc + noise).clamp(0, 1), mask


@pytest.fixture
def scene() -> tuple[Tensor, Tensor]:
    return drawn()


def painted(before: Tensor, alpha: Tensor) -> Tensor:
    """An edit of one colour transform, as much of it as ``alpha`` says."""
    luma = before.mean(1, keepdim=True)
    full = torch.tensor((0.9, 0.15, 0.1)).view(1, 3, 1, 1) * (0.4 + 0.6 * luma)
    return torch.lerp(before, full, alpha)


def blurred(mask: Tensor, px: int) -> Tensor:
    """As a token-sized network sees it."""
    for _ in range(2):
        mask = F.avg_pool2d(F.pad(mask, (px,) * 4, mode="replicate"), 2 * px + 1, 1)
    return mask


def test_a_blurred_border_comes_back_to_that_of_the_picture(scene: tuple[Tensor, Tensor]) -> None:
    """Catches halos: doubt round a thing that differs from its wall in colour."""
    before, mask = scene
    exact, coarse = painted(before, mask), painted(before, blurred(mask, 5))
    error = (coarse - exact).square().mean()
    left = (clear(before, coarse)[0] - exact).square().mean()
    assert left < 0.25 * error


def test_a_matte_leaves_no_fringe_on_a_larger_picture() -> None:
    """Catches the coarseness of a matte laid over the picture as if it were new content."""
    large, large_mask = drawn(4)
    before, mask = (F.avg_pool2d(x, 4) for x in (large, large_mask))
    by_token = F.interpolate(F.avg_pool2d(mask, 16), scale_factor=16, mode="bilinear")
    after, plain = clear(before, painted(before, by_token))
    assert float(plain) > 0.9
    band = (blurred(large_mask, 12) - 0.5).abs()[0, 0].numpy() < 0.45
    exact = painted(large, large_mask)[0].permute(1, 2, 0).numpy()
    picture = (255 * large[0].permute(1, 2, 0)).round().byte().numpy()
    small = (255 * before[0].permute(1, 2, 0)).round().byte().numpy()

    def error(share: Tensor | None) -> float:
        change = fit(before, after, plain=share)
        (field,) = bind(change, [ModelFrame(small, 0, 0.0)], 0)
        return float(np.square(put_on(picture, field) / 255 - exact)[band].mean())

    assert error(plain) < 0.75 * error(None)
    assert fit(before, after, plain=torch.zeros(1)).rest is not None


def test_where_colours_do_not_tell_a_border_the_matte_does() -> None:
    """Catches a halo where a pale shirt meets a pale curtain: what the field cannot explain there
    is the border itself.
    """
    before, mask = drawn(1, (0.80, 0.78, 0.74), 0.5)
    after = painted(before, mask)
    sure = fit(before, after, plain=torch.ones(1)).rest
    plain = fit(before, after).rest
    assert plain is not None
    assert sure is not None
    border = (blurred(mask, 6)[0, 0].numpy() - 0.5) ** 2 < 0.16
    kept = np.abs(sure)[..., border].mean() / np.abs(plain)[..., border].mean()
    assert kept > 0.8


def test_what_is_right_already_stays_right(scene: tuple[Tensor, Tensor]) -> None:
    """Catches borders that are moved for no reason."""
    before, mask = scene
    exact = painted(before, mask)
    assert (clear(before, exact)[0] - exact).abs().mean() < 0.5 / 255


def unchanged(before: Tensor, mask: Tensor) -> Tensor:
    return before


def whole(before: Tensor, mask: Tensor) -> Tensor:
    return painted(before, torch.full_like(mask, 0.6))


def lamp(before: Tensor, mask: Tensor) -> Tensor:
    return painted(before, torch.linspace(0, 1, WIDTH).expand_as(mask))


def content(before: Tensor, mask: Tensor) -> Tensor:
    rng = torch.Generator().manual_seed(5)
    blocks = torch.rand(1, 3, HEIGHT // 8, WIDTH // 8, generator=rng)
    drawn = F.interpolate(blocks, scale_factor=8)
    return torch.lerp(before, drawn, blurred(mask, 5))


@pytest.mark.parametrize("edit", [unchanged, whole, lamp, content])
def test_what_is_no_transform_times_a_matte_stays_bit_for_bit(
    scene: tuple[Tensor, Tensor], edit: Callable[[Tensor, Tensor], Tensor]
) -> None:
    """Catches a lamp with a hard border, a whole picture with holes, new things cut out."""
    before, mask = scene
    after = edit(before, mask)
    made, plain = clear(before, after)
    assert torch.equal(made, after)
    assert float(plain.max()) == 0


def test_each_frame_is_by_itself(scene: tuple[Tensor, Tensor]) -> None:
    """Catches one frame's transform taken for all."""
    before, mask = scene
    twice = torch.cat((before, before.flip(3)))
    after = torch.cat((painted(before, blurred(mask, 5)), whole(before, mask).flip(3)))
    made, _ = clear(twice, after)
    assert torch.equal(made[1], after[1])
    torch.testing.assert_close(made[:1], clear(before, after[:1])[0])


def test_what_is_not_finite_is_still_not_finite(scene: tuple[Tensor, Tensor]) -> None:
    """Catches a NaN that becomes "nothing changed": ``fit`` must see and refuse it."""
    before, mask = scene
    after = painted(before, mask)
    after[0, 0, 5, 5] = torch.nan
    assert not clear(before, after)[0].isfinite().all()


def test_a_pale_shirt_before_a_folded_curtain_gets_no_seam_of_another_colour() -> None:
    """Catches a change that goes up where the edit only takes away: cyan folds beside a red shirt.

    At the border slopes are steep, since a light fold is as pale as the shirt; a dark fold right
    beside it then lies far beyond what was fitted.
    """
    height, width = 4 * HEIGHT, 4 * WIDTH
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    folds = 0.62 + 0.2 * torch.sin(x / 11) + 0.05 * torch.sin(y / 3)
    mask = (y > 0.4 * height + 0.25 * (x - width / 2).abs()).float()
    grey = torch.where(mask > 0, 0.9, folds)
    large = grey.expand(1, 3, -1, -1).contiguous()
    before, small_mask = F.avg_pool2d(large, 4), F.avg_pool2d(mask[None, None], 4)
    after = before + small_mask * torch.tensor([0.0, -0.7, -0.7]).view(1, 3, 1, 1)
    picture = (255 * large[0].permute(1, 2, 0)).round().byte().numpy()
    small = (255 * before[0].permute(1, 2, 0)).round().byte().numpy()
    change = fit(before, after, plain=torch.ones(1))
    (field,) = bind(change, [ModelFrame(small, 0, 0.0)], 0)
    green = put_on(picture, field)[..., 1].astype(int) - picture[..., 1]
    assert green.max() <= 50  # 67 where slopes are kept
    assert green[mask.numpy() > 0].mean() < -150
