"""Rotary positions, attention and the teacher-forcing mask, each against a slow reference."""

from __future__ import annotations

import cmath

import pytest
import torch

from liveedit_cam.model.attention import (
    MaskedAttend,
    attend,
    rotate,
    rotation_table,
    teacher_forcing_mask,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def turned_by_hand(
    x: torch.Tensor, positions: list[int], grid: tuple[int, int]
) -> list[list[complex]]:
    """Rotated channel pairs of one head, (N, D) in, with plain complex numbers in float64."""
    dim = x.shape[1]
    side = 2 * (dim // 6)
    turned = []
    places = [(t, r, c) for t in positions for r in range(grid[0]) for c in range(grid[1])]
    for token, place in enumerate(places):
        factors = [
            cmath.exp(1j * position * 10000 ** (-2 * pair / axis))
            for position, axis in zip(place, (dim - 2 * side, side, side), strict=True)
            for pair in range(axis // 2)
        ]
        row = x[token].tolist()
        pairs = [complex(row[2 * i], row[2 * i + 1]) for i in range(dim // 2)]
        turned.append([pair * factor for pair, factor in zip(pairs, factors, strict=True)])
    return turned


@pytest.mark.parametrize("head_dim", [24, 32, 128])
def test_rotation_is_wans(head_dim: int) -> None:
    """Catches swapped axes, halves instead of adjacent pairs and a wrong split such as 44/42/42.

    Tables and products are float32 on numbers of about 3: 2e-6 is a few roundings.
    """
    grid, positions = (2, 3), [0, 4, 11]
    x = draw(18, head_dim)
    got = rotate(x.view(1, 18, 1, head_dim), rotation_table(positions, grid, head_dim))[0, :, 0]
    expected = torch.tensor(turned_by_hand(x.double(), positions, grid))
    assert torch.allclose(torch.view_as_complex(got.unflatten(1, (-1, 2))).to(expected), expected,
                          rtol=0, atol=2e-6)  # fmt: skip


def scores(q: torch.Tensor, k: torch.Tensor, positions: list[int]) -> torch.Tensor:
    """Products of every rotated query with every rotated key, (H, N, N)."""
    rotation = rotation_table(positions, (2, 2), q.shape[-1])
    return torch.einsum("bnhd,bmhd->hnm", rotate(q, rotation), rotate(k, rotation))


def test_only_differences_of_positions_matter() -> None:
    """Catches absolute positions in the window: 0..2 must score as 1000..1002.

    Scores are sums of 24 float32 products of order 1, so 1e-5 is rounding.
    """
    q, k = draw(1, 12, 2, 24), draw(1, 12, 2, 24, seed=1)
    near = scores(q, k, [0, 1, 2])
    assert torch.allclose(near, scores(q, k, [1000, 1001, 1002]), rtol=0, atol=1e-5)
    assert (near - scores(q, k, [0, 1, 3])).abs().max() > 0.1


def test_select_takes_the_rotation_of_its_tokens() -> None:
    """Catches a mask cache that turns kept tokens by the angles of their packed places."""
    x = draw(1, 8, 2, 24)
    rotation = rotation_table([0, 1], (2, 2), 24)
    tokens = torch.tensor([1, 4, 6])
    part = rotate(x[:, tokens], rotation[tokens])
    assert torch.equal(part, rotate(x, rotation)[:, tokens])


def test_attend_is_softmax_over_visible_keys() -> None:
    """Catches a missing 1/sqrt(D) and a mask of the wrong sense; float64, so 1e-12 is rounding."""
    q, k, v = (draw(2, 5, 3, 8, seed=s).double() for s in range(3))
    mask = torch.tensor([[True, True, False, True, False]]).expand(5, 5)
    for visible in (None, mask):
        weights = torch.einsum("bnhd,bmhd->bhnm", q, k) / 8**0.5
        if visible is not None:
            weights = weights.masked_fill(~visible, -torch.inf)
        expected = torch.einsum("bhnm,bmhd->bnhd", weights.softmax(-1), v)
        assert torch.allclose(attend(q, k, v, visible), expected, rtol=0, atol=1e-12)


def test_masked_attend_turns_queries_and_keys_but_not_values() -> None:
    """Catches rotated values, and positions that reach only one side."""
    q, k, v = (draw(1, 8, 2, 24, seed=s) for s in range(3))
    rotation = rotation_table([0, 5], (2, 2), 24)
    got = MaskedAttend(rotation, None)(0, q, k, v, None)
    assert torch.equal(got, attend(rotate(q, rotation), rotate(k, rotation), v))
    assert not torch.allclose(got, attend(q, k, v), atol=1e-3)


TABLE = """
clean 0  1 0 0  0 0 0
clean 1  1 1 0  0 0 0
clean 2  1 1 1  0 0 0
noisy 0  0 0 0  1 0 0
noisy 1  1 0 0  0 1 0
noisy 2  1 1 0  0 0 1
"""
NARROW = """
clean 0  1 0 0  0 0 0
clean 1  1 1 0  0 0 0
clean 2  0 1 1  0 0 0
noisy 0  0 0 0  1 0 0
noisy 1  1 0 0  0 1 0
noisy 2  0 1 0  0 0 1
"""


@pytest.mark.parametrize(("drawn", "window"), [(TABLE, None), (TABLE, 3), (NARROW, 2)])
def test_teacher_forcing_mask_by_hand(drawn: str, window: int | None) -> None:
    """Catches a noisy chunk that sees its own clean twin (the answer), and an off-by-one window."""
    rows = [[int(cell) for cell in line.split()[2:]] for line in drawn.strip().splitlines()]
    expected = torch.tensor(rows, dtype=torch.bool)
    assert torch.equal(teacher_forcing_mask(3, 1, window), expected)
    wide = expected.repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(teacher_forcing_mask(3, 4, window), wide)
