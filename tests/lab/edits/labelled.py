"""A folder of small labelled pictures, written to disk as the real one is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE = (96, 160)
HAIR, FACE, UPPER, SKY, CAR = 2, 16, 4, 8, 34
LABELS = {0: "background", 2: "hair", 4: "upper_clothes", 8: "sky", 12: "hat", 16: "face",
          34: "car", 48: "dog", 255: "unknown"}  # fmt: skip
FINE = {0: "null", 24: "jacket", 38: "shirt"}


def write_pictures(folder: Path, count: int = 3, split: str = "train") -> None:
    """``count`` street people and one picture of a car under the sky."""
    for part in ("images", "labels", "fine"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    items = [_person(folder, f"person-{n}", n, split) for n in range(count)]
    items.append(_scene(folder, "scene", split))
    labels = {str(key): {"name": name, "group": name} for key, name in LABELS.items()}
    fine = {str(key): name for key, name in FINE.items()}
    write_index(folder, {"labels": labels, "fine_labels": fine, "items": items, "clips": []})


def write_index(folder: Path, index: dict[str, Any]) -> None:
    (folder / "index.json").write_text(json.dumps(index))


def read_index(folder: Path) -> dict[str, Any]:
    index: dict[str, Any] = json.loads((folder / "index.json").read_text())
    return index


def _person(folder: Path, name: str, seed: int, split: str) -> dict[str, Any]:
    height, width = SIZE
    rng = np.random.default_rng(seed)
    pixels = rng.integers(120, 160, (height, width, 3), np.uint8)
    labels = np.zeros(SIZE, np.uint8)
    fine = np.zeros(SIZE, np.uint8)
    for label, (top, bottom, left, right), colour in (
        (HAIR, (10, 30, 60, 100), (20, 15, 10)),
        (FACE, (30, 50, 64, 96), (200, 160, 140)),
        (UPPER, (50, 96, 40, 120), (60, 60, 160)),
    ):
        labels[top:bottom, left:right] = label
        pixels[top:bottom, left:right] = colour
    fine[50:96, 40:120] = 24
    fine[50:96, 70:90] = 38
    labels[:, :4] = 255
    _save(folder, name, pixels, labels)
    cv2.imwrite(str(folder / "fine" / f"{name}.png"), fine)
    return _item(name, "ccp", split, fine=f"fine/{name}.png")


def _scene(folder: Path, name: str, split: str) -> dict[str, Any]:
    pixels = np.full((*SIZE, 3), 90, np.uint8)
    labels = np.zeros(SIZE, np.uint8)
    labels[:40], pixels[:40] = SKY, (120, 170, 230)
    labels[60:90, 30:100], pixels[60:90, 30:100] = CAR, (180, 30, 30)
    _save(folder, name, pixels, labels)
    return _item(name, "coco", split)


def _save(folder: Path, name: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), pixels[..., ::-1])
    cv2.imwrite(str(folder / "labels" / f"{name}.png"), labels)


def _item(name: str, of_set: str, split: str, **more: str) -> dict[str, Any]:
    return {"name": name, "set": of_set, "split": split, "use": "ok", **more}
