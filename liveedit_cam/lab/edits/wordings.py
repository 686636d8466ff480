"""The words of instructions, from ``words.toml``, and the wordings, from ``templates/*.toml``.

A template holds ``{slot}``s; ``instructions.py`` fills them from ``SLOTS``, a colour or a hue name.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from liveedit_cam.lab.edits.spec import RGB, Family, Scope, Side

Words = tuple[str, ...]


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


def _read_templates() -> dict[str, Words]:
    kinds: dict[str, Words] = {}
    for path in sorted(Path(__file__).with_name("templates").glob("*.toml")):
        for kind, templates in _read(path).items():
            kinds[kind] = (*kinds.get(kind, ()), *templates)  # a kind may stand in two files
    return kinds


def _table(name: str) -> dict[str, Words]:
    return {key: tuple(words) for key, words in _WORDS[name].items()}


_WORDS = _read(Path(__file__).with_name("words.toml"))
_NOTHING = ("",) * 6
"""How often nothing is said before or after a wording: as often as six of the things to say."""

TEMPLATES = _read_templates()
"""The wordings of each kind: "family:scope", "solid:background" (the background in one colour),
"region", "strength" and "join" (two edits at once)."""
COLOURS: dict[str, RGB] = {name: (r, g, b) for name, (r, g, b) in _WORDS["colours"].items()}
"""RGB 0..1."""
SHADES: dict[str, float] = _WORDS["shades"]
SLOTS = _table("slots")
FROM_WORDS = _table("from_words")
"""What a changed colour may be called besides its name."""
SIDE_WORDS = {Side(name): words for name, words in _table("side_words").items()}
REGION_WORDS = {Scope(name): words for name, words in _table("region_words").items()}
ADJECTIVES = {Family(name): words for name, words in _table("adjectives").items()}
"""Words that can stand after "make it"; a family without them takes no region and no adverb."""
SLIGHT_WORDS: Words = tuple(_WORDS["slight"])
STRONG_WORDS: Words = tuple(_WORDS["strong"])
BEFORE: Words = (*_NOTHING, *_WORDS["before"])
AFTER: Words = (*_NOTHING, *_WORDS["after"])
DISTRACTORS: Words = tuple(_WORDS["distractors"])
FUNCTION_WORDS = frozenset(_WORDS["function_words"])
