"""Tokens gone astray are mended, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.model.matte import clear

HEIGHT, WIDTH = 144, 256
NIGHT = torch.tensor(((0.15, 0.10, 0.02), (0.065, 0.24, 0.025), (0.11, 0.22, 0.26)))


@pytest.fixture
def scene() -> Tensor:
    """A bright wall with dark things before it, (1, 3, h, w)."""
    drawn = torch.Generator().manual_seed(2)
    things = F.interpolate(torch.rand(1, 3, 9, 16, generator=drawn), (HEIGHT, WIDTH)) * 0.8
    grain = torch.randn(1, 3, HEIGHT, WIDTH, generator=drawn) * 0.01
    return (0.2 + things + grain).clamp(0, 1)


def night(before: Tensor) -> Tensor:
    return torch.einsum("cd,tdhw->tchw", NIGHT, before)


@pytest.mark.parametrize("wrong", [0.0, 0.9, None], ids=["black", "bright", "unedited"])
def test_a_token_that_is_wrong_takes_what_the_rest_became(
    scene: Tensor, wrong: float | None
) -> None:
    """Catches a block on a face, and pixels far from it that change."""
    exact = night(scene)
    after = exact.clone()
    block = (0, slice(None), slice(48, 64), slice(96, 112))
    after[block] = scene[block] if wrong is None else wrong
    made, _ = clear(scene, after)
    before_error = (after - exact)[block].square().mean()
    assert float((made - exact)[block].square().mean()) < 0.05 * float(before_error)
    far = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    far[24:88, 72:136] = False
    assert torch.equal(made[..., far], after[..., far])


def test_the_face_that_is_spared_is_no_fault(scene: Tensor) -> None:
    """Catches "everything except my face" that paints the face: to the picture it is a token."""
    after = night(scene)
    block = (0, slice(None), slice(48, 66), slice(96, 114))
    after[block] = scene[block]
    spared, _ = clear(scene, after, spares=True)
    assert float((spared - scene)[block].abs().mean()) < 1 / 255
    assert float((spared - after).abs().mean()) < 1 / 255
    painted, _ = clear(scene, after)
    assert float((painted - scene)[block].abs().mean()) > 50 / 255


def lamp(before: Tensor) -> Tensor:
    side = torch.linspace(0.7, 1.2, WIDTH)
    return (night(before) * side).clamp(0, 1)


def vignette(before: Tensor) -> Tensor:
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, HEIGHT), torch.linspace(-1, 1, WIDTH), indexing="ij"
    )
    return night(before) * (1.1 - 0.6 * (x.square() + y.square()))


def one_window_lit(before: Tensor) -> Tensor:
    """A part of the picture that is new, far larger than a token."""
    after = night(before)
    after[..., 16:96, 32:160] = torch.tensor((1.0, 0.85, 0.4)).view(3, 1, 1)
    return after


@pytest.mark.parametrize("edit", [night, lamp, vignette, one_window_lit, lambda before: before])
def test_what_is_meant_stays_bit_for_bit(scene: Tensor, edit: Callable[[Tensor], Tensor]) -> None:
    """Catches lamps, vignettes and new content taken for faults."""
    after = edit(scene)
    assert torch.equal(clear(scene, after)[0], after)
