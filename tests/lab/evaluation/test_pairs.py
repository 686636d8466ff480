"""The pairs: regenerable, balanced, sensible on their clips, asked for in the right words."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from small_clips import coloured_clip

from liveedit_cam.errors import UsageError
from liveedit_cam.lab.edits.clips import Clip
from liveedit_cam.lab.edits.spec import EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import COLOURS
from liveedit_cam.lab.evaluation.pairs import PLAN, Shelf, draw_pairs, planned, window
from liveedit_cam.lab.evaluation.phrasing import describe, taught_wording
from liveedit_cam.lab.evaluation.unseen import UNSEEN


def test_the_plan_holds_every_family_and_every_scope() -> None:
    """Catches a family that is never measured, and halves that are not 60 pairs."""
    families = {slot.kind.partition(":")[0] for slot in PLAN}
    assert set(Family) <= families
    assert {slot.scope for slot in PLAN if slot.kind == "region"} == {
        *(Scope.LEFT, Scope.RIGHT, Scope.TOP, Scope.BOTTOM, Scope.CENTRE)
    }
    assert len(PLAN) == 60


def test_one_seed_one_list_of_which_fewer_pairs_are_the_beginning() -> None:
    """Catches a draw that depends on the number of pairs, on earlier pairs or on hash order."""
    shelf = Shelf([coloured_clip()])
    eight = tuple(draw_pairs(shelf, 8, seed=3))
    assert tuple(draw_pairs(shelf, 3, seed=3)) == eight[:3]
    assert tuple(draw_pairs(shelf, 8, seed=4)) != eight


def test_both_halves_follow_the_plan_with_the_wordings_exchanged() -> None:
    """Catches a half that favours easy edits, and an edit that is asked for in one way only."""
    even, odd = ([planned(number, 5) for number in range(half, 120, 2)] for half in range(2))
    assert Counter(slot for slot, _ in even) == Counter(slot for slot, _ in odd) == Counter(PLAN)
    once = Counter((slot, is_unseen) for slot, is_unseen in (*even, *odd) if PLAN.count(slot) == 1)
    assert set(once.values()) == {1}
    assert [slot for slot, _ in even] != [slot for slot, _ in odd]


def test_pairs_are_on_clips_that_show_what_is_asked_for() -> None:
    """Catches "change green to ..." on a clip without green, and a clip that is never taken.

    The paler stripes are grey enough to be half white.
    """
    shelf = Shelf([coloured_clip("a"), coloured_clip("b")])
    pairs = list(draw_pairs(shelf, 32))
    assert [pair.is_real for pair in pairs[:4]] == [True, False, True, False]
    real = [pair for pair in pairs if pair.is_real]
    changed = {pair.spec.from_colour for pair in real} - {None}
    assert changed
    assert changed <= {"red", "blue", "grey", "white"}
    assert {pair.clip for pair in real} == {"a", "b"}


def test_every_pair_is_asked_for_in_other_words_too() -> None:
    """Catches wordings of another edit, unmarked ones, and a first one that comes again."""
    asked = dict(UNSEEN)
    pairs = list(draw_pairs(Shelf([coloured_clip()]), 24))
    for pair in pairs:
        texts = [wording.text for wording in pair.wordings]
        assert len(set(texts)) == len(texts) >= 2
        assert any(not wording.is_unseen for wording in pair.wordings)
        for wording in pair.wordings:
            assert wording.is_unseen == (wording.text in asked)
            assert asked.get(wording.text, pair.spec) == pair.spec
    assert any(pair.wordings[0].is_unseen for pair in pairs)
    assert any(not pair.wordings[0].is_unseen for pair in pairs)


def test_without_real_clips_every_pair_has_a_drawn_scene_of_its_own() -> None:
    """Catches a run that needs clips, and scenes that training draws (small seeds)."""
    pairs = list(draw_pairs(Shelf([]), 4))
    names = {pair.clip for pair in pairs}
    assert len(names) == 4
    assert not any(pair.is_real for pair in pairs)
    assert all(int(name.removeprefix("drawn-")) >= 1_000_000 for name in names)
    again = Shelf([]).get(pairs[0].clip)
    assert np.array_equal(again.frames, Shelf([]).get(pairs[0].clip).frames)


def test_the_grammar_words_the_edit_it_is_given() -> None:
    """Catches a wording that lost its colour, its side or its second edit."""
    rng = random.Random(0)
    red, pale = COLOURS["red"], COLOURS["blue"]
    two = EditSpec(Family.RECOLOUR, Scope.BACKGROUND, red, then=EditSpec(Family.NIGHT))
    assert "red" in taught_wording(two, rng)
    behind = EditSpec(Family.GRADIENT, Scope.BACKGROUND, red, second_colour=pale)
    text = taught_wording(behind, rng)
    assert text.index("red") < text.index("blue")
    slight = EditSpec(Family.WARM, strength=0.5)
    assert "warm" in taught_wording(slight, rng)
    assert describe(two) == "recolour background red and night whole"


def test_clips_without_what_is_asked_for_are_refused() -> None:
    """Catches a draw that never ends on clips that show no subject and no colour."""
    grey = np.full((12, 32, 48, 3), 120, np.uint8)
    plain = Clip("plain", grey, np.zeros(grey.shape[:3], np.uint8), 24.0, False)
    with pytest.raises(UsageError, match="makes sense"):
        list(draw_pairs(Shelf([plain]), 20))


def test_a_short_clip_is_played_back_and_forth() -> None:
    """Catches a jump at the end of a clip, which would be a cut to the model."""
    frames = np.arange(5, dtype=np.uint8)
    assert window(frames, 3, 8).tolist() == [3, 4, 3, 2, 1, 0, 1, 2]
    assert window(frames[:1], 0, 3).tolist() == [0, 0, 0]


def test_a_clip_that_is_not_there_is_named() -> None:
    """Catches a KeyError where pairs were drawn with other clips."""
    with pytest.raises(UsageError, match=r"got a pair on clip 'dog'.*--media"):
        Shelf([]).get("dog")
