"""Does an edit flicker where the camera's picture does not? With and without what holds it still.

    python benchmarks/flicker.py --media ../shared/media [--model nano] [--clips 3] [--chunks 8]

Three ways, over the same clips and instructions in one run: other noise in every chunk and nothing
held; the same noise; the same noise and ``field.Steadier``, as it ships. Flicker is over the
source's own; dB against the exact target. Last line of stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from liveedit_cam.lab.ablations.cases import LOCAL, WHOLE, Case, choose_clips, draw_cases
from liveedit_cam.lab.ablations.machine import this_machine
from liveedit_cam.lab.evaluation.benchmark import as_tensor
from liveedit_cam.lab.evaluation.flow import MotionFigures, motion_figures
from liveedit_cam.lab.evaluation.metrics import psnr
from liveedit_cam.model import EditStream, load
from liveedit_cam.model.field import Steadier


class HoldsNothing(Steadier):
    """Leaves every change as it is; the noise is still the same in each chunk."""

    def __call__(
        self, before: Tensor, cells: Tensor, rest: Tensor, num_passed: int = 1
    ) -> tuple[Tensor, Tensor]:
        return cells, rest


WAYS: dict[str, Callable[[], Steadier] | None] = {
    "nothing": None,
    "same noise": HoldsNothing,
    "as it ships": Steadier,
}


def measure(
    stream: EditStream, case: Case, num_chunks: int, way: Callable[[], Steadier] | None
) -> tuple[MotionFigures, float]:
    """Flicker of one edit from a fresh stream, and its dB against the exact target."""
    stream.new_steadier = way
    stream.reset()
    conditioning, size = stream.encode_text(case.prompt), stream.chunk_frames
    parts = [
        stream.edit(case.source(first, size), conditioning)
        for first in range(0, num_chunks * size, size)
    ]
    output = np.concatenate(parts)
    _, target, _ = case.exact(0, len(output))
    exact = (target * 255).round().byte().numpy()
    figures = motion_figures(output, exact, case.source(0, len(output)))
    return figures, psnr(as_tensor(output), target)


def row(name: str, measured: Sequence[tuple[MotionFigures, float]]) -> dict[str, float | str]:
    """Means over the cases; flicker as a ratio of means, as in the benchmark."""
    source = fmean(figures.source_flicker for figures, _ in measured)
    return {
        "way": name,
        "flicker": round(fmean(figures.flicker for figures, _ in measured) / source, 3),
        "exact_flicker": round(fmean(f.target_flicker for f, _ in measured) / source, 3),
        "psnr_db": round(fmean(db for _, db in measured), 2),
    }


def main() -> None:
    """Edit, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    stream = load(options.model, "cpu")
    cases = draw_cases(choose_clips(options.media, options.clips), (LOCAL, WHOLE))
    rows = []
    for name, way in WAYS.items():
        shown = track(cases, name, console=Console(stderr=True), transient=True)
        measured = [measure(stream, case, options.chunks, way) for case in shown]
        rows.append(row(name, measured))
        print(
            "{way:<12} flicker {flicker:.2f} (exact {exact_flicker:.2f}), {psnr_db:.2f} dB".format(
                **rows[-1]
            )
        )
    print(json.dumps({"cases": len(cases), "rows": rows, **asdict(this_machine())}))


if __name__ == "__main__":
    main()
