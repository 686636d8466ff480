"""Pictures with pixel labels, for training and tests: decoded once. Knows files, not edits.

A pictures folder holds ``index.json``, ``images/NAME.jpg``, ``labels/NAME.png`` (ids, 255 =
unknown), for some ``fine/NAME.png`` (garments), and for some clips of the media folder beside it
``clip_labels/CLIP.labels.npz``. A picture that cannot be used is skipped and named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.regions import NUM_PARTS, PARTS, PERSON_LABELS, UNKNOWN, Region

LEFT_OUT = "sharealike"
"""``use`` of pictures whose licence asks more than a notice."""
FREE = "ok"
"""``use`` of pictures that want no more than a notice."""
SETS_OF_ONE_PERSON = ("ccp", "cds", "cocop", "generated", "clip")
"""Sets whose id 0 is background; in the others it may hold people that nobody labelled."""
STREET = "ccp"
PLAIN_GROUND = "cds"
"""The set of garments that lie nowhere."""
MENDED = {"talk-garden": (5, 4)}
"""Labels of a clip that mean another one: its long coat is no trousers."""
LEAST_SHARE = 0.002
"""Share of a picture that a region must take to be named in it."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPicture:
    """One picture with its labels."""

    name: str
    set: str
    pixels: NDArray[np.uint8]
    """uint8 (H, W, 3) RGB."""
    labels: NDArray[np.uint8]
    """uint8 (H, W), coarse ids."""
    fine: NDArray[np.uint8] | None
    """uint8 (H, W), ids of garments."""
    garments: Mapping[str, int]
    """Names of the garments' ids."""
    attribution: str = ""
    may_be_shown: bool = False
    """Whether its licence lets a page show it with no more than a notice."""

    @property
    def has_background(self) -> bool:
        """Whether all that is no person is background."""
        return self.set in SETS_OF_ONE_PERSON


def table_of(region: Region, picture: LabelledPicture) -> NDArray[np.bool_]:
    """Which coarse (row 0) and fine (row 1) ids are ``region``; bool, shape (2, 256)."""
    table = np.zeros((2, 256), np.bool_)
    table[0, list(region.labels)] = True
    table[1, [picture.garments[g] for g in region.fine if g in picture.garments]] = True
    return table


def shares_of(regions: Sequence[Region], picture: LabelledPicture) -> list[float]:
    """The share of the picture, 0..1, that each of ``regions`` takes: ``region_mask``'s mean, from
    one count of all pairs of ids.
    """
    fine = np.zeros_like(picture.labels) if picture.fine is None else picture.fine
    pairs = picture.labels.astype(np.uint16) << 8 | fine
    counts = np.bincount(pairs.ravel(), minlength=1 << 16).reshape(256, 256)
    shares = []
    for region in regions:
        table = table_of(region, picture)
        inside = table[0][:, None] | np.zeros((1, 256), np.bool_)
        if picture.fine is not None:
            inside |= table[1][None, :] & (np.arange(256) != UNKNOWN)[:, None]
        shares.append(float(counts[inside].sum()) / picture.labels.size)
    return shares


def region_mask(region: Region, picture: LabelledPicture) -> NDArray[np.bool_]:
    """Where ``region`` is, bool (H, W)."""
    table = table_of(region, picture)
    mask = looked_up(table[0], picture.labels)
    if picture.fine is not None:
        mask = mask | (looked_up(table[1], picture.fine) & (picture.labels != UNKNOWN))
    return mask


def looked_up(table: NDArray[Any], ids: NDArray[np.uint8]) -> NDArray[Any]:
    """``table[ids]`` for 256 bytes or bools and uint8 ids of any shape, several times as fast."""
    flat = cv2.LUT(ids.reshape(-1, ids.shape[-1]), table.view(np.uint8))
    return np.asarray(flat, np.uint8).view(table.dtype).reshape(ids.shape)


