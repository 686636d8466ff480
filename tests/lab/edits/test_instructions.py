"""The grammar of instructions: whole wordings, known words, named colours."""

from __future__ import annotations

import random
import re

import pytest

from liveedit_cam.lab.edits.colours import NAMES
from liveedit_cam.lab.edits.instructions import (
    COLOURS,
    Palette,
    draw_spec,
    fill,
    known_words,
    misspell,
    plain_palette,
    shaded,
    survey_palette,
    word,
)
from liveedit_cam.lab.edits.spec import REGIONS, EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import TEMPLATES
from liveedit_cam.lab.training.text_stage import KINDS
from liveedit_cam.model.text import unknown_words

VALUES = {
    "colour": "navy",
    "second": "beige",
    "from": "cyan",
    "side": "above",
    "region": "top",
    "adjective": "sepia",
    "adverb": "very",
    "target": "my hair",
    "bare": "hair",
}


@pytest.fixture(scope="module")
def survey() -> Palette:
    """Every named colour."""
    return survey_palette()


def test_every_template_fills() -> None:
    """Catches a slot without synonyms and a misspelt one; a few draws reach many synonyms."""
    rng = random.Random(0)
    assert sum(map(len, TEMPLATES.values())) >= 1500
    for template in (t for kind, group in TEMPLATES.items() if kind != "join" for t in group):
        for _ in range(5):
            filled = fill(template, VALUES, rng)
            assert not re.search(r"[{}]", filled), template
            assert "  " not in filled, template
            assert filled == filled.strip()


def test_no_template_asks_for_two_kinds() -> None:
    """Catches one wording with two meanings."""
    templates = [template for group in TEMPLATES.values() for template in group]
    assert len(set(templates)) == len(templates)


def test_a_wording_names_its_colours() -> None:
    """Catches a template that asks for a colour without saying which, or from which."""
    coloured = ("recolour", "replace_colour", "gradient", "solid", "light")
    for kind, group in TEMPLATES.items():
        family = kind.partition(":")[0]
        for template in group:
            assert ("{colour}" in template) == (family in coloured), template
            assert ("{from}" in template) == (family == "replace_colour"), template
            assert ("{second}" in template) == (family == "gradient"), template
            assert ("{side}" in template) == (family == "light"), template
            assert ("{region}" in template) == (family == "region"), template
            assert ("{adverb}" in template) == (family == "strength"), template


@pytest.mark.parametrize("palette_name", ["plain", "survey"])
def test_every_drawn_word_is_known(palette_name: str, request: pytest.FixtureRequest) -> None:
    """Catches a wording with a word that words.json lacks: the user would be told it is unknown."""
    is_plain = palette_name == "plain"
    palette = plain_palette() if is_plain else request.getfixturevalue("survey")
    known = frozenset(known_words(palette))
    rng = random.Random(2)
    for _ in range(2000):
        _, prompt = draw_spec(rng, palette, KINDS)
        assert unknown_words(prompt, known) == (), prompt


def test_known_words_hold_no_slot_names() -> None:
    """Catches slots counted as words: "background" is one, "adverb" is not."""
    known = known_words(plain_palette())
    assert list(known) == sorted(set(known))
    assert {"background", "sepia", "lavender", "don't", "teal"} <= set(known)
    assert not {"adverb", "adjective"} & set(known)
    assert not any(re.search(r"[^a-z0-9']", word) for word in known)


def test_drawn_edits_have_what_their_family_needs() -> None:
    """Catches a recolouring without a colour, a scope that is lost, and families never drawn."""
    rng, palette = random.Random(3), plain_palette()
    drawn = [draw_spec(rng, palette, KINDS)[0] for _ in range(4000)]
    coloured = (Family.RECOLOUR, Family.REPLACE_COLOUR, Family.GRADIENT, Family.LIGHT)
    for spec in (*drawn, *(s.then for s in drawn if s.then is not None)):
        assert (spec.colour is not None) == (spec.family in coloured)
        assert (spec.from_colour in NAMES) == (spec.family is Family.REPLACE_COLOUR)
        assert (spec.side is not None) == (spec.family is Family.LIGHT)
        assert spec.second_colour is None or spec.family is Family.GRADIENT
        for colour in (spec.colour, spec.second_colour):
            assert colour is None or all(0 <= c <= 1 for c in colour)
        if spec.family is Family.GRADIENT:
            assert spec.scope is Scope.BACKGROUND
    assert {spec.family for spec in drawn} == set(Family)
    assert {spec.scope for spec in drawn} == set(Scope) - {Scope.NAMED}
    assert {spec.strength for spec in drawn} == {0.5, 1.0, 1.4}
    assert sum(spec.then is not None for spec in drawn) > 50


def test_regions_name_their_place() -> None:
    """Catches "the left half" that edits the right one: the words of a region and its scope."""
    rng, palette = random.Random(5), plain_palette()
    places = {Scope.LEFT: "left", Scope.RIGHT: "right", Scope.TOP: ("top", "upper")}
    for _ in range(300):
        spec, prompt = draw_spec(rng, palette, ["region"])
        assert spec.scope in REGIONS
        words = places.get(spec.scope, ("",))
        assert any(word in prompt for word in ([words] if isinstance(words, str) else words))


def test_slightly_is_weaker_than_strongly() -> None:
    """Catches an adverb with the strength of the other group."""
    rng, palette = random.Random(6), plain_palette()
    for _ in range(300):
        spec, prompt = draw_spec(rng, palette, ["strength"])
        is_slight = re.search(r"slightly|\ba (little )?bit|a little|somewhat|subtly|mildly", prompt)
        assert spec.strength == (0.5 if is_slight else 1.4), prompt


def test_same_seed_same_wording() -> None:
    """Catches the global generator: a resumed run would see other instructions."""
    one, other = (
        [draw_spec(random.Random(s), plain_palette(), KINDS) for s in range(50)] for _ in "ab"
    )
    assert one == other
    assert len({prompt for _, prompt in one}) > 25


def test_wordings_vary() -> None:
    """Catches one wording per edit, from which a text encoder learns nothing."""
    rng, night = random.Random(4), EditSpec(Family.NIGHT)
    assert len({word(night, {}, rng) for _ in range(300)}) > 60


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


def test_a_misspelt_prompt_still_names_whom_it_means() -> None:
    """Catches "me" left out: "make blue" asks for the whole picture.

    Also typos so many that a prompt is not the one it was, and a draw that changes nothing at all.
    """
    rng = random.Random(4)
    prompt = "turn the camera picture of me blue"
    drawn = [misspell(prompt, rng).split() for _ in range(400)]
    typos = sum("me" not in words for words in drawn)
    assert typos < 0.06 * len(drawn)  # one prompt in eight has a typo, seldom in this word
    assert len({" ".join(words) for words in drawn}) > 200
    assert sum("turn" in words and "blue" in words for words in drawn) > 0.85 * len(drawn)
