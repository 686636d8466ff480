"""Muon: orthogonal updates, one size for every shape, momentum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from liveedit_cam.lab.training.muon import NEWTON_SCHULZ, Muon, orthogonalise


def random_matrices(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(32, 32), (16, 48), (48, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    """Catches a wrong coefficient or too few steps: values from 0.02 to 2 end in 0.6 to 1.3."""
    u, _, v = torch.linalg.svd(random_matrices(3, *shape), full_matrices=False)
    spectrum = torch.logspace(-1.7, 0.3, min(shape))
    result = orthogonalise(u * spectrum @ v)
    assert result.shape == (3, *shape)
    values = torch.linalg.svdvals(result)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


def test_directions_are_kept() -> None:
    """Catches an update that turns: U S V' must become about U V', also for tall matrices."""
    for matrices in (random_matrices(2, 8, 24), random_matrices(2, 24, 8)):
        u, _, v = torch.linalg.svd(matrices, full_matrices=False)
        core = u.mT @ orthogonalise(matrices) @ v.mT
        off = core - torch.diag_embed(core.diagonal(dim1=1, dim2=2))
        assert off.abs().max() < 1e-4
        assert core.diagonal(dim1=1, dim2=2).min() > 0.6


def test_gathered_factors_are_the_iterations_one_by_one() -> None:
    """Catches a shorter way that ends elsewhere; the long way is the formula."""
    a, b, c = NEWTON_SCHULZ
    for shape in ((8, 8), (8, 32), (32, 8)):
        x = random_matrices(3, *shape).double()
        wanted = x.mT if shape[0] > shape[1] else x
        wanted = wanted / wanted.flatten(1).norm(dim=1).view(-1, 1, 1)
        for _ in range(5):
            gram = wanted @ wanted.mT
            wanted = a * wanted + (b * gram + c * gram @ gram) @ wanted
        found = orthogonalise(x)
        assert torch.allclose(found.mT if shape[0] > shape[1] else found, wanted, atol=1e-9)
        single = orthogonalise(x.float()).double()
        assert torch.allclose(single, found, atol=1e-4)


def test_momentum_is_the_mean_of_so_many_gradients() -> None:
    """Catches a momentum that is set and not used: a gradient's sign is outvoted by many before."""
    steps = {}
    for momentum in (0.5, 0.98):
        weight = nn.Parameter(torch.zeros(4, 4))
        optimiser = Muon([weight], lr=0.1, weight_decay=0.0, momentum=momentum)
        for gradient in (*[torch.eye(4)] * 20, -torch.eye(4), -torch.eye(4)):
            before = weight.detach().clone()
            weight.grad = gradient.clone()
            optimiser.step()
        steps[momentum] = float((weight.detach() - before).diagonal().mean())
    assert steps[0.5] > 0 > steps[0.98]


def test_stacked_matrices_do_not_mix() -> None:
    """Catches one norm for a whole stack: each matrix alone gives the same, to float32 rounding."""
    matrices = random_matrices(3, 8, 8) * torch.tensor([1.0, 100.0, 0.01]).view(3, 1, 1)
    alone = torch.cat([orthogonalise(m[None]) for m in matrices])
    assert torch.allclose(orthogonalise(matrices), alone, rtol=0, atol=1e-4)


def test_a_zero_gradient_stays_finite() -> None:
    """Catches a division by a norm of 0, which would fill the weights with NaN."""
    assert float(orthogonalise(torch.zeros(1, 4, 6)).abs().max()) == 0.0


def test_step_size_ignores_the_size_of_the_gradient() -> None:
    """Catches an update that scales with the gradient: rate x 0.2 x sqrt(longest side) x ortho."""
    moves = []
    for scale in (1e-3, 1e3):
        weight = nn.Parameter(torch.zeros(8, 32))
        weight.grad = scale * random_matrices(8, 32)
        Muon([weight], lr=0.1, weight_decay=0.0).step()
        moves.append(weight.detach())
    assert torch.allclose(moves[0], moves[1], rtol=0, atol=1e-5)
    expected = -0.1 * 0.2 * 32**0.5 * orthogonalise(random_matrices(1, 8, 32))[0]
    assert torch.allclose(moves[0], expected, rtol=0, atol=1e-5)


def test_weight_decay_shrinks_and_missing_gradients_are_left() -> None:
    """Catches decay applied to weights that take no part, and none where it should be."""
    moved, left = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    moved.grad = torch.zeros(4, 4)
    Muon([moved, left], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(moved.detach(), torch.full((4, 4), 0.95))
    assert torch.equal(left.detach(), torch.ones(4, 4))


def test_it_descends() -> None:
    """Catches a wrong sign: a least-squares problem must shrink by far."""
    target = random_matrices(8, 8)
    weight = nn.Parameter(torch.zeros(8, 8))
    optimiser = Muon([weight], lr=0.1, weight_decay=0.0)
    losses = []
    for _ in range(100):
        loss = (weight - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.05 * losses[0]
