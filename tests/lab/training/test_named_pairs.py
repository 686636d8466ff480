"""Pairs of named things: exact masks, nothing where nothing is, the mixture, expected changes."""

from __future__ import annotations

import pytest
import torch
from labelled import write_pictures

from liveedit_cam.lab.edits.drawn import drawn_clips
from liveedit_cam.lab.edits.instructions import known_words, plain_palette
from liveedit_cam.lab.edits.pictures import load_pictures
from liveedit_cam.lab.edits.regions import NUM_PARTS
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.training.batches import ExpectedChange, collate
from liveedit_cam.lab.training.data import PairMaker
from liveedit_cam.lab.training.editor import Editor
from liveedit_cam.lab.training.losses import (
    MOST_INSIDE,
    MOST_LEFT,
    edit_loss,
    inside_weights,
    parts_loss,
)
from liveedit_cam.lab.training.named import MixedMaker, PictureMaker
from liveedit_cam.model.codec import Codec
from liveedit_cam.model.config import NANO
from liveedit_cam.model.text import split_words
from liveedit_cam.model.weight_files import load_weights
from liveedit_cam.model.weights import named_folder

SIZE = (48, 80)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> PictureMaker:
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    old = PairMaker(drawn_clips(2, 0), plain_palette(), 5)
    return PictureMaker(load_pictures(folder, "train"), plain_palette(), old)


def test_only_what_is_named_changes(maker: PictureMaker) -> None:
    """Catches a mask that lags behind the camera, and an edit that leaks out of it."""
    pairs = [p for p in maker.pairs(60, 1, 4, *SIZE) if p.spec.scope is Scope.NAMED]
    assert len(pairs) > 20
    for pair in pairs:
        outside = pair.subject.expand(pair.source.shape[:3]) == 0
        assert torch.equal(pair.target()[outside], pair.source[outside]), pair.prompt


@pytest.mark.slow
def test_some_pairs_name_what_is_not_there(maker: PictureMaker) -> None:
    """Catches a model that paints something whenever it is asked to."""
    pairs = maker.pairs(400, 1, 4, *SIZE)
    absent = [p for p in pairs if p.spec.scope is Scope.NAMED and float(p.subject.max()) == 0]
    assert 0.01 < len(absent) / len(pairs) < 0.15
    assert all(torch.equal(p.source, p.target()) for p in absent)


def test_unknown_pixels_are_marked(maker: PictureMaker) -> None:
    """Catches a loss over pixels that nobody labelled."""
    known = [p.known for p in maker.pairs(60, 1, 4, *SIZE)]
    assert any(float(k.min()) == 0 for k in known if k is not None)
    assert all(k is not None for k in known)


def test_every_word_is_known(maker: PictureMaker) -> None:
    """Catches a taught word that the user would be told is unknown."""
    words = frozenset(known_words(plain_palette()))
    for region in maker.regions:
        for name in region.words:
            assert set(split_words(name)) <= words


def test_the_table_names_every_thing(maker: PictureMaker) -> None:
    """Catches a table without the things that are drawn."""
    table = maker.table()
    assert "3 of ccp, 1 of coco" in table.replace("pictures: ", "")
    assert all(region.name in table for region in maker.regions)
    assert {"hair", "jacket", "sky", "car"} <= {region.name for region in maker.regions}


def test_a_batch_is_mixed_and_the_same_for_one_seed(maker: PictureMaker) -> None:
    """Catches old pairs left out, and draws that depend on what was drawn before."""
    mixed = MixedMaker(maker.old, maker, 0.25)
    again = []
    for _ in range(2):
        mixed.draws.begin(7)
        again.append(mixed.pairs(8, 1, 4, *SIZE))
    assert [p.known is None for p in again[0]] == [True] * 6 + [False] * 2
    assert [p.prompt for p in again[0]] == [p.prompt for p in again[1]]


def test_doubt_costs_the_same_whether_the_edit_is_there_or_not() -> None:
    """Catches the weighting by the realised change: at even odds its best answer is nothing."""
    source = torch.zeros(2, 3, 1, 2, 2)
    target = source.clone()
    target[0] = 0.5
    weights, expected = torch.ones(3), torch.full((2,), 0.1)

    def best(expected: torch.Tensor | None) -> float:
        shares = torch.linspace(0, 1, 101)
        losses = [
            edit_loss(
                torch.full_like(source, float(0.5 * s)), target, source, weights, None, expected
            )
            for s in shares
        ]
        return float(shares[int(torch.stack(losses).argmin())])

    assert best(expected) == pytest.approx(0.5, abs=0.02)
    assert best(None) < 0.15


def test_unknown_cells_do_not_count() -> None:
    """Catches a loss over cells whose target nobody knows."""
    source = torch.zeros(1, 3, 1, 2, 2)
    wrong = source.clone()
    wrong[..., 0] = 1.0
    known = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert edit_loss(wrong, source, source, torch.ones(3), known).item() == 0
    assert edit_loss(wrong, source, source, torch.ones(3)).item() > 0


