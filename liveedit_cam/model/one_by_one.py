"""Edit the chunks of a file with one full-size picture in memory at a time.

Four pictures of 3840x2160 are 100 MB, a whole clip of the paper's 2 GB. The model sees small copies
only, so a picture is made twice: to be made small, and to have the change put on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from liveedit_cam.compositing import put_on
from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.config import ModelConfig, model_size
from liveedit_cam.model.field import bind
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.weights import load
from liveedit_cam.pixels import shrink
from liveedit_cam.types import ModelFrame

if TYPE_CHECKING:
    from liveedit_cam.types import EditField, Pixels, Region

Picture = Callable[[], "Pixels"]
"""Makes a picture, uint8 (H, W, 3) RGB. Called twice; what it gives then is written over."""


def small_copies(pictures: Sequence[Picture], config: ModelConfig) -> Pixels:
    """All pictures at the model's size, uint8 (T, h, w, 3)."""
    return np.stack([_small(make(), config) for make in pictures])


def put_on_each(pictures: Sequence[Picture], fields: Sequence[EditField]) -> Iterator[Pixels]:
    """Each picture with its field's change, uint8 (H, W, 3); none is kept here."""
    for make, field in zip(pictures, fields, strict=True):
        yield _changed(make(), field)


def _small(picture: Pixels, config: ModelConfig) -> Pixels:
    height, width = model_size(config, *picture.shape[:2])
    return shrink(picture, width, height)


def _changed(picture: Pixels, field: EditField) -> Pixels:
    return put_on(picture, field, picture)


class OneByOne:
    """An EditStream for files. One thread owns it."""

    def __init__(self, stream: EditStream) -> None:
        """Edit by ``stream``, which edits nothing else meanwhile."""
        self._stream = stream

    @property
    def chunk_frames(self) -> int:
        """As EditStream."""
        return self._stream.chunk_frames

    def encode_text(self, prompt: str) -> TextConditioning:
        """As EditStream."""
        return self._stream.encode_text(prompt)

    def edit_each(
        self,
        pictures: Sequence[Picture],
        conditioning: TextConditioning,
        *,
        strength: float = 1.0,
        region: Region | None = None,
    ) -> Iterator[Pixels]:
        """What ``EditStream.edit`` makes of a chunk, picture by picture. Raises EditorError."""
        small = small_copies(pictures, self._stream.config)
        change = self._stream.change(small, conditioning, strength=strength, region=region)
        fields = bind(change, [ModelFrame(one, t, 0.0) for t, one in enumerate(small)], 0)
        yield from put_on_each(pictures, fields)


def load_one_by_one(model: str = "nano", device: str = "auto") -> OneByOne:
    """``load`` for files. Raises what it raises."""
    return OneByOne(load(model, device))
