"""Muon in float32: momentum whose matrices are made orthogonal before the step (Jordan, 2024).

torch has a Muon too, but it orthogonalises in bfloat16, one matrix at a time: 20 s an iteration on
a processor without bfloat16 products. This one stacks matrices of one shape and stays in float32,
also inside a training in bfloat16: the products of ``orthogonalise`` square small singular values,
which 8 bits would lose.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, orthogonalised, scaled to the update size of AdamW."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
    ) -> None:
        """``momentum``: the update is as large however little gradients agree, so where one batch
        tells little, it should be the mean of many.
        """
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure here
        """Update every matrix from its gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                momenta = torch.stack([self._momentum(p) for p in parameters])
                with torch.autocast(momenta.device.type, enabled=False):  # see above
                    updates = orthogonalise(momenta)
                size = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"] * size)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        momentum: Tensor = state["momentum"].lerp_(parameter.grad, 1 - self.momentum)
        return torch.lerp(parameter.grad, momentum, self.momentum)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Move the singular values of ``matrices`` (B, M, N) towards 1 by Newton-Schulz iterations.

    Each is X <- (a + b G + c G^2) X with G = X X'. All these factors are polynomials of the first
    G, so they commute and are gathered in matrices of the short side; X itself is used twice.
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if is_tall else matrices
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7).view(-1, 1, 1)
    gram, eye = x @ x.transpose(1, 2), torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    gathered = None
    for step in range(steps):
        factor = torch.baddbmm(b * gram, gram, gram, alpha=c) + a * eye
        gathered = factor if gathered is None else factor @ gathered
        if step < steps - 1:
            gram = factor @ gram @ factor
    result: Tensor = gathered @ x
    return result.transpose(1, 2) if is_tall else result
