"""What do edits look like? Draws docs/nano.jpg: source and edited, twelve pairs, people first.

    python benchmarks/contact_sheet.py --media ../shared/media --pictures ../shared/pictures \\
        [--model nano] [--out docs/nano.jpg]

No clip and no picture of it took part in training. Last line of stdout: one JSON object.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch

from liveedit_cam.lab.edits.clips import load_clips
from liveedit_cam.lab.edits.pictures import load_pictures
from liveedit_cam.lab.evaluation.report import contact_sheet
from liveedit_cam.model import load

PAIRS = (
    ("talk-curtain", "change my shirt to red"),
    ("head-pose-face-detection-female", "make the background blue"),
    ("cocop-000000170099", "make my shirt emerald green"),
    ("talk-curtain", "make my hair blue and the wall behind me teal"),
    ("cocop-000000398905", "turn the person gold"),
    ("head-pose-face-detection-female", "golden light"),
    ("cocop-000000367818", "paint the sky orange"),
    ("shiba", "make it look like a thermal camera"),
    ("man-surfing", "make it night"),
    ("coffee", "vintage film"),
    ("store-aisle-detection", "as if it were underwater"),
    ("cocop-000000356505", "make it foggy"),
)
"""A test clip, or a test picture that may be shown, and what is asked of it."""
NUM_CHUNKS = 4
SHORT_SIDE_PX = 540


def main() -> None:
    """Edit, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--out", type=Path, default=Path("docs/nano.jpg"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stream = load(options.model)
    clips = load_clips(options.media, "test", None, SHORT_SIDE_PX, 64)
    frames = {clip.name: clip.frames for clip in clips}
    for picture in load_pictures(options.pictures, "test"):
        if picture.may_be_shown:
            still = picture.pixels[None]
            frames[picture.name] = np.repeat(still, stream.chunk_frames * NUM_CHUNKS, axis=0)
    tiles = []
    for name, prompt in PAIRS:
        film, size = frames[name], stream.chunk_frames
        conditioning = stream.encode_text(prompt)
        stream.reset()
        start = max(0, len(film) // 2 - size * NUM_CHUNKS)
        last = min(start + size * (NUM_CHUNKS - 1), len(film) - size)
        for first in (*range(start, last, size), last):
            edited = stream.edit(film[first : first + size], conditioning)
        tiles.append((film[last], edited[0], prompt))
    sheet = contact_sheet(tiles, columns=2, width_px=300)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 82]
    cv2.imwrite(str(options.out), np.ascontiguousarray(sheet[..., ::-1]), quality)
    print(json.dumps({"out": str(options.out), "pairs": len(tiles), "size": sheet.shape[:2]}))


if __name__ == "__main__":
    main()