def person_mask(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where people and what they wear are; ``labels`` (H, W), bool of that shape out."""
    table = np.zeros(256, np.bool_)
    table[list(PERSON_LABELS)] = True
    return looked_up(table, labels)


def parts_of(labels: NDArray[np.uint8], *, has_background: bool) -> NDArray[np.uint8]:
    """Which of ``PARTS`` each pixel is, uint8 like ``labels``; UNKNOWN where nobody can tell.

    ``has_background`` is whether id 0 is surely no labelled thing.
    """
    table = np.full(256, NUM_PARTS - 1, np.uint8)
    for part, (_, ids, _) in enumerate(PARTS):
        table[list(ids)] = part
    table[UNKNOWN] = UNKNOWN
    if not has_background:
        table[0] = UNKNOWN
    return looked_up(table, labels)


def load_pictures(
    folder: Path, split: str, media: Path | None = None, *, sharealike: bool = False
) -> list[LabelledPicture]:
    """Decode the pictures of ``split``, and the labelled frames of clips where ``media`` is given.

    Raises UsageError where the folder has no readable ``index.json``.
    """
    try:
        index = json.loads((folder / "index.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"got pictures folder {folder} without a readable index.json ({error}), expected "
            "images/, labels/ and index.json",
            hint="Give another folder with --pictures.",
        ) from error
    garments = {name: int(key) for key, name in index["fine_labels"].items()}
    known = {int(key) for key in index["labels"]}
    wanted = [
        item
        for item in index["items"]
        if item["split"] == split and (item["use"] != LEFT_OUT or sharealike)
    ]

    def read(item: Mapping[str, Any]) -> LabelledPicture | None:
        try:
            return _read(folder, item, garments, known)
        except UsageError as error:
            print(f"skipped picture {item['name']}: {error}")
            return None

    with ThreadPoolExecutor() as threads:  # the decoders hold no lock
        pictures = [picture for picture in threads.map(read, wanted) if picture is not None]
    for clip in index["clips"] if media is not None else ():
        if clip["split"] == split:
            assert media is not None
            try:
                pictures += _frames(folder, media, clip, known)
            except (UsageError, OSError, ValueError, KeyError) as error:
                print(f"skipped labelled clip {clip['clip']}: {error}")
    return pictures


def _read(
    folder: Path, item: Mapping[str, Any], garments: Mapping[str, int], known: set[int]
) -> LabelledPicture:
    name = item["name"]
    pixels = cv2.imread(str(folder / "images" / f"{name}.jpg"), cv2.IMREAD_COLOR)
    if pixels is None:
        raise UsageError("got no readable images/NAME.jpg, expected a JPEG")
    labels = _labels(folder / "labels" / f"{name}.png", pixels.shape[:2])
    strange = sorted({int(label) for label in np.unique(labels)} - known)
    if strange:
        raise UsageError(f"got labels {strange}, expected ids of index.json")
    fine = None
    if item.get("fine"):
        fine = _labels(folder / item["fine"], pixels.shape[:2])
    rgb = np.ascontiguousarray(pixels[..., ::-1], np.uint8)
    return LabelledPicture(
        name,
        item["set"],
        rgb,
        labels,
        fine,
        garments,
        item.get("attribution") or "",
        item["use"] == FREE or item["set"] == STREET,
    )


def _labels(path: Path, size: tuple[int, ...]) -> NDArray[np.uint8]:
    labels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if labels is None:
        raise UsageError(f"got no readable {path.parent.name}/{path.name}, expected a PNG of ids")
    if labels.shape != tuple(size):
        raise UsageError(
            f"got {path.parent.name}/{path.name} of {labels.shape[1]}x{labels.shape[0]}, expected "
            f"{size[1]}x{size[0]} like the picture"
        )
    return np.asarray(labels, np.uint8)


def _frames(
    folder: Path, media: Path, clip: Mapping[str, Any], known: set[int]
) -> list[LabelledPicture]:
    """The labelled frames of a clip, each a picture of its own."""
    with np.load(folder / clip["file"]) as arrays:
        labels, at = arrays["labels"].astype(np.uint8), arrays["frames"].tolist()
    if clip["clip"] in MENDED:
        wrong, right = MENDED[clip["clip"]]
        labels[labels == wrong] = right
    strange = sorted({int(label) for label in np.unique(labels)} - known)
    if strange:
        raise UsageError(f"got labels {strange}, expected ids of index.json")
    capture = cv2.VideoCapture(str(media / f"{clip['clip']}.mp4"))
    found = []
    for index in range(int(max(at)) + 1):
        is_read, pixels = capture.read()
        if not is_read:
            raise UsageError(f"got {index} frames in {clip['clip']}.mp4, expected {max(at) + 1}")
        if index in at:
            row = labels[at.index(index)]
            small = cv2.resize(pixels, row.shape[::-1], interpolation=cv2.INTER_AREA)
            rgb = np.ascontiguousarray(small[..., ::-1], np.uint8)
            found.append(LabelledPicture(f"{clip['clip']}-{index}", "clip", rgb, row, None, {}))
    return found
