"""German, French, Spanish and Chinese, word by word into the English a small model was taught.

What an instruction says is simple enough for that: a verb, a thing, a colour, in the same order.
Words that stand in no table stay as they are, and are told as not understood. Knows no model.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files

LEAST_TOLD = 0.6
"""Share of an instruction's words that a language must have, and one that is no English word."""
MOST_WORDS = 5
"""Of a phrase in the tables."""
_WORD = re.compile(r"[^\W_]+")
_HAN = re.compile(r"[\u3400-\u9fff]")


def in_english(prompt: str, english: Collection[str]) -> str:
    """``prompt`` in English where it is of another language that is known, else as it is.

    ``english`` are the words a model was taught; a sentence of those alone is left alone.
    """
    pieces = _pieces(prompt)
    if all(piece in english for piece in pieces):
        return prompt
    best, most = prompt, 0.0
    for table in _tables().values():
        told, is_known = _translated(pieces, table)
        is_foreign = any(
            known and piece not in english for piece, known in zip(pieces, is_known, strict=True)
        )
        share = sum(is_known) / len(pieces)
        if is_foreign and share >= LEAST_TOLD and share > most:
            best, most = " ".join(" ".join(told).split()), share
    return best


def _pieces(prompt: str) -> list[str]:
    """Words without accents, in lower case; of Chinese each sign, and commas, which join there."""
    found = []
    for word in _WORD.findall(prompt.lower().replace("，", " 和 ")):
        found += list(word) if _HAN.search(word) else [_plain(word)]
    return found


def _plain(word: str) -> str:
    """Without accents: many people type none."""
    parts = unicodedata.normalize("NFKD", word.replace("ß", "ss"))
    return "".join(part for part in parts if not unicodedata.combining(part))


def _translated(
    pieces: list[str], table: Mapping[tuple[str, ...], str]
) -> tuple[list[str], list[bool]]:
    """English of ``pieces``, the longest phrase first, and which of them the table has."""
    told, is_known, at = [], [], 0
    while at < len(pieces):
        for length in range(min(MOST_WORDS, len(pieces) - at), 0, -1):
            phrase = tuple(pieces[at : at + length])
            if phrase in table:
                told.append(table[phrase])
                is_known += [True] * length
                at += length
                break
        else:
            told.append(pieces[at])
            is_known.append(False)
            at += 1
    return told, is_known


@cache
def _tables() -> dict[str, dict[tuple[str, ...], str]]:
    """English by phrase, for each language."""
    text = files(__package__).joinpath("languages.toml").read_text("utf-8")
    return {
        language: {
            tuple(_pieces(phrase)): word for word, phrases in table.items() for phrase in phrases
        }
        for language, table in tomllib.loads(text).items()
    }
