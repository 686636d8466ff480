"""What a stage trains with: frozen networks, clips, pictures, and who draws pairs from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.edits.instructions import Palette
from liveedit_cam.lab.edits.pictures import LabelledPicture
from liveedit_cam.lab.training.batches import ExpectedChange, Maker
from liveedit_cam.lab.training.data import PairMaker
from liveedit_cam.lab.training.losses import channel_weights
from liveedit_cam.lab.training.named import MixedMaker, PictureMaker
from liveedit_cam.lab.training.processes import own_seed
from liveedit_cam.lab.training.settings import StageSettings
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.text import TextEncoder

NUM_MEASURED = 320
"""Pairs on which the change that each kind of edit makes is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Materials:
    """What every diffusion stage is trained with."""

    config: ModelConfig
    codec: Codec
    text: TextEncoder
    clips: Sequence[Clip]
    """Real ones, training split; may be empty."""
    drawn: Sequence[Clip]
    palette: Palette
    pictures: Sequence[LabelledPicture] = ()
    """Training split; stage 2 alone uses them."""


def makers(
    settings: StageSettings, materials: Materials, count: int
) -> tuple[list[Maker], ExpectedChange | None]:
    """``count`` makers of pairs, each with draws of its own, and what changes to expect."""
    olds = clip_makers(settings, materials, count)
    if not materials.pictures:
        return list(olds), None
    share, news = settings.picture_share, picture_makers(settings, materials, olds)
    made: list[Maker] = [MixedMaker(old, new, share) for old, new in zip(olds, news, strict=True)]
    weights = channel_weights(materials.codec.scale)
    expected = ExpectedChange.measure(made[0], materials.codec, weights, NUM_MEASURED)
    return made, expected


def clip_makers(settings: StageSettings, materials: Materials, count: int) -> list[PairMaker]:
    """``count`` makers of pairs of clips, with random numbers of their own."""
    clips = materials.clips or materials.drawn
    seed = own_seed(settings.seed) + 1
    return [
        PairMaker(clips, materials.palette, seed + 1000 * part, materials.drawn)
        for part in range(count)
    ]


def picture_makers(
    settings: StageSettings, materials: Materials, olds: Sequence[PairMaker]
) -> list[PictureMaker]:
    """One for each of ``olds``, with its random numbers; prints what they draw from."""
    new = PictureMaker(
        materials.pictures, materials.palette, olds[0], settings.instructions_per_view
    )
    print(new.table(), flush=True)
    return [new.beside(old) for old in olds]
