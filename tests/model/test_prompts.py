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
