"""The grammar of instructions: an exact edit in, one of many wordings out. Knows no pictures.

Templates hold ``{verb}``-like slots that are filled from synonym lists; colours come from a table
of plain names and, in training, from the named colours of matplotlib (CSS and XKCD survey).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from liveedit_cam.errors import MissingDependencyError
from liveedit_cam.training.edits import HUES, RGB, EditSpec, Family, Scope
from liveedit_cam.training.wordings import (
    AFTER,
    BEFORE,
    COLOURS,
    LOOK_TEMPLATES,
    SCOPED_TEMPLATES,
    SHADES,
    SLOTS,
)


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
    """``COLOURS`` and the one- and two-word colour names of matplotlib (CSS4, XKCD survey).

    Raises MissingDependencyError where matplotlib is not installed.
    """
    try:
        from matplotlib.colors import CSS4_COLORS, XKCD_COLORS, to_rgb
    except ImportError as error:
        raise MissingDependencyError(
            f"Training takes colour names from matplotlib, which cannot be loaded: {error}.",
            hint="Install it: pip install matplotlib",
        ) from error

    names, colours = list(COLOURS), list(COLOURS.values())
    for full, value in {**XKCD_COLORS, **CSS4_COLORS}.items():
        name = full.removeprefix("xkcd:")
        if re.fullmatch(r"[a-z]+( [a-z]+)?", name) and name not in names:
            names.append(name)
            colours.append(to_rgb(value))
    return Palette(tuple(names), tuple(colours), len(COLOURS))


def draw_spec(
    rng: random.Random, palette: Palette, families: tuple[str, ...]
) -> tuple[EditSpec, str]:
    """Draw an edit of one of ``families`` ("recolour:subject", "night") and a wording for it."""
    family_name, _, scope_name = rng.choice(families).partition(":")
    family, scope = Family(family_name), Scope(scope_name or "whole")
    name, colour = palette.draw(rng)
    from_colour = rng.choice(list(HUES)) if family is Family.REPLACE_COLOUR else None
    needs_colour = family in (Family.RECOLOUR, Family.REPLACE_COLOUR)
    spec = EditSpec(family, scope, colour if needs_colour else None, from_colour)
    return spec, word(spec, name, rng)


def word(spec: EditSpec, colour_name: str, rng: random.Random) -> str:
    """One wording of ``spec``; ``colour_name`` is what its colour is called."""
    if (spec.family, spec.scope) in SCOPED_TEMPLATES:
        template = rng.choice(SCOPED_TEMPLATES[spec.family, spec.scope])
    else:
        template = rng.choice(LOOK_TEMPLATES[spec.family])
    return rng.choice(BEFORE) + fill(template, spec, colour_name, rng) + rng.choice(AFTER)


def fill(template: str, spec: EditSpec, colour_name: str, rng: random.Random) -> str:
    """Fill the slots of a template."""
    values = {"colour": colour_name, "from": spec.from_colour or ""}

    def value(match: re.Match[str]) -> str:
        slot = match.group(1)
        return values[slot] if slot in values else rng.choice(SLOTS[slot])

    return re.sub(r"\{(\w+)\}", value, template)


def known_words(palette: Palette) -> tuple[str, ...]:
    """Every word a wording can hold, sorted: what the model was taught."""
    texts = [*palette.names, *SHADES, *HUES, *BEFORE, *AFTER]
    for templates in (*LOOK_TEMPLATES.values(), *SCOPED_TEMPLATES.values()):
        texts += templates
    for synonyms in SLOTS.values():
        texts += synonyms
    words = re.findall(r"[a-z0-9']+", re.sub(r"\{\w+\}", " ", " ".join(texts)))
    return tuple(sorted(set(words)))
