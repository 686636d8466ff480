"""The report of an evaluation: Markdown table, JSON, contact sheet. Measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.evaluation.quality import GroupFigures, Result


def table(rows: Sequence[GroupFigures]) -> str:
    """Markdown, one line per group."""
    lines = [
        "| group | cases | whole dB | inside dB | gain inside dB | outside dB | nearest |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.group} | {r.num_cases} | {r.whole_db:.1f} | {r.inside_db:.1f} | {r.gain_db:+.1f} | "
        f"{r.outside_db:.1f} | {r.nearest_share:.0%} |"
        for r in rows
    ]
    return "\n".join(lines)


def worst(results: Sequence[Result], count: int) -> str:
    """Markdown list of the cases that gained least."""
    ranked = sorted(
        (r for r in results if r.case.group != "identity"),
        key=lambda r: r.inside_db - r.unedited_inside_db,
    )
    return "\n".join(
        f'- {r.clip}, "{r.case.prompt}": {r.inside_db:.1f} dB inside, unedited '
        f'{r.unedited_inside_db:.1f}; nearest to "{r.nearest_prompt}"'
        for r in ranked[:count]
    )


def as_json(rows: Sequence[GroupFigures], results: Sequence[Result]) -> dict[str, Any]:
    """Plain values for one JSON line; figures rounded to 0.01, nan as None."""

    def tidy(value: object) -> object:
        if isinstance(value, float):
            return round(value, 2) if np.isfinite(value) else None
        return {k: tidy(v) for k, v in value.items()} if isinstance(value, dict) else value

    return {
        "groups": [tidy(asdict(row)) for row in rows],
        "cases": [
            {
                "clip": r.clip,
                "prompt": r.case.prompt,
                "gain_db": tidy(r.inside_db - r.unedited_inside_db),
                "inside_db": tidy(r.inside_db),
                "is_nearest": r.is_nearest,
            }
            for r in results
        ],
    }


Tile = tuple[NDArray[np.uint8], NDArray[np.uint8], str]
"""Source, edited, both uint8 (H, W, 3) RGB, and the line above them."""


def contact_sheet(
    pairs: Sequence[Tile], columns: int = 2, width_px: int = 320
) -> NDArray[np.uint8]:
    """Source beside edited under a line of text, uint8 (H, W, 3) RGB; portraits are cropped."""
    height = width_px * 9 // 16
    tiles = []
    for source, edited, text in pairs:
        pair = np.hstack([_fill(frame, width_px, height) for frame in (source, edited)])
        bar = np.full((26, pair.shape[1], 3), 24, np.uint8)
        cv2.putText(bar, text, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235,) * 3, 1, cv2.LINE_AA)
        tiles.append(np.vstack((bar, pair)))
    while len(tiles) % columns:
        tiles.append(np.full_like(tiles[0], 24))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _fill(frame: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale to cover width x height; of what hangs over, keep the middle, of portraits the top."""
    scale = max(width / frame.shape[1], height / frame.shape[0])
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    big = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    top = (big.shape[0] - height) // 3
    left = (big.shape[1] - width) // 2
    return np.ascontiguousarray(big[top : top + height, left : left + width])
