"""What of a prompt a small model is given to read."""

from __future__ import annotations

import pytest

from liveedit_cam.model.dit import TextKV
from liveedit_cam.model.prompts import condition

WORDS = frozenset(("make", "it", "a", "bit", "darker", "brighter", "night"))


@pytest.mark.parametrize(
    ("prompt", "read"),
    [
        ("darker", "make it darker"),
        ("Brighter!", "make it Brighter!"),
        ("a bit darker", "a bit darker"),
        ("night", "night"),
        ("make it darker", "make it darker"),
    ],
)
def test_a_comparative_alone_is_read_as_a_sentence(prompt: str, read: str) -> None:
    """Catches README's own "darker", which by itself changed next to nothing."""
    heard: list[str] = []

    def encode(sentence: str) -> list[TextKV]:
        heard.append(sentence)
        return []

    made = condition(prompt, encode, WORDS, 20)
    assert heard == [read]
    assert made.prompt == prompt
    assert made.is_understood
    assert not made.unknown


@pytest.mark.parametrize(
    ("prompt", "spares"),
    [
        ("make everything except my face darker", True),
        ("Everything but my hair brighter", True),
        ("make the background darker", True),
        ("make the wall behind me brighter", True),
        ("make it night", False),
        ("make my hair darker", False),
    ],
)
def test_what_spares_a_part_is_known(prompt: str, spares: bool) -> None:
    """Catches a small face that was left alone, taken for a fault of the model and painted."""
    assert condition(prompt, lambda sentence: [], WORDS, 20).spares is spares


def test_each_edit_of_a_sentence_spares_for_itself() -> None:
    """Catches the second edit taken for the first."""
    made = condition("make the background darker and make it brighter", lambda _: [], WORDS, 20)
    assert made.then is not None
    assert (made.spares, made.then.spares) == (True, False)
