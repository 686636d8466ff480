"""The grammar of instructions: an exact edit in, one of many wordings out. Knows no pictures.

Templates hold ``{verb}``-like slots that are filled from synonym lists; colours come from a table
of plain names and, in training, from the named colours of matplotlib (CSS and XKCD survey).
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from liveedit_cam.training.edits import HUES, RGB, EditSpec, Family, Scope

COLOURS: dict[str, RGB] = {
    "red": (0.85, 0.10, 0.10),
    "orange": (0.96, 0.52, 0.10),
    "yellow": (0.97, 0.88, 0.15),
    "green": (0.12, 0.62, 0.20),
    "cyan": (0.10, 0.80, 0.85),
    "teal": (0.05, 0.50, 0.50),
    "blue": (0.12, 0.28, 0.88),
    "navy": (0.06, 0.10, 0.40),
    "purple": (0.50, 0.15, 0.70),
    "violet": (0.58, 0.25, 0.90),
    "magenta": (0.88, 0.10, 0.75),
    "pink": (0.98, 0.50, 0.70),
    "brown": (0.45, 0.27, 0.12),
    "black": (0.04, 0.04, 0.04),
    "white": (0.97, 0.97, 0.97),
    "grey": (0.50, 0.50, 0.50),
    "gray": (0.50, 0.50, 0.50),
    "gold": (0.90, 0.70, 0.15),
    "silver": (0.75, 0.76, 0.78),
    "turquoise": (0.20, 0.84, 0.78),
    "lime": (0.55, 0.90, 0.15),
    "maroon": (0.45, 0.05, 0.10),
    "beige": (0.90, 0.84, 0.70),
    "indigo": (0.26, 0.08, 0.55),
}
_SHADES = {"dark": 0.55, "deep": 0.65, "light": 1.35, "bright": 1.2, "pale": 1.5}

_SLOTS: dict[str, tuple[str, ...]] = {
    "make": ("make", "turn", "render", "set"),
    "it": ("it", "this", "everything", "the picture", "the image", "the video", "the whole scene"),
    "paint": ("paint", "color", "colour", "tint", "recolor", "recolour", "dye", "make", "turn"),
    "background": (
        "background",
        "backdrop",
        "wall behind me",
        "wall behind the person",
        "surroundings",
        "scene behind the subject",
        "area behind the person",
        "room behind me",
        "background behind the man",
        "background behind the dog",
    ),
    "subject": (
        "person",
        "subject",
        "man",
        "woman",
        "girl",
        "boy",
        "guy",
        "foreground",
        "main subject",
        "main object",
        "dog",
        "cat",
        "animal",
        "people",
        "speaker",
        "figure",
        "player",
    ),
    "thing": (
        "cup",
        "cups",
        "shirt",
        "ball",
        "balls",
        "car",
        "dress",
        "flowers",
        "book",
        "grass",
        "leaves",
        "jacket",
        "wall",
        "box",
        "bottle",
        "things",
        "parts",
        "objects",
        "areas",
        "sky",
        "curtain",
        "hair",
        "fruit",
        "toys",
    ),
    "change": ("change", "turn", "recolor", "recolour", "switch", "make", "paint"),
    "into": ("to", "into"),
}

_LOOK_TEMPLATES: dict[Family, tuple[str, ...]] = {
    Family.IDENTITY: (
        "leave it as it is",
        "leave {it} as it is",
        "do nothing",
        "no edit",
        "no change",
        "do not change anything",
        "don't change anything",
        "keep {it} unchanged",
        "keep {it} as it is",
        "keep the original",
        "show the original",
        "original colors",
        "as it is",
        "leave {it} alone",
    ),
    Family.BLACK_AND_WHITE: (
        "black and white",
        "{make} {it} black and white",
        "turn {it} into black and white",
        "convert {it} to black and white",
        "{make} {it} grayscale",
        "convert to greyscale",
        "grayscale",
        "{make} {it} monochrome",
        "a monochrome look",
        "desaturate {it}",
        "remove the colors",
        "remove all colour",
        "take the color out",
        "drain the colour",
        "without any color",
    ),
    Family.SEPIA: (
        "sepia",
        "{make} {it} sepia",
        "sepia tone",
        "a sepia look",
        "give {it} a sepia tint",
        "apply a sepia filter",
        "make {it} look like an old photo",
        "old photograph look",
        "an old brownish photo",
    ),
    Family.INVERT: (
        "invert",
        "invert {it}",
        "invert the colors",
        "invert all colours",
        "negative",
        "{make} {it} a negative",
        "turn {it} into a negative",
        "photo negative",
        "{make} {it} inverted",
        "flip the colors",
        "reverse the colours",
    ),
    Family.NIGHT: (
        "night",
        "{make} {it} night",
        "turn {it} into night",
        "turn day into night",
        "make {it} look like night",
        "{make} {it} a night scene",
        "nighttime",
        "at night",
        "as if it were night",
        "a moonlit scene",
        "moonlight",
        "midnight",
        "{make} {it} a blue night",
    ),
    Family.WARM: (
        "warm light",
        "{make} {it} warm",
        "{make} {it} warmer",
        "give {it} a warm tone",
        "a warmer look",
        "warm tones",
        "add warm light",
        "warm up the colors",
        "warmer light please",
    ),
    Family.COLD: (
        "cold light",
        "{make} {it} cold",
        "{make} {it} colder",
        "{make} {it} cooler",
        "give {it} a cold tone",
        "a cool look",
        "cool tones",
        "cold tones",
        "add cold light",
        "cool down the colors",
        "icy light",
    ),
    Family.LAVENDER: (
        "lavender light",
        "{make} {it} lavender",
        "bathe {it} in lavender light",
        "give {it} a lavender tone",
        "a lavender look",
        "soft lavender light",
        "a lilac tone",
        "lilac light",
    ),
    Family.GOLDEN: (
        "golden light",
        "{make} {it} golden",
        "golden hour",
        "bathe {it} in golden light",
        "give {it} a golden tone",
        "a golden look",
        "golden hour light",
        "evening sun",
        "make {it} look like golden hour",
    ),
}

_SCOPED_TEMPLATES: dict[tuple[Family, Scope], tuple[str, ...]] = {
    (Family.RECOLOUR, Scope.BACKGROUND): (
        "{make} the {background} {colour}",
        "{paint} the {background} {colour}",
        "change the {background} to {colour}",
        "a {colour} {background}",
        "{colour} {background}",
        "{paint} everything behind the {subject} {colour}",
        "replace the {background} with {colour}",
        "put a {colour} wall behind the {subject}",
    ),
    (Family.RECOLOUR, Scope.SUBJECT): (
        "{make} the {subject} {colour}",
        "{paint} the {subject} {colour}",
        "change the {subject} to {colour}",
        "a {colour} {subject}",
        "{make} me {colour}",
        "{paint} me {colour}",
    ),
    (Family.RECOLOUR, Scope.WHOLE): (
        "tint {it} {colour}",
        "tint the whole picture {colour}",
        "{make} {it} all {colour}",
        "paint everything {colour}",
        "{make} {it} {colour}",
        "a {colour} tint over everything",
    ),
    (Family.BLACK_AND_WHITE, Scope.BACKGROUND): (
        "{make} the {background} black and white",
        "black and white {background}",
        "desaturate the {background}",
        "{make} the {background} grayscale",
        "remove the color of the {background}",
        "keep only the {subject} in color",
        "take the colour out of the {background}",
    ),
    (Family.BLACK_AND_WHITE, Scope.SUBJECT): (
        "{make} the {subject} black and white",
        "a black and white {subject}",
        "desaturate the {subject}",
        "{make} the {subject} grayscale",
        "{make} me black and white",
        "take the colour out of the {subject}",
    ),
    (Family.BLUR, Scope.BACKGROUND): (
        "blur the {background}",
        "{make} the {background} blurry",
        "a blurry {background}",
        "{make} the {background} blurred",
        "defocus the {background}",
        "soft focus {background}",
        "put the {background} out of focus",
        "blur everything behind the {subject}",
        "bokeh background",
    ),
    (Family.REPLACE_COLOUR, Scope.WHOLE): (
        "{change} the {from} {thing} {into} {colour}",
        "{change} {from} {into} {colour}",
        "{change} everything {from} {into} {colour}",
        "make the {from} {thing} {colour}",
        "paint the {from} {thing} {colour}",
        "replace {from} with {colour}",
        "swap {from} for {colour}",
        "{from} {into} {colour}",
        "make {from} things {colour}",
    ),
}

_BEFORE = ("", "", "", "", "please ", "now ", "can you ", "could you ", "i want you to ", "just ")
_AFTER = ("", "", "", "", " please", " now", " for me")


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
                shade = rng.choice(list(_SHADES))
                return f"{shade} {name}", shaded(colour, _SHADES[shade])
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
    from matplotlib.colors import CSS4_COLORS, XKCD_COLORS, to_rgb  # type: ignore[import-not-found,unused-ignore]

    names, colours = list(COLOURS), list(COLOURS.values())
    for full, value in {**XKCD_COLORS, **CSS4_COLORS}.items():
        name = full.removeprefix("xkcd:")
        if re.fullmatch(r"[a-z]+( [a-z]+)?", name) and name not in COLOURS:
            names.append(name)
            colours.append(to_rgb(value))
    return Palette(tuple(names), tuple(colours), len(COLOURS))


def draw_spec(rng: random.Random, palette: Palette, families: tuple[str, ...]) -> tuple[EditSpec, str]:
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
    if (spec.family, spec.scope) in _SCOPED_TEMPLATES:
        template = rng.choice(_SCOPED_TEMPLATES[spec.family, spec.scope])
    else:
        template = rng.choice(_LOOK_TEMPLATES[spec.family])
    return rng.choice(_BEFORE) + fill(template, spec, colour_name, rng) + rng.choice(_AFTER)


def fill(template: str, spec: EditSpec, colour_name: str, rng: random.Random) -> str:
    """Fill the slots of a template."""
    values = {"colour": colour_name, "from": spec.from_colour or ""}

    def value(match: re.Match[str]) -> str:
        slot = match.group(1)
        return values[slot] if slot in values else rng.choice(_SLOTS[slot])

    return re.sub(r"\{(\w+)\}", value, template)


def known_words(palette: Palette) -> tuple[str, ...]:
    """Every word a wording can hold, sorted: what the model was taught."""
    texts = [*palette.names, *_SHADES, *HUES, *_BEFORE, *_AFTER]
    for templates in (*_LOOK_TEMPLATES.values(), *_SCOPED_TEMPLATES.values()):
        texts += templates
    for synonyms in _SLOTS.values():
        texts += synonyms
    words = re.findall(r"[a-z0-9']+", re.sub(r"\{\w+\}", " ", " ".join(texts)))
    return tuple(sorted(set(words)))
