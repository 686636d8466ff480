"""How near do edits come to their exact targets, on clips the model never saw?

    python benchmarks/quality.py --media ../shared/media [--model nano] [--out runs/quality]

Prints a table by group and the cases that gained least; writes report.md, report.json,
sheet.jpg (all cases) and misses.jpg (the twelve that gained least) to --out. Last line of
stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import cv2
import torch

from liveedit_cam.evaluation.quality import Shown, evaluate, summarise
from liveedit_cam.evaluation.report import as_json, contact_sheet, table, worst
from liveedit_cam.model import load
from liveedit_cam.training.clips import load_clips
from liveedit_cam.training.codec_stage import codec_psnr

SHORT_SIDE_PX = 480


def main() -> None:
    """Parse, measure, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--split", default="test", choices=("test", "train"))
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stream = load(options.model)
    clips = load_clips(options.media, options.split, Path("runs/clips"), SHORT_SIDE_PX, 64)
    shown: list[Shown] = []
    results = evaluate(stream, clips, shown.append)
    rows = summarise(results)
    codec = [
        codec_psnr(stream.codec, clip, stream.config.height, stream.config.width) for clip in clips
    ]
    figures = {
        **as_json(rows, results),
        "codec_db": round(sum(codec) / len(codec), 2),
        "model": options.model,
        "dtype": str(stream.dtype),
    }
    text = f"{table(rows)}\n\ncodec alone: {figures['codec_db']} dB\n\nLeast gained:\n\n"
    text += worst(results, 12) + "\n"
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.md").write_text(text)
    (options.out / "report.json").write_text(json.dumps(figures))
    _draw(shown, options.out / "sheet.jpg", columns=4, width_px=200)
    edits = [item for item in shown if item.result.case.group != "identity"]
    least = sorted(edits, key=lambda s: s.result.inside_db - s.result.unedited_inside_db)
    _draw(least[:12], options.out / "misses.jpg", columns=2, width_px=240)
    print(text)
    print(json.dumps({"groups": [asdict(row) for row in rows], "codec_db": figures["codec_db"]}))


def _draw(shown: Sequence[Shown], path: Path, *, columns: int, width_px: int) -> None:
    """Write a contact sheet as JPEG."""
    tiles = [(s.source, s.edited, f"{s.result.case.prompt}  ({s.result.clip})") for s in shown]
    sheet = contact_sheet(tiles, columns, width_px)
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
