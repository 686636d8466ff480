"""Parts on what is asked of the network: how many denoising steps, how many tokens."""

from __future__ import annotations

from dataclasses import replace

from liveedit_cam.lab.ablations.cache import no_cache
from liveedit_cam.lab.ablations.cases import LOCAL, WHOLE
from liveedit_cam.lab.ablations.records import VariantRow
from liveedit_cam.lab.ablations.rig import Setup, Variant, compare
from liveedit_cam.model import ModelConfig

SCALES = (1.0, 1.5, 2.0)
"""Sides of the edited picture against the model's own; tokens grow by the square."""


def steps_part(setup: Setup) -> tuple[VariantRow, ...]:
    """What do fewer steps cost? The base takes all; the others leave out the last ones."""
    config = setup.networks.config
    total = len(config.timesteps)
    variants = [
        Variant(f"{count} of {total} steps", replace(config, timesteps=config.timesteps[:count]))
        for count in range(total, 0, -1)
    ]
    cases = setup.cases((LOCAL, WHOLE))
    return compare(setup.networks, variants, cases, setup.steps)


def size_part(setup: Setup) -> tuple[VariantRow, ...]:
    """Does the mask cache save more where there are more tokens? Each size has its own base."""
    cases = setup.cases((LOCAL,))
    rows: list[VariantRow] = []
    for config in sizes(setup.networks.config):
        name = f"{config.width}x{config.height}"
        variants = (
            replace(no_cache(config), name=f"{name}, no cache"),
            Variant(f"{name}, self-attention", replace(config, mask_target="self_attention")),
            Variant(f"{name}, whole network", replace(config, mask_target="network")),
        )
        rows += compare(setup.networks, variants, cases, setup.steps)
    return tuple(rows)


def sizes(config: ModelConfig) -> tuple[ModelConfig, ...]:
    """``config`` at every scale, in whole tokens."""

    def whole(side: int, scale: float) -> int:
        return round(side * scale / config.token_px) * config.token_px

    return tuple(
        replace(config, height=whole(config.height, scale), width=whole(config.width, scale))
        for scale in SCALES
    )
