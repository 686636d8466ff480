"""What does the way to a model elsewhere cost: in quality, and in bytes?

    python benchmarks/wire.py --media ../shared/media [--model nano] [--clips 3] [--chunks 6]

The same chunks are edited from the frames as they are and from the frames as JPEG, and the fields
are put on as they are and as they come out of the wire. dB against the exact target; megabits a
second at 7 chunks of 4 frames. float16 stands beside it for comparison. Last line: one JSON object.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from bench import Figure, print_result

from liveedit_cam.compositing import put_on
from liveedit_cam.lab.ablations.cases import LOCAL, WHOLE, Case, choose_clips, draw_cases
from liveedit_cam.lab.evaluation.benchmark import as_tensor
from liveedit_cam.lab.evaluation.metrics import psnr
from liveedit_cam.model import EditStream, load
from liveedit_cam.model.field import bind
from liveedit_cam.pixels import from_jpeg, jpeg, shrink
from liveedit_cam.remote.planes import ZLIB_LEVEL, packed, unpacked
from liveedit_cam.remote.quality import HIGHEST
from liveedit_cam.types import EditField, ModelFrame

if TYPE_CHECKING:
    from liveedit_cam.types import Floats

CHUNKS_A_SECOND = 7


def half(planes: Floats) -> bytes:
    """float16, its two bytes apart so that they pack."""
    values = np.frombuffer(planes.astype(np.float16).tobytes(), np.uint8)
    return zlib.compress(values.reshape(-1, 2).T.tobytes(), ZLIB_LEVEL)


def over_the_wire(field: EditField) -> tuple[EditField, int]:
    """The field as it arrives, and its bytes."""
    cells = packed(field.cells)
    rest = b"" if field.rest is None else packed(field.rest)
    arrived = replace(
        field,
        cells=unpacked(cells, field.cells.shape),
        rest=None if field.rest is None else unpacked(rest, field.rest.shape),
    )
    return arrived, len(cells) + len(rest)


def measure(stream: EditStream, case: Case, num_chunks: int) -> list[dict[str, float]]:
    """A row for each chunk of one edit."""
    rows: list[dict[str, float]] = [{} for _ in range(num_chunks)]
    conditioning, count = stream.encode_text(case.prompt), stream.chunk_frames
    for way in ("plain", "jpeg"):
        stream.reset()
        for number, row in enumerate(rows):
            source = case.source(number * count, count)
            width, height = stream.config.size.of(source.shape[2], source.shape[1])
            small = [shrink(one, width, height) for one in source]
            if way == "jpeg":
                blobs = [jpeg(one, HIGHEST) for one in small]
                row["up_bytes"] = sum(map(len, blobs))
                small = [_read(blob, width, height) for blob in blobs]
            change = stream.change(np.stack(small), conditioning, every_frame=False)
            field = bind(change, [ModelFrame(one, 0, 0.0) for one in small], 0)[-1]
            arrived, row["down_bytes"] = over_the_wire(field)
            row["float16_bytes"] = sum(
                len(half(p)) for p in (field.cells, field.rest) if p is not None
            )
            _, target, _ = case.exact((number + 1) * count - 1, 1)
            row[f"{way}_db"] = _db(source[-1], field, target)
            row[f"{way}_wire_db"] = _db(source[-1], arrived, target)
    return rows


def _read(blob: bytes, width: int, height: int) -> np.ndarray:
    pixels = from_jpeg(blob, width, height)
    assert pixels is not None, "it was written just now"
    return pixels


def _db(source: np.ndarray, field: EditField, target: torch.Tensor) -> float:
    return psnr(as_tensor(put_on(np.ascontiguousarray(source), field)[None]), target)


def summary(rows: Sequence[dict[str, float]]) -> dict[str, Figure]:
    """Means, and the worst chunk where that says more."""
    mean = {name: fmean(row[name] for row in rows) for name in rows[0]}
    mbit = 8e-6 * CHUNKS_A_SECOND
    lost = [row["plain_db"] - row["plain_wire_db"] for row in rows]
    return {
        "chunks": len(rows),
        "exact_field_db": mean["plain_db"],
        "lost_by_quantisation_db": fmean(lost),
        "lost_by_quantisation_worst_db": max(lost),
        "lost_by_jpeg_db": mean["plain_db"] - mean["jpeg_db"],
        "lost_in_all_db": mean["plain_db"] - mean["jpeg_wire_db"],
        "up_mbit_s": mbit * mean["up_bytes"],
        "up_worst_mbit_s": mbit * max(row["up_bytes"] for row in rows),
        "down_mbit_s": mbit * mean["down_bytes"],
        "down_worst_mbit_s": mbit * max(row["down_bytes"] for row in rows),
        "down_float16_mbit_s": mbit * mean["float16_bytes"],
    }


def main() -> None:
    """Edit, send, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--clips", type=int, default=3)
    parser.add_argument("--chunks", type=int, default=6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    stream = load(options.model, "cpu")
    cases = draw_cases(choose_clips(options.media, options.clips), (LOCAL, WHOLE))
    rows = [row for case in cases for row in measure(stream, case, options.chunks)]
    print_result(
        "What does the way to a model elsewhere cost?", {"cases": len(cases)} | summary(rows)
    )


if __name__ == "__main__":
    main()
