"""The grammar of instructions: an exact edit in, one of many wordings out. Knows no pictures.

Templates hold ``{verb}``-like slots that are filled from synonym lists; colours come from a table
of plain names and, in training, from the named colours of matplotlib (CSS and XKCD survey).
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from matplotlib.colors import CSS4_COLORS, XKCD_COLORS, to_rgb

from liveedit_cam.lab.edits.colours import HUES, NAMES, NEUTRALS
from liveedit_cam.lab.edits.regions import OWNERS, PLACES
from liveedit_cam.lab.edits.regions import REGIONS as NAMED_REGIONS
from liveedit_cam.lab.edits.spec import REGIONS, RGB, EditSpec, Family, Scope, Side
from liveedit_cam.lab.edits.wordings import (
    ADJECTIVES,
    AFTER,
    BEFORE,
    COLOURS,
    DISTRACTORS,
    FROM_WORDS,
    FUNCTION_WORDS,
    REGION_WORDS,
    SHADES,
    SIDE_WORDS,
    SLIGHT_WORDS,
    SLOTS,
    STRONG_WORDS,
    TEMPLATES,
)

SLIGHT, STRONG = 0.5, 1.4
"""Strength of "slightly" and of "strongly"."""


@dataclass(frozen=True, slots=True)
class Palette:
    """Named colours that wordings draw from."""

    names: tuple[str, ...]
    colours: tuple[RGB, ...]
    num_plain: int
    """The first so many are the plain names of ``COLOURS``; they are drawn most often."""

    def draw(self, rng: random.Random) -> tuple[str, RGB]:
        """A name, sometimes with a shade word, and its RGB 0..1."""
        if rng.random() < 0.7 or len(self.names) == self.num_plain:
            index = rng.randrange(self.num_plain)
            name, colour = self.names[index], self.colours[index]
            if rng.random() < 0.15 and name not in ("black", "white"):
                shade = rng.choice(list(SHADES))
                return f"{shade} {name}", shaded(colour, SHADES[shade])
            return name, colour
        index = rng.randrange(self.num_plain, len(self.names))
        return self.names[index], self.colours[index]


def shaded(colour: RGB, factor: float) -> RGB:
    """Darker below 1; towards white above 1."""
    if factor <= 1:
        return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
    towards = (factor - 1) * 0.8
    red, green, blue = (c + (1 - c) * towards for c in colour)
    return (red, green, blue)


def plain_palette() -> Palette:
    """The colours of ``COLOURS`` alone."""
    return Palette(tuple(COLOURS), tuple(COLOURS.values()), len(COLOURS))


def survey_palette() -> Palette:
    """``COLOURS`` and the one- and two-word colour names of matplotlib (CSS4, XKCD survey)."""
    names, colours = list(COLOURS), list(COLOURS.values())
    for full, value in {**XKCD_COLORS, **CSS4_COLORS}.items():
        name = full.removeprefix("xkcd:")
        if re.fullmatch(r"[a-z]+( [a-z]+)?", name) and name not in names:
            names.append(name)
            colours.append(to_rgb(value))
    return Palette(tuple(names), tuple(colours), len(COLOURS))


def draw_spec(rng: random.Random, palette: Palette, kinds: Sequence[str]) -> tuple[EditSpec, str]:
    """Draw an edit of one of ``kinds`` and a wording for it.

    A kind is a family ("night"), a family and its scope ("recolour:subject"), or one of "region",
    "strength" and "two".
    """
    kind = rng.choice(kinds)
    if kind in _COMPOSED:
        spec, text = _COMPOSED[kind](rng, palette)
    else:
        spec, text = _draw_plain(rng, palette, kind)
    return spec, rng.choice(BEFORE) + text + rng.choice(AFTER)


def _draw_plain(rng: random.Random, palette: Palette, kind: str) -> tuple[EditSpec, str]:
    family_name, _, scope_name = kind.partition(":")
    spec = EditSpec(Family(family_name), Scope(scope_name or "whole"))
    words: dict[str, str] = {}
    if spec.family in (Family.RECOLOUR, Family.REPLACE_COLOUR, Family.LIGHT, Family.GRADIENT):
        words["colour"], colour = palette.draw(rng)
        spec = replace(spec, colour=colour)
    if spec.family is Family.GRADIENT and rng.random() < 0.6:
        words["second"], second = palette.draw(rng)
        spec = replace(spec, second_colour=second)
    if spec.family is Family.LIGHT:
        spec = replace(spec, side=rng.choice(list(Side)))
    if spec.family is Family.REPLACE_COLOUR:
        spec = replace(spec, from_colour=rng.choice(tuple(HUES) * 2 + NEUTRALS))
    return spec, word(spec, words, rng)


def word(spec: EditSpec, words: Mapping[str, str], rng: random.Random) -> str:
    """One wording of a plain ``spec``; ``words`` says what its "colour" and "second" are called."""
    values = dict(words)
    if spec.side is not None:
        values["side"] = rng.choice(SIDE_WORDS[spec.side])
    if spec.from_colour is not None:
        values["from"] = rng.choice(FROM_WORDS.get(spec.from_colour, (spec.from_colour,)))
    is_solid = spec.family is Family.GRADIENT and spec.second_colour is None
    kind = "solid" if is_solid else spec.family
    return fill(rng.choice(TEMPLATES[f"{kind}:{spec.scope}"]), values, rng)


def _draw_region(rng: random.Random, palette: Palette) -> tuple[EditSpec, str]:
    """A look in one part of the picture."""
    scope, family = rng.choice(REGIONS), rng.choice(list(ADJECTIVES))
    values = {"region": rng.choice(REGION_WORDS[scope])}
    if rng.random() < 0.35:
        values["adjective"], colour = palette.draw(rng)
        spec = EditSpec(Family.RECOLOUR, scope, colour)
    else:
        values["adjective"] = rng.choice(ADJECTIVES[family])
        spec = EditSpec(family, scope)
    return spec, fill(rng.choice(TEMPLATES["region"]), values, rng)


def _draw_strength(rng: random.Random, palette: Palette) -> tuple[EditSpec, str]:
    """A look made slightly or strongly."""
    family = rng.choice([family for family in ADJECTIVES if family is not Family.BLUR])
    is_slight = rng.random() < 0.6
    values = {
        "adverb": rng.choice(SLIGHT_WORDS if is_slight else STRONG_WORDS),
        "adjective": rng.choice(ADJECTIVES[family]),
    }
    spec = EditSpec(family, strength=SLIGHT if is_slight else STRONG)
    return spec, fill(rng.choice(TEMPLATES["strength"]), values, rng)


def _draw_two(rng: random.Random, palette: Palette) -> tuple[EditSpec, str]:
    """One edit of the background and one of the subject, in any order, or a look and a blur."""
    behind = ("recolour:background", "black_and_white:background", "blur:background")
    first = rng.choice((*behind, "gradient:background", "darken:background"))
    second = rng.choice(("recolour:subject", "black_and_white:subject", "warm", "night", "sepia"))
    order = [first, second] if rng.random() < 0.5 else [second, first]
    (a, text_a), (b, text_b) = (_draw_plain(rng, palette, kind) for kind in order)
    return replace(a, then=b), fill(rng.choice(TEMPLATES["join"]), {"a": text_a, "b": text_b}, rng)


_COMPOSED: dict[str, Callable[[random.Random, Palette], tuple[EditSpec, str]]] = {
    "region": _draw_region,
    "strength": _draw_strength,
    "two": _draw_two,
}


def fill(template: str, values: Mapping[str, str], rng: random.Random) -> str:
    """Fill the slots of a template from ``values``, else from the synonyms of the slot."""

    def value(match: re.Match[str]) -> str:
        slot = match.group(1)
        return values[slot] if slot in values else rng.choice(SLOTS[slot])

    return re.sub(r"\{(\w+)\}", value, template)


NONSENSE_SHARE = 0.25
"""Share of the misspelt instructions with a word that nobody knows: it says nothing."""


def misspell(prompt: str, rng: random.Random) -> str:
    """Write as people do: typos, words left out, words that say nothing, nonsense."""
    words = prompt.split(" ")
    if rng.random() < 0.25 and len(words) > 3:
        words = [w for w in words if w not in FUNCTION_WORDS or rng.random() < 0.6]
    if rng.random() < 0.45:
        for _ in range(rng.randint(1, 4)):
            words.insert(rng.randint(0, len(words)), rng.choice(DISTRACTORS))
    if rng.random() < NONSENSE_SHARE:
        for _ in range(rng.randint(1, 2)):
            nonsense = "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, 8)))
            words.insert(rng.randint(0, len(words)), nonsense)
    prompt = " ".join(words)
    if rng.random() < 0.12 and len(prompt) > 6:
        at = rng.randrange(1, len(prompt) - 1)
        a, b = prompt[at], prompt[at + 1]
        typo = rng.choice(("", a + a, b + a))
        prompt = prompt[:at] + typo + prompt[at + 1 + (rng.random() < 0.3) :]
    return prompt


def known_words(palette: Palette) -> tuple[str, ...]:
    """Every word a wording can hold, sorted: what the model was taught."""
    texts = [*palette.names, *SHADES, *NAMES, *BEFORE, *AFTER, *DISTRACTORS]
    texts += [*SLIGHT_WORDS, *STRONG_WORDS, *OWNERS, *PLACES]
    texts += [word for region in NAMED_REGIONS for word in region.words]
    tables = (TEMPLATES, SLOTS, FROM_WORDS, SIDE_WORDS, REGION_WORDS, ADJECTIVES)
    texts += [text for table in tables for several in table.values() for text in several]
    words = re.findall(r"[a-z0-9']+", re.sub(r"\{\w+\}", " ", " ".join(texts)))
    return tuple(sorted(set(words)))
