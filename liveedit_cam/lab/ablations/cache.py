"""Parts on the mask cache: where it sits, why there, how much it keeps, by which rule."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from statistics import fmean

import torch.nn.functional as F
from torch import Tensor

from liveedit_cam.lab.ablations.cases import LOCAL, NOTHING, WHOLE
from liveedit_cam.lab.ablations.records import SimilarityRow, VariantRow
from liveedit_cam.lab.ablations.rig import (
    NUM_CHUNKS,
    Setup,
    Variant,
    compare,
    decoded_edit,
    make_stream,
)
from liveedit_cam.model import ModelConfig
from liveedit_cam.model.config import ReusePart
from liveedit_cam.model.mask_cache import MaskCache

THRESHOLDS = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)
PAPER_SHARE = 0.3
DILATIONS = (0, 1, 2)


def no_cache(config: ModelConfig) -> Variant:
    """The base of every part here: everything recomputed in every step."""
    return Variant("no cache", replace(config, mask_target="none"))


def cache_part(setup: Setup) -> tuple[VariantRow, ...]:
    """Where does the mask cache sit? Self-attention, FFN (the paper's table 3), all of it.

    Measured on decoded edits: composited, all places look alike.
    """
    config = setup.networks.config
    variants = (
        no_cache(config),
        Variant("self-attention", replace(config, mask_target="self_attention")),
        Variant("FFN", replace(config, mask_target="ffn")),
        Variant("whole network", replace(config, mask_target="network")),
    )
    cases = setup.cases((LOCAL, WHOLE))
    return compare(setup.networks, variants, cases, setup.steps, edit=decoded_edit)


def keep_part(setup: Setup) -> tuple[VariantRow, ...]:
    """What do quality and time cost at other thresholds, and at other fixed shares?"""
    config = setup.networks.config
    thresholds = [
        Variant(f"threshold {value:g}", replace(config, mask_threshold=value))
        for value in THRESHOLDS
    ]
    shares = [Variant(f"fixed {share:.0%}", replace(config, mask_share=share)) for share in SHARES]
    cases = setup.cases((LOCAL, WHOLE), per_clip=1)
    return compare(setup.networks, (no_cache(config), *thresholds, *shares), cases, setup.steps)


def adaptive_part(setup: Setup) -> tuple[VariantRow, ...]:
    """Is a threshold better than the paper's fixed 30 %: locally, everywhere, nowhere?"""
    config = setup.networks.config
    variants = (
        no_cache(config),
        Variant(f"threshold {config.mask_threshold:g}", config),
        Variant(f"fixed {PAPER_SHARE:.0%}", replace(config, mask_share=PAPER_SHARE)),
    )
    cases = setup.cases((LOCAL, WHOLE, NOTHING))
    return compare(setup.networks, variants, cases, setup.steps)


def dilation_part(setup: Setup) -> tuple[VariantRow, ...]:
    """By how many tokens must the mask grow, so that what moves stays inside it?"""
    config = setup.networks.config
    grown = [Variant(f"dilation {n}", replace(config, mask_dilation=n)) for n in DILATIONS]
    cases = setup.cases((LOCAL,))
    return compare(setup.networks, (no_cache(config), *grown), cases, setup.steps)


def similarity_part(setup: Setup) -> tuple[SimilarityRow, ...]:
    """How alike are the outputs of a layer from latent to latent (the paper's figure 8)?"""
    networks = setup.networks
    cases = setup.cases((LOCAL, WHOLE))
    setup.steps.begin(len(cases) * NUM_CHUNKS)
    listener = Listener(networks.config)
    stream = make_stream(networks, no_cache(networks.config), listener)
    for case in cases:
        stream.reset()
        conditioning = stream.encode_text(case.prompt)
        for chunk in range(NUM_CHUNKS):
            count = stream.chunk_frames
            stream.edit(case.source(chunk * count, count), conditioning)
            setup.steps.advance()
    return listener.rows()


class Listener(MaskCache):
    """A mask cache that reuses nothing and compares every output with the ones before it."""

    def __init__(self, config: ModelConfig) -> None:
        """Nothing heard yet."""
        super().__init__(replace(config, mask_target="none"))
        self._step = 0
        self._is_middle = False
        self._last: dict[tuple[ReusePart, int, int], Tensor] = {}
        """By place, layer and step: the outputs of the last latent, (B, n, D)."""
        self._first: dict[tuple[ReusePart, int], Tensor] = {}
        """By place and layer: what this chunk's first step put out."""
        self._latents: defaultdict[tuple[ReusePart, int], list[float]] = defaultdict(list)
        self._steps: defaultdict[tuple[ReusePart, int], list[float]] = defaultdict(list)

    def reset(self) -> None:
        """A new stream: there is no latent before its first."""
        super().reset()
        self._last = {}

    def begin_step(self, step: int, num_steps: int) -> None:
        """Note which step the coming outputs belong to."""
        super().begin_step(step, num_steps)
        self._step, self._is_middle = step, 0 < step < num_steps - 1

    def merge(self, part: ReusePart, layer: int, tokens: Tensor | None, out: Tensor) -> Tensor:
        """Compare, and hand on what came."""
        if part != "network":
            self._hear(part, layer, out)
        return out

    def _hear(self, place: ReusePart, layer: int, out: Tensor) -> None:
        if self._step == 0:
            self._first[place, layer] = out
        elif self._is_middle:
            self._steps[place, layer].append(mean_cosine(out, self._first[place, layer]))
        for latent in out.unflatten(1, (self.config.chunk_latents, -1)).unbind(1):
            before = self._last.get((place, layer, self._step))
            if before is not None and before.shape == latent.shape:
                self._latents[place, layer].append(mean_cosine(latent, before))
            self._last[place, layer, self._step] = latent

    def rows(self) -> tuple[SimilarityRow, ...]:
        """Means of everything heard, layer by layer."""
        return tuple(
            SimilarityRow(
                layer,
                fmean(self._latents["self_attention", layer]),
                fmean(self._latents["ffn", layer]),
                fmean(self._steps["self_attention", layer]),
                fmean(self._steps["ffn", layer]),
            )
            for layer in range(self.config.num_layers)
        )


def mean_cosine(one: Tensor, other: Tensor) -> float:
    """Mean over the tokens of the cosine between their features, both (B, n, D)."""
    return float(F.cosine_similarity(one.float(), other.float(), dim=-1).mean())
