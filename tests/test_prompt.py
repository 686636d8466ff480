"""What is taken for an instruction, what is made of it, and what is refused."""

from __future__ import annotations

import random

import pytest

from liveedit_cam.errors import InstructionError
from liveedit_cam.lab.edits.instructions import draw_spec, fill, plain_palette
from liveedit_cam.lab.edits.wordings import TEMPLATES
from liveedit_cam.lab.evaluation.unseen import UNSEEN
from liveedit_cam.prompt import LEAVE, checked_prompt
from liveedit_cam.types import MAX_PROMPT_CHARS

_APART = ("join", "solid", ":named", ":except")  # drawn by other makers
KINDS = [kind for kind in TEMPLATES if not any(part in kind for part in _APART)]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("make it night", "make it night"),
        ("  make   it\tnight ", "make it night"),
        ("make it night\r\n", "make it night"),
        ("make the background\nblue", "make the background blue"),
        ("make it\u2028night", "make it night"),
        ("ｍａｋｅ　ｉｔ　ｎｉｇｈｔ", "make it night"),
        ("make it ni\u200bght", "make it night"),
        ("\ufeffmake it night", "make it night"),
        ("make it night\u00ad\u200e", "make it night"),
        ('"make it night"', "make it night"),
        ("“make it night”", "make it night"),
        ("«make it night»", "make it night"),
        ("'make it night'", "make it night"),
        ("``make it night``", "make it night"),
        ('"make it night', "make it night"),
        ('make the "wall" blue', 'make the "wall" blue'),
        ("don't touch me, make the rest blue", "don't touch me, make the rest blue"),
        ("🌙 make it night 🌙", "make it night"),
        ("make it night 👩🏽‍🚀❤️", "make it night"),
        ("make it night!", "make it night!"),
        ("mach es blau", "mach es blau"),
        ("背景を青に", "背景を青に"),
    ],
)
def test_an_instruction_is_read_as_it_was_meant(given: str, read: str) -> None:
    """Catches letters, blanks and marks that people paste without seeing them (issue 15)."""
    assert checked_prompt(given) == read


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "an empty instruction.*expected at least one word"),
        (" \n", "an empty instruction"),
        ("\u200b\u3164", "expected at least one word"),
        ("🌙🌙", "🌙🌙.*expected at least one word"),
        ("?!...", "expected at least one word"),
        ('""', "expected at least one word"),
        ("make it\x00night", r"control character U\+0000 at position 7"),
        ("\x1b[31mred", r"control character U\+001B"),
        ("red \ud800", r"control character U\+D800"),
        (7, "type int, expected text"),
        ("a" * (MAX_PROMPT_CHARS + 1), "2001 characters, expected at most 2000"),
        ("\ufdfa" * 500, "9000 characters, expected at most 2000"),  # one folds to 18
    ],
)
def test_what_holds_no_word_is_refused(given: object, said: str) -> None:
    """Catches a picture of a moon accepted with nothing said, and a limit passed by folding."""
    with pytest.raises(InstructionError, match=said):
        checked_prompt(given)


@pytest.mark.parametrize(
    "given",
    [
        *("undo", "Undo!", "undo it", "undo that please", "original", "the original", "OFF"),
        *("off", "please turn it off", "switch off", "nothing", "none", "no", "revert", "cancel"),
        *("stop", "normal", "as is", "“undo”", "no filter"),
    ],
)
def test_one_word_brings_the_picture_back(given: str) -> None:
    """Catches "undo" answered by a hint on shirts: it is what users type first (issue 15)."""
    assert checked_prompt(given) == LEAVE


@pytest.mark.parametrize(
    "given",
    [
        *(
            "don't make it night",
            "Don’t make it night",
            "dont make it night",
            "do not make it night",
        ),
        *("please don't turn everything blue", "never make it night", "no snow", "no snow please"),
        *("without snow", "make it night without snow", "make it night, no fog", "not night"),
        *("make me blue, not red", "do not blur the background", "don't blur my background"),
        *("it should not be dark", "i don't want night", "i don't want it to look like night"),
        *("no more fog", "stop the snow", "stop making it night", "avoid red", "remove the snow"),
        *("undo the night", "turn off the neon look", "get rid of the fog", "take away the sepia"),
        *("anything but night", "make it cold but do not add snow", "don't paint me gold"),
        *("no, don't make it night", "don't make the wall behind me in any way blue"),
        *("not a night but not a day", "we must not see fog", "it isn't night"),
    ],
)
def test_what_is_ruled_out_is_never_done(given: str) -> None:
    """Catches "don't make it night" that makes it night: a model reads words (issue 15)."""
    with pytest.raises(InstructionError, match=r"says what not to do.*Write only what to do"):
        checked_prompt(given)


@pytest.mark.parametrize(
    "given",
    [
        "everything except my face blue",
        "make everything but me blue",
        "leave the person as it is and make the background blue",
        "don't touch the person, paint the wall blue",
        "don't touch me and make the rest night",
        "don't change me but make it night",
        "don't touch the person make the background night",
        "do not change anything",
        "not the full picture, only the left half foggy",
        "turn the person into blue, not the background",
        "not a red cup but a blue one",
        "i don't like red, use blue for that",
        "no colour in the background please",
        "without colours",
        "remove all colour",
        "remove the background and show blue",
        "not so bright",
        "it is not dark enough",
        "why not make it night",
        "why don't you make it night",
        "can't you make it night",
        "not only night, also snow",
        "don't forget to make it night",
        "no, make it night",
        "no make it night",
        "never mind, make it blue",
        "a notch warmer",
        "now make it night",
        "nothing but blue behind me",
        "less blue, more yellow",
        "night instead of day",
        "turn off the lights",
        "take the warmth out of it",
        "the snowy north",
    ],
)
def test_other_sentences_pass(given: str) -> None:
    """Catches a rule that refuses "not" and "no" wherever they stand."""
    assert checked_prompt(given) == given


def test_every_wording_that_was_taught_passes_unchanged() -> None:
    """Catches a rule that takes a taught wording away: all of identity, and 6,000 drawn ones."""
    rng = random.Random(3)
    kinds = [*(kind for kind in KINDS), "two"]
    drawn = [draw_spec(rng, plain_palette(), kinds)[1] for _ in range(6000)]
    identity = [fill(template, {}, rng) for template in TEMPLATES["identity:whole"]]
    for prompt in [*drawn, *identity, *(wording for wording, _ in UNSEEN)]:
        assert checked_prompt(prompt) == " ".join(prompt.split()), prompt
