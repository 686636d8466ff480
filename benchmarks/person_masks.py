"""Person masks of MediaPipe's selfie model for a folder of pictures: the peer of `bench quality`.

What a caller would take instead of a named "person" or "background". In an environment of its own,
since it wants NumPy 1 (``pip install mediapipe==0.10.21 "opencv-python-headless<4.12"``):

    python benchmarks/person_masks.py PICTURES/images MASKS
    liveedit-cam bench quality --media MEDIA --pictures PICTURES --peer MASKS

Writes MASKS/NAME.png, grey, 255 = surely a person. Imports nothing of the package.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import mediapipe
import numpy as np

LANDSCAPE_MODEL = 1
"""The model for pictures wider than high, 256x144 as nano's own."""


def main() -> None:
    """Read the command line and write a mask per picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pictures", type=Path, help="folder of NAME.jpg")
    parser.add_argument("out", type=Path, help="folder of NAME.png to write")
    given = parser.parse_args()
    files = sorted(given.pictures.glob("*.jpg"))
    if not files:
        parser.error(f"got {given.pictures} without a NAME.jpg, expected pictures")
    given.out.mkdir(parents=True, exist_ok=True)
    with mediapipe.solutions.selfie_segmentation.SelfieSegmentation(LANDSCAPE_MODEL) as network:
        for file in files:
            pixels = cv2.imread(str(file))
            if pixels is None:
                print(f"skipped {file.name}: no readable picture")
                continue
            share = network.process(pixels[..., ::-1]).segmentation_mask
            mask = np.clip(255 * share, 0, 255).astype(np.uint8)
            cv2.imwrite(str(given.out / f"{file.stem}.png"), mask)
    print(f"wrote {len(list(given.out.glob('*.png')))} masks to {given.out}")


if __name__ == "__main__":
    main()
