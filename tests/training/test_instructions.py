"""The grammar of instructions: whole wordings, known words, named colours."""

from __future__ import annotations

import random
import re

import pytest

from liveedit_cam.model.text import unknown_words
from liveedit_cam.training.edits import HUES, EditSpec, Family, Scope
from liveedit_cam.training.instructions import (
    COLOURS,
    Palette,
    draw_spec,
    fill,
    known_words,
    plain_palette,
    shaded,
    survey_palette,
    word,
)
from liveedit_cam.training.text_stage import FAMILIES
from liveedit_cam.training.wordings import LOOK_TEMPLATES, SCOPED_TEMPLATES

TEMPLATES = [
    *((EditSpec(f), t) for f, group in LOOK_TEMPLATES.items() for t in group),
    *((EditSpec(f, s), t) for (f, s), group in SCOPED_TEMPLATES.items() for t in group),
]


@pytest.fixture(scope="module")
def survey() -> Palette:
    """Every named colour; needs matplotlib."""
    pytest.importorskip("matplotlib")
    return survey_palette()


def test_every_template_fills() -> None:
    """Catches a slot without synonyms and a misspelt one; a few draws reach many synonyms."""
    rng = random.Random(0)
    assert len(TEMPLATES) >= 150
    for spec, template in TEMPLATES:
        spec = EditSpec(spec.family, spec.scope, (0, 0, 0), "red")
        for _ in range(5):
            filled = fill(template, spec, "navy", rng)
            assert not re.search(r"[{}]", filled), template
            assert "  " not in filled, template
            assert filled == filled.strip()


def test_a_wording_names_its_colours() -> None:
    """Catches a template that asks for a colour without saying which, or from which."""
    rng = random.Random(1)
    for spec, template in TEMPLATES:
        if spec.family not in (Family.RECOLOUR, Family.REPLACE_COLOUR):
            assert "{colour}" not in template
            assert "{from}" not in template
            continue
        full = EditSpec(spec.family, spec.scope, (0, 0, 0), "cyan")
        filled = fill(template, full, "navy", rng).split()
        assert "navy" in filled, template
        assert ("cyan" in filled) == (spec.family is Family.REPLACE_COLOUR), template


@pytest.mark.parametrize("palette_name", ["plain", "survey"])
def test_every_drawn_word_is_known(palette_name: str, request: pytest.FixtureRequest) -> None:
    """Catches a wording with a word that words.json lacks: the user would be told it is unknown."""
    is_plain = palette_name == "plain"
    palette = plain_palette() if is_plain else request.getfixturevalue("survey")
    known = frozenset(known_words(palette))
    rng = random.Random(2)
    for _ in range(2000):
        _, prompt = draw_spec(rng, palette, FAMILIES)
        assert unknown_words(prompt, known) == (), prompt


def test_known_words_hold_no_slot_names() -> None:
    """Catches slots counted as words: "background" is one, "thing" and "from" are not by name."""
    known = known_words(plain_palette())
    assert list(known) == sorted(set(known))
    assert {"background", "sepia", "lavender", "don't", "teal"} <= set(known)
    assert "thing" not in known
    assert not any(re.search(r"[^a-z0-9']", word) for word in known)


def test_drawn_edits_have_what_their_family_needs() -> None:
    """Catches a recolouring without a colour, a scope that is lost, and families never drawn."""
    rng, palette = random.Random(3), plain_palette()
    drawn = [draw_spec(rng, palette, FAMILIES)[0] for _ in range(2000)]
    for spec in drawn:
        needs = spec.family in (Family.RECOLOUR, Family.REPLACE_COLOUR)
        assert (spec.colour is not None) == needs
        assert (spec.from_colour in HUES) == (spec.family is Family.REPLACE_COLOUR)
        if spec.colour is not None:
            assert all(0 <= c <= 1 for c in spec.colour)
    assert {spec.family for spec in drawn} == set(Family)
    assert all(s.scope is Scope.BACKGROUND for s in drawn if s.family is Family.BLUR)


def test_same_seed_same_wording() -> None:
    """Catches the global generator: a resumed run would see other instructions."""
    one, other = (
        [draw_spec(random.Random(s), plain_palette(), FAMILIES) for s in range(50)] for _ in "ab"
    )
    assert one == other
    assert len({prompt for _, prompt in one}) > 25


def test_wordings_vary() -> None:
    """Catches one wording per edit, from which a text encoder learns nothing."""
    rng, night = random.Random(4), EditSpec(Family.NIGHT)
    assert len({word(night, "", rng) for _ in range(300)}) > 60


def test_shades_darken_and_lighten() -> None:
    """Catches "dark" that brightens and a "pale" beyond white."""
    assert shaded((0.8, 0.4, 0.2), 0.5) == pytest.approx((0.4, 0.2, 0.1))
    red, green, blue = shaded((0.8, 0.4, 0.2), 1.5)
    assert (red > 0.8, green > 0.4, blue > 0.2) == (True, True, True)
    assert max(red, green, blue) <= 1


def test_palettes_start_with_the_plain_names(survey: Palette) -> None:
    """Catches a survey colour that replaces a plain one ("green" is 0, 128, 0 in CSS)."""
    for palette in (plain_palette(), survey):
        assert palette.names[: palette.num_plain] == tuple(COLOURS)
        assert palette.colours[: palette.num_plain] == tuple(COLOURS.values())
        assert len(palette.names) == len(palette.colours)
    assert not set(COLOURS) & set(survey.names[survey.num_plain :])
    assert len(survey.names) > 500
    drawn = {survey.draw(random.Random(n))[0] for n in range(500)}
    assert drawn & set(survey.names[survey.num_plain :])
    assert drawn & set(COLOURS)
