"""The released model's own numbers: its timesteps, raw and warped, and its absolute positions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny_model import CPU, TINY, draw_latents, tiny_dit, tiny_text_kv

from liveedit_cam.model import WAN_1_3B
from liveedit_cam.model.attention import attend, rotate, rotation_table
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.kv_cache import KVCache
from liveedit_cam.model.schedule import FlowSchedule

RAW = ((1000, 1000.0, 1.0), (750, 750.0, 0.75), (500, 500.6, 0.5006), (250, 251.597, 0.2516))
"""Official inference: what the network is told, the nearest entry of the table, its sigma."""

WINDOW = replace(
    TINY,
    prediction="flow",
    chunk_latents=WAN_1_3B.chunk_latents,
    window_latents=WAN_1_3B.window_latents,
    num_sink_latents=WAN_1_3B.num_sink_latents,
    height=32,
    width=48,
)
"""The released window on tiny weights: chunks of 3, 12 latents, 3 of them sinks."""


def test_the_released_timesteps_are_raw() -> None:
    """Catches a warped list by default; the numbers are known to 5 or 6 digits."""
    schedule = FlowSchedule(WAN_1_3B.timesteps, WAN_1_3B.shift)
    assert schedule.timesteps == tuple(told for told, _, _ in RAW)
    assert schedule.sigmas == pytest.approx([sigma for _, _, sigma in RAW], abs=5e-6)
    nearest = [1000 * sigma for sigma in schedule.sigmas]
    assert nearest == pytest.approx([entry for _, entry, _ in RAW], abs=5e-4)


class AbsoluteCache:
    """The official way: keys are stored turned by the latent's place in the whole stream."""

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid
        self.num_latents = 0
        self.kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self.current: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def make_room(self) -> None:
        """Drop the oldest latents after the sinks until the chunk fits the window."""
        n = self.grid[0] * self.grid[1]
        sinks, most = WINDOW.num_sink_latents * n, WINDOW.window_latents - WINDOW.chunk_latents
        for layer, pair in self.kept.items():
            excess = max(0, pair[0].shape[1] - most * n)
            k, v = (torch.cat((x[:, :sinks], x[:, sinks + excess :]), 1) for x in pair)
            self.kept[layer] = (k, v)

    def commit(self) -> None:
        self.num_latents += WINDOW.chunk_latents
        self.kept = {layer: self._with_kept(layer) for layer in self.current}

    def _with_kept(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        if layer not in self.kept:
            return self.current[layer]
        pairs = (self.kept[layer], self.current[layer])
        return torch.cat([k for k, _ in pairs], 1), torch.cat([v for _, v in pairs], 1)

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        tokens: torch.Tensor | None,
    ) -> torch.Tensor:
        positions = range(self.num_latents, self.num_latents + WINDOW.chunk_latents)
        turn = rotation_table(positions, self.grid, WINDOW.head_dim)
        self.current[layer] = (rotate(k, turn), v)
        return attend(rotate(q, turn), *self._with_kept(layer))


def outputs(dit: CausalDiT, cache: KVCache | AbsoluteCache, num_chunks: int) -> list[torch.Tensor]:
    """A noisy pass and a clean-context pass per chunk; the outputs of the noisy ones."""
    text, size, found = tiny_text_kv(dit), WINDOW.chunk_latents, []
    for chunk in range(num_chunks):
        noisy, source = (draw_latents(WINDOW, size, 2 * chunk + i).double() for i in (0, 1))
        cache.make_room()
        found.append(dit(noisy, source, torch.full((1, size), 750.0), text, cache))
        dit.write_context(noisy, source, text, cache)
        cache.commit()
    return found


def test_window_positions_are_absolute_ones_in_the_first_window() -> None:
    """Catches positions that differ from the released model's where both must agree.

    Attention sees differences of positions only, so 12 latents agree; then the window rolls, the
    sinks come nearer, and they must differ. In float64, but rotation and RMS norm round to
    float32 (6e-8 of numbers about 1).
    """
    dit = tiny_dit(WINDOW).double()
    grid = (WINDOW.height // WINDOW.token_px, WINDOW.width // WINDOW.token_px)
    relative = outputs(dit, KVCache(WINDOW, grid, CPU, torch.float64), 6)
    absolute = outputs(dit, AbsoluteCache(grid), 6)
    gaps = [float((a - b).abs().max()) for a, b in zip(relative, absolute, strict=True)]
    assert relative[0].abs().mean() > 0.1
    assert max(gaps[:4]) <= 2e-6
    assert min(gaps[4:]) > 1e-3
