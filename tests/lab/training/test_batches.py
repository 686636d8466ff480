"""Pairs drawn by other processes: the same batches, and no error is lost."""

from __future__ import annotations

import pytest
import torch
from labelled import write_pictures

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import plain_palette
from liveedit_cam.lab.edits.pictures import load_pictures
from liveedit_cam.lab.training.batches import LatentBatch, Phase, Plan, batches, collate
from liveedit_cam.lab.training.data import PairMaker
from liveedit_cam.lab.training.named import MixedMaker, PictureMaker
from liveedit_cam.lab.training.parcels import drawn_beside, pack, unpack
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import NANO

PHASES = (Phase(1.0, 1, 6, ((48, 80), (64, 64)), long_share=0.4),)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    old = PairMaker(drawn_clips(2, 0), plain_palette(), 5)
    new = PictureMaker(load_pictures(folder, "train"), plain_palette(), old, per_view=2)
    return Plan(MixedMaker(old, new, 0.5), PHASES, 7, 4)


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    codec = Codec(NANO.codec)
    codec.basis.copy_(torch.linalg.qr(torch.randn(768, 48))[0].T)
    return codec


def test_pairs_drawn_beside_are_those_drawn_in_line(plan: Plan, codec: Codec) -> None:
    """Catches batches out of order, pixels of another pair, and a mask that is not its own."""
    line = list(batches(plan, codec, 3))
    beside = list(drawn_beside(plan, codec, 3, workers=2))
    assert len(line) == len(beside) == 4
    assert any(batch.source.shape[2] == 3 for batch in line)
    for one, other in zip(line, beside, strict=True):
        assert one.prompts == other.prompts
        assert one.num_old == other.num_old
        _assert_close(one, other)
    for iteration, other in zip(range(3, 7), beside, strict=True):
        sent = unpack(pack(plan.pairs(iteration)), torch.device("cpu"))
        assert torch.equal(collate(sent, codec).target, other.target)


@pytest.mark.parametrize("at_once", [4, 64])
def test_pairs_encoded_together_are_those_encoded_one_by_one(
    plan: Plan, codec: Codec, at_once: int
) -> None:
    """Catches what only a GPU's groups would do: pairs of another row, stills of another length."""
    pairs = plan.pairs(0)
    one, other = collate(pairs, codec), collate(pairs, codec, at_once=at_once)
    for name in ("source", "target", "subject", "known", "parts"):
        assert torch.allclose(getattr(one, name), getattr(other, name), atol=1e-5), name
    assert one.prompts == other.prompts


def _assert_close(one: LatentBatch, other: LatentBatch) -> None:
    level = 1 / 255
    for name in ("subject", "known"):
        assert float((getattr(one, name) - getattr(other, name)).abs().max()) <= level
    assert (one.parts is None) == (other.parts is None)
    if one.parts is not None and other.parts is not None:
        assert torch.equal(one.parts, other.parts)
    # a latent of an orthonormal transform is off by no more than the rounding of its 768 values
    assert float((one.source - other.source).abs().max()) <= 0.5 * level * 768**0.5


def test_a_parcel_holds_pixels_in_256_levels(plan: Plan) -> None:
    """Catches bytes that wrap around, and a target that is sent and not made there."""
    pairs = plan.pairs(0)
    for pair, came in zip(pairs, unpack(pack(pairs), torch.device("cpu")), strict=True):
        assert (came.spec, came.prompt, came.num_frames) == (
            pair.spec,
            pair.prompt,
            pair.num_frames,
        )
        assert float((came.source - pair.source).abs().max()) <= 0.501 / 255
        assert came.target().shape == pair.target().shape
        assert (came.known is None) == (pair.known is None)


def test_an_error_of_a_process_is_raised_where_batches_are_taken(codec: Codec) -> None:
    """Catches a training that goes on with the batches it has, and one that waits for ever."""

    class Failing:
        draws = PairMaker(drawn_clips(1, 0), plain_palette(), 0).draws

        def pairs(self, *_: int) -> list[object]:
            raise UsageError("got no clip, expected one")

    made = drawn_beside(Plan(Failing(), PHASES, 2, 4), codec, 0, workers=1)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="got no clip"):
        next(made)
