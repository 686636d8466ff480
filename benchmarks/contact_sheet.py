"""What do edits look like? Draws docs/nano.jpg: source and edited, twelve clips and instructions.

    python benchmarks/contact_sheet.py --media ../shared/media [--model nano] [--out docs/nano.jpg]

Clips in the first six pairs took no part in training. Last line of stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from liveedit_cam.lab.edits.clips import load_clips
from liveedit_cam.lab.evaluation.report import contact_sheet
from liveedit_cam.model import load

PAIRS = (
    ("test", "head-pose-face-detection-female", "make the background blue"),
    ("test", "talk-curtain", "change my shirt to red"),
    ("test", "coffee", "golden light"),
    ("test", "man-surfing", "make it night"),
    ("test", "shiba", "make it look like a thermal camera"),
    ("test", "store-aisle-detection", "as if it were underwater"),
    ("train", "talk-kitchen", "make my shirt emerald green"),
    ("train", "talk-garden", "change my coat to purple"),
    ("train", "cat-on-grass", "make the background black and white"),
    ("train", "cups", "neon look"),
    ("train", "kitten", "paint the cat purple"),
    ("train", "juggle", "make it foggy"),
)
NUM_CHUNKS = 4
SHORT_SIDE_PX = 540


def main() -> None:
    """Edit, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path, default=Path("docs/nano.jpg"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stream = load(options.model)
    splits = ("test", "train")
    clips = {
        (split, clip.name): clip
        for split in splits
        for clip in load_clips(options.media, split, Path("runs/clips"), SHORT_SIDE_PX, 64)
    }
    tiles = []
    for split, name, prompt in PAIRS:
        clip, size = clips[split, name], stream.chunk_frames
        conditioning = stream.encode_text(prompt)
        stream.reset()
        start = max(0, len(clip.frames) // 2 - size * NUM_CHUNKS)
        last = min(start + size * (NUM_CHUNKS - 1), len(clip.frames) - size)
        for first in (*range(start, last, size), last):
            edited = stream.edit(clip.frames[first : first + size], conditioning)
        tiles.append((clip.frames[last], edited[0], prompt))
    sheet = contact_sheet(tiles, columns=2, width_px=300)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 82]
    cv2.imwrite(str(options.out), np.ascontiguousarray(sheet[..., ::-1]), quality)
    print(json.dumps({"out": str(options.out), "pairs": len(tiles), "size": sheet.shape[:2]}))


if __name__ == "__main__":
    main()
