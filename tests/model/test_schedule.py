"""The flow schedule: the table of Wan2.1, the sigmas a distilled model runs at, noising."""

from __future__ import annotations

import pytest
import torch

from liveedit_cam.model.schedule import FlowSchedule, add_noise, x0_from_flow

TIMESTEPS = (1000, 750, 500, 250)


def test_sigmas_are_those_of_the_nearest_table_entries() -> None:
    """Catches warping the timesteps a second time (0.9375 for 750) and sigmas not looked up.

    The numbers are known to four digits, hence 5e-5; the lookup differs from 0.5 and 0.25 by more.
    """
    schedule = FlowSchedule(TIMESTEPS, shift=5.0)
    assert schedule.sigmas == pytest.approx((1.0, 0.75, 0.5006, 0.2516), abs=5e-5)
    assert schedule.timesteps == TIMESTEPS


def test_the_table_ends_where_wan_ends() -> None:
    """Catches a table that runs to exactly 0 (one entry too many) or starts after 1."""
    table = FlowSchedule(TIMESTEPS, shift=5.0).table
    assert len(table) == 1000
    assert float(table[0]) == 1.0
    assert float(table[-1]) == pytest.approx(0.005 / 1.004, rel=1e-12)
    assert bool((table.diff() < 0).all())


def test_shift_one_leaves_the_table_linear() -> None:
    """Catches a shift formula that is right for 5 only."""
    schedule = FlowSchedule((1000, 400), shift=1.0)
    assert schedule.sigmas == pytest.approx((1.0, 0.4), abs=1e-12)


def test_every_timestep_finds_the_nearest_entry() -> None:
    """Catches a lookup that takes the next lower or higher entry instead of the nearest."""
    schedule = FlowSchedule(TIMESTEPS, shift=5.0)
    entries = [1000 * float(s) for s in schedule.table]
    for timestep in (999, 613.3, 250, 77, 5, 0):
        best = min(entries, key=lambda entry: abs(entry - timestep))
        assert 1000 * schedule.sigma(timestep) == pytest.approx(best, abs=1e-9)


def test_noise_ends_and_round_trip() -> None:
    """Catches a swapped weight or a flow of the wrong sign; float64, so 1e-12 is rounding."""
    drawn = torch.Generator().manual_seed(3)
    x0, noise = torch.randn(2, 2, 3, 4, 5, generator=drawn, dtype=torch.float64)
    assert torch.equal(add_noise(x0, noise, 0.0), x0)
    assert torch.equal(add_noise(x0, noise, 1.0), noise)
    for sigma in (0.2516, 0.75):
        noisy = add_noise(x0, noise, sigma)
        assert torch.allclose(x0_from_flow(noisy, noise - x0, sigma), x0, rtol=0, atol=1e-12)


def test_sigma_broadcasts_per_sample() -> None:
    """Catches one sigma used for a whole batch."""
    x0, noise = torch.zeros(2, 1, 3), torch.ones(2, 1, 3)
    noisy = add_noise(x0, noise, torch.tensor([0.25, 0.75]).view(2, 1, 1))
    assert noisy[0].unique().tolist() == [0.25]
    assert noisy[1].unique().tolist() == [0.75]


def test_drawn_sigmas_come_from_the_shifted_table() -> None:
    """Catches uniform sigmas (mean 0.5): shift 5 has mean 0.75; 4,000 draws stray by 0.01."""
    schedule = FlowSchedule(TIMESTEPS, shift=5.0)
    drawn = schedule.sample_sigmas(4000, torch.Generator().manual_seed(0))
    again = schedule.sample_sigmas(4000, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)
    assert drawn.dtype == torch.float32
    assert float(drawn.mean()) == pytest.approx(float(schedule.table.mean()), abs=0.015)
    assert float(schedule.table.mean()) == pytest.approx(0.75, abs=0.01)
    assert bool(torch.isin(drawn, schedule.table.float()).all())