@pytest.mark.slow
def test_expected_changes_are_by_kind(maker: PictureMaker) -> None:
    """Catches one figure for all: small things would vanish beside whole pictures."""
    codec = Codec(NANO.codec)
    load_weights(codec, named_folder("nano") / "codec.safetensors")
    codec.float()
    mixed = MixedMaker(maker.old, maker, 0.5)
    expected = ExpectedChange.measure(mixed, codec, torch.ones(48), 80)
    hair = EditSpec(Family.RECOLOUR, Scope.NAMED, (1.0, 0, 0), region="hair")
    assert 0 < expected.of(hair) == expected.by_kind["hair"]
    assert expected.of(EditSpec(Family.IDENTITY)) == expected.mean
    mixed.draws.begin(1)
    batch = collate(mixed.pairs(4, 1, 4, *SIZE), codec, expected)
    assert batch.num_old == 2
    assert batch.expected is not None
    assert batch.known is not None
    assert batch.known.shape == batch.subject.shape


def test_each_cell_of_a_labelled_picture_is_told_whatever_is_named(maker: PictureMaker) -> None:
    """Catches an auxiliary target that lags behind the camera, or that calls the unknown a thing.

    The sum of shares is recounted pixel by pixel from the labels; of clips nothing is told.
    """
    codec = Codec(NANO.codec)
    pairs = maker.pairs(12, 1, 4, *SIZE)
    batch = collate(pairs, codec)
    assert batch.parts is not None
    for pair, shares in zip(pairs, batch.parts, strict=True):
        assert pair.parts is not None
        frame = pair.parts[len(pair.parts) // 2].numpy()
        for (row, column), part in (((1, 4), 1), ((4, 5), 4), ((2, 7), 0)):
            cell = frame[16 * row : 16 * (row + 1), 16 * column : 16 * (column + 1)]
            assert float(shares[0, row, column, part]) == pytest.approx((cell == part).mean())
        assert float(shares.sum()) == pytest.approx((frame != 255).sum() / 256, rel=1e-5)
    assert collate(maker.old.pairs(2, 1, 4, *SIZE), codec).parts is None
    mixed = collate([*maker.old.pairs(1, 1, 4, *SIZE), pairs[0]], codec)
    assert mixed.parts is not None
    assert float(mixed.parts[0].sum()) == 0
    assert torch.equal(mixed.parts[1], batch.parts[0])


def test_the_parts_loss_is_that_of_known_cells_alone() -> None:
    """Catches unknown cells that count, and a rare part that weighs no more than a common one."""
    logits = torch.randn(1, 1, 2, 2, 3, generator=torch.Generator().manual_seed(0))
    shares = torch.zeros(1, 1, 2, 2, 3)
    shares[0, 0, 0, 0, 1] = 1.0
    shares[0, 0, 1, 1, 2] = 1.0
    said = logits.log_softmax(-1)
    first, second = said[0, 0, 0, 0, 1], said[0, 0, 1, 1, 2]
    loss = parts_loss(logits, shares, torch.tensor([1.0, 3.0, 1.0]))
    assert float(loss) == pytest.approx(float(-(3 * first + second) / 4))
    assert float(parts_loss(logits, torch.zeros_like(shares), torch.ones(3))) == 0


def test_parts_logits_lie_where_their_cells_do() -> None:
    """Catches a head that scatters the cells of a token: each of the 2x2 must be at its place."""
    editor = Editor(NANO)
    hidden = torch.zeros(1, 6, NANO.dim)
    hidden[0, 4, 0] = 1.0  # token (1, 1) of a grid of 2 x 3
    torch.nn.init.zeros_(editor.parts_head.weight)
    torch.nn.init.zeros_(editor.parts_head.bias)
    with torch.no_grad():
        editor.parts_head.weight.view(2, 2, NUM_PARTS, -1)[0, 1, 5, 0] = 7.0
    logits = editor.parts_logits(hidden, (2, 3), 1)
    assert logits.shape == (1, 1, 4, 6, NUM_PARTS)
    assert logits.nonzero().tolist() == [[0, 0, 2, 3, 5]]


def test_what_a_small_edit_changes_counts_more() -> None:
    """Catches a weight by the size of the change, and one for pairs where nothing is to happen."""
    change = torch.zeros(4, 1, 10, 10)
    change[0, 0, 0, :4] = 0.3
    change[1, 0, :3] = torch.linspace(1, 2, 10)
    change[2] = 5.0
    weights = inside_weights(change)
    assert weights.shape == change.shape
    assert torch.unique(weights[0]).tolist() == pytest.approx([1.0, MOST_INSIDE])
    assert torch.equal(weights[0] > 1, change[0] > 0)
    assert torch.unique(weights[1]).tolist() == pytest.approx([1.0, (0.7 / 0.3) ** 0.5])
    assert torch.equal(weights[2:], torch.ones(2, 1, 10, 10))


def test_what_an_edit_of_almost_all_leaves_counts_more() -> None:
    """Catches a face in "all but my face" that is a hundredth of the error, and so takes it."""
    change = torch.ones(2, 1, 10, 10)
    change[0, 0, 0, :4] = 0.0
    change[1, 0, :4] = 0.0
    weights = inside_weights(change)
    assert torch.unique(weights[0]).tolist() == pytest.approx([1.0, MOST_LEFT])
    assert torch.equal(weights[0] > 1, change[0] == 0)
    assert torch.unique(weights[1]).tolist() == pytest.approx([1.0, (0.6 / 0.4) ** 0.5])
