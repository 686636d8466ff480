"""Flow matching: sigmas, noising, and the meaning of a network output. Knows no network.

Conventions, written here once: sigma in [0, 1]; timestep = 1000 * sigma;
x_t = (1 - sigma) x0 + sigma noise; flow = noise - x0; x0 = x_t - sigma flow.
"""

from __future__ import annotations

import torch
from torch import Tensor

TABLE_STEPS = 1000


class FlowSchedule:
    """The shifted 1000-entry table of Wan2.1 and the few timesteps a distilled model runs at.

    sigma_i = shift s / (1 + (shift - 1) s) with s = 1 - i / 1000, i = 0..999. A timestep is looked
    up at its nearest entry, as the public inference code does: with shift 5 the list
    1000, 750, 500, 250 gives sigmas 1.0, 0.75, 0.5006, 0.2516. (Self-Forcing's training reads the
    list as places in the table instead: entry 750 is number 1000 - 750, sigma 0.9375.)
    """

    def __init__(self, timesteps: tuple[int, ...], shift: float) -> None:
        """Keep the table; ``timesteps`` descend from 1000, to 1 at least."""
        linear = 1.0 - torch.arange(TABLE_STEPS, dtype=torch.float64) / TABLE_STEPS
        self.table = shift * linear / (1.0 + (shift - 1.0) * linear)
        self.timesteps = timesteps
        """What the network is told, 0..1000, one per step."""
        self.shift = shift
        self.sigmas = tuple(self.sigma(t) for t in self.timesteps)

    def sigma(self, timestep: float) -> float:
        """Sigma of the table entry nearest to ``timestep`` (0..1000)."""
        nearest = (self.table * TABLE_STEPS - timestep).abs().argmin()
        return float(self.table[nearest])

    def sample_sigmas(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw ``count`` sigmas uniformly over the shifted table; float32, shape (count,)."""
        index = torch.randint(0, TABLE_STEPS, (count,), generator=generator)
        return self.table[index].float()


def add_noise(x0: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """Return x_t = (1 - sigma) x0 + sigma noise, any shape; ``sigma`` broadcasts against ``x0``."""
    return (1.0 - sigma) * x0 + sigma * noise


def x0_from_flow(x_t: Tensor, flow: Tensor, sigma: Tensor | float) -> Tensor:
    """Return x0 = x_t - sigma flow, all of one shape; ``sigma`` broadcasts."""
    return x_t - sigma * flow
