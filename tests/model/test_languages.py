"""Other languages, word by word into English, and English left alone."""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest
from tiny_model import tiny_stream

from liveedit_cam.model.languages import in_english
from liveedit_cam.model.text import split_words

WORDS = Path(__file__).parents[2] / "models" / "nano" / "words.json"
ENGLISH = frozenset(json.loads(WORDS.read_text("utf-8")))


@pytest.mark.parametrize(
    ("prompt", "english"),
    [
        ("mach den Hintergrund blau", "make the background blue"),
        ("Färbe mein Hemd rot", "paint my shirt red"),
        ("faerbe meine Haare gruen", "paint my hair green"),
        ("schwarz-weiß bitte", "black and white please"),
        ("mach es zur Nacht", "make it night"),
        ("rends l'arrière-plan bleu", "make the background blue"),
        ("rends l’arriere plan bleu", "make the background blue"),
        ("tout sauf mon visage en noir et blanc", "everything except my face black and white"),
        ("haz el fondo azul", "make the background blue"),
        ("cambia mi camisa a rojo", "change my shirt red"),
        ("把背景变成蓝色", "make the background blue"),
        ("把我的头发染成蓝色，把衬衫变成红色", "make my hair blue and make shirt red"),
        ("让它变成夜晚", "make it night"),
        ("mach den Sessel blau", "make the sessel blue"),
    ],
)
def test_four_languages_become_english(prompt: str, english: str) -> None:
    """Catches accents that must be typed, phrases cut in words, and signs without blanks."""
    assert in_english(prompt, ENGLISH) == english


@pytest.mark.parametrize(
    "prompt",
    [
        "make the background blue",
        "mke my shrt red",
        "make it rosa",
        "turn my hair die blue",
        "qwertz",
        "背",
        "make it",
        "?",
        "",
    ],
)
def test_english_is_left_alone(prompt: str) -> None:
    """Catches a typo that is a word elsewhere and turns the sentence over."""
    assert in_english(prompt, ENGLISH) == prompt


def test_every_word_of_the_tables_is_english_that_was_taught() -> None:
    """Catches a translation that the model cannot read."""
    text = files("liveedit_cam.model").joinpath("languages.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    assert sorted(tables) == ["Chinese", "French", "German", "Spanish"]
    for table in tables.values():
        strange = {w for english in table for w in split_words(english)} - ENGLISH
        assert not strange
        phrases = Counter(phrase for several in table.values() for phrase in several)
        assert not [phrase for phrase, count in phrases.items() if count > 1]


def test_a_stream_reads_them_and_never_does_what_is_ruled_out() -> None:
    """Catches "nicht" that is dropped on the way, and a notice in other words than were typed."""
    stream = tiny_stream()
    said = stream.encode_text("mach es schwarz und weiß")
    assert (said.unknown, said.is_understood) == ((), True)
    both = stream.encode_text("mach es blau und mach es schwarz")
    assert both.then is not None
    refused = stream.encode_text("mach es nicht dunkel")
    assert (refused.unknown, refused.is_understood) == (("mach es nicht dunkel",), False)
