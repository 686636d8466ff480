"""Where a sentence of several edits is cut, and where it is not."""

from __future__ import annotations

import pytest

from liveedit_cam.model.clauses import edits_of

LOOKS = {
    *("blue", "red", "gold", "teal", "pink", "green", "orange", "yellow", "emerald", "deep"),
    *("grey", "monochrome", "night", "dark", "darker", "colder", "warmer", "warm", "light"),
    *("fog", "snow", "blurry", "blur", "invert", "brighten"),
}


@pytest.mark.parametrize(
    ("prompt", "edits"),
    [
        (
            "make the background blue and my shirt red",
            ("make the background blue", "make my shirt red"),
        ),
        (
            "Change my shirt to red and my hair to blue",
            ("change my shirt to red", "change my hair to blue"),
        ),
        (
            "first make the wall teal, then turn the person gold please",
            ("first make the wall teal", "turn the person gold please"),
        ),
        (
            "Paint the sky orange. Make the car yellow",
            ("paint the sky orange", "make the car yellow"),
        ),
        ("blur the background and my shirt red", ("blur the background", "make my shirt red")),
        (
            "the background black and white and me gold",
            ("the background black and white", "make me gold"),
        ),
        (
            "my shirt red, the wall behind me a bit darker, and also make my hair pink",
            ("my shirt red", "make the wall behind me a bit darker", "make my hair pink"),
        ),
        ("make my hair and my shirt blue", ("make my hair blue", "make my shirt blue")),
        ("change my hat and coat to red", ("change my hat to red", "change coat to red")),
        (
            "turn the blue chair and the green wall red",
            ("turn the blue chair red", "turn the green wall red"),
        ),
        ("make it night & blur the background", ("make it night", "blur the background")),
        ("make the left half red and the right half blue",
         ("make the left half red", "make the right half blue")),
    ],
)  # fmt: skip
def test_two_whole_edits_are_cut_apart(prompt: str, edits: tuple[str, ...]) -> None:
    """Catches the second edit of a sentence that is lost, and a verb that does not go on to it."""
    assert edits_of(prompt, LOOKS.__contains__) == edits


@pytest.mark.parametrize(
    "prompt",
    [
        "make the background blue",
        "make it black and white",
        "make it darker and colder",
        "make everything blue and grey",
        "a gradient from deep blue to red behind me",
        "red light from the left and the right",
        "add fog and snow",
        "make my hair and my shirt",
        "change the wall and make it",
        "change my hat, shirt and coat to red",
        "paint the shirt of the man and the cup",
        "make the red and blue cup orange",
        "the subject stays in color, the rest is black and white",
        "make everything blue and leave my face as it is",
        "don't make it night and the shirt red",
        "it is too dark, brighten everything",
        "Make Me Blue,",
        "and",
        "",
    ],
)
def test_one_edit_stays_one_sentence_word_for_word(prompt: str) -> None:
    """Catches a list, a look of two words or what is to be left alone that is cut in two."""
    assert edits_of(prompt, LOOKS.__contains__) == (prompt,)
