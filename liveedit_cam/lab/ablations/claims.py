"""Which of the paper's claims hold here: each from the figures of one part. Knows results only."""

from __future__ import annotations

from statistics import fmean
from typing import TypeVar

from liveedit_cam.lab.ablations.plots import PAPER_ATTENTION
from liveedit_cam.lab.ablations.records import Results, Row, SimilarityRow, StageRow, VariantRow

R = TypeVar("R", bound=Row)

FREE_DB = 0.3
"""A loss that counts as nearly free."""
LEAST_GAP = 0.3
"""Difference of mean cosines that counts as a gap; the paper's is 0.74."""


def claims(results: Results) -> list[tuple[str, str, str]]:
    """Per claim: what the paper says, what came out here, whether it holds."""
    rows = [*_stage_claims(results), *_cache_claims(results), *_similarity_claims(results)]
    words = {True: "yes", False: "no", None: "not measured"}
    return [(claim, here, words[holds]) for claim, here, holds in rows]


Claim = tuple[str, str, bool | None]


def _stage_claims(results: Results) -> list[Claim]:
    rows = _rows(results, "stages", StageRow)
    firsts = [row for row in rows if row.stage.startswith("1") and row.needs is None]
    first = max(firsts, key=lambda row: row.whole_db or 0.0, default=None)  # guided or not
    third = next((row for row in rows if row.stage.startswith("3") and row.needs is None), None)
    claim = "stage 3 is as good as stage 1 at its best, with 4 evaluations"
    if first is None or third is None:
        return [(claim, "", None)]
    assert first.whole_db is not None, "a stage that was run has its figures"
    assert third.whole_db is not None, "a stage that was run has its figures"
    assert first.chunk_s is not None, "a stage that was run has its time"
    assert third.chunk_s is not None, "a stage that was run has its time"
    here = (
        f"{third.whole_db:.1f} dB against {first.whole_db:.1f} dB, "
        f"{first.chunk_s / third.chunk_s:.0f} times faster"
    )
    return [(claim, here, third.whole_db >= first.whole_db - FREE_DB)]


def _cache_claims(results: Results) -> list[Claim]:
    rows = {row.variant: row for row in _rows(results, "cache", VariantRow) if row.edits == "local"}
    claims: list[Claim] = []
    for variant, claim, is_free in (
        ("self-attention", "the cache in self-attention is nearly free", True),
        ("FFN", "the cache in the FFN is not", False),
    ):
        row = rows.get(variant)
        if row is None:
            claims.append((claim, "", None))
            continue
        here = f"{row.loss_db:+.2f} dB lost on local edits, chunk {row.chunk:.2f}x"
        claims.append((claim, here, (row.loss_db <= FREE_DB) == is_free))
    return claims


def _similarity_claims(results: Results) -> list[Claim]:
    rows = _rows(results, "similarity", SimilarityRow)
    claim = f"outputs resemble the last frame's in self-attention ({PAPER_ATTENTION}), not in FFN"
    if not rows:
        return [(claim, "", None)]
    attention, ffn = fmean(row.attention for row in rows), fmean(row.ffn for row in rows)
    here = f"self-attention {attention:.3f}, FFN {ffn:.3f}"
    return [(claim, here, attention > ffn + LEAST_GAP)]


def _rows(results: Results, name: str, kind: type[R]) -> list[R]:
    record = results.part(name)
    return [] if record is None else [row for row in record.rows if isinstance(row, kind)]
