"""The words of instructions: colours, synonyms, fillers, and ``TEMPLATES`` from TOML. Data only.

A template holds ``{slot}``s; ``instructions.py`` fills them from ``SLOTS``, a colour or a hue name.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from liveedit_cam.lab.edits.spec import RGB, Family, Scope, Side


def _read_templates() -> dict[str, tuple[str, ...]]:
    folder = Path(__file__).with_name("templates")
    kinds: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.glob("*.toml")):
        for kind, templates in tomllib.loads(path.read_text("utf-8")).items():
            kinds[kind] = (*kinds.get(kind, ()), *templates)  # a kind may stand in two files
    return kinds


TEMPLATES = _read_templates()
"""The wordings of each kind, from ``templates/*.toml``: "family:scope", "solid:background" (the
background in one colour), "region", "strength" and "join" (two edits at once)."""

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
SHADES = {"dark": 0.55, "deep": 0.65, "light": 1.35, "bright": 1.2, "pale": 1.5}

SLOTS: dict[str, tuple[str, ...]] = {
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
        "coat",
        "sweater",
        "hat",
        "pants",
        "chair",
        "sofa",
        "table",
        "hoodie",
        "scarf",
    ),
    "change": ("change", "turn", "recolor", "recolour", "switch", "make", "paint"),
    "into": ("to", "into"),
}

FROM_WORDS: dict[str, tuple[str, ...]] = {
    "brown": ("brown", "dark brown", "brown"),  # plain brown twice as often; tan is no brown
    "white": ("white", "silver white"),
    "grey": ("grey", "gray"),
    "black": ("black", "dark"),
}
"""What a changed colour may be called besides its name."""

SIDE_WORDS: dict[Side, tuple[str, ...]] = {
    Side.LEFT: ("the left", "the left side", "left"),
    Side.RIGHT: ("the right", "the right side", "right"),
    Side.ABOVE: ("above", "the top", "overhead", "the ceiling"),
}
REGION_WORDS: dict[Scope, tuple[str, ...]] = {
    Scope.LEFT: ("left half", "left side", "left part"),
    Scope.RIGHT: ("right half", "right side", "right part"),
    Scope.TOP: ("top half", "upper half", "top part", "top"),
    Scope.BOTTOM: ("bottom half", "lower half", "bottom part", "bottom"),
    Scope.CENTRE: ("centre", "center", "middle", "middle part"),
}
ADJECTIVES: dict[Family, tuple[str, ...]] = {
    Family.BLACK_AND_WHITE: ("black and white", "grayscale", "monochrome"),
    Family.SEPIA: ("sepia",),
    Family.INVERT: ("inverted", "negative"),
    Family.NIGHT: ("night", "moonlit"),
    Family.WARM: ("warm", "warmer"),
    Family.COLD: ("cold", "colder", "cooler", "icy"),
    Family.LAVENDER: ("lavender", "lilac"),
    Family.GOLDEN: ("golden",),
    Family.NEON: ("neon", "cyberpunk"),
    Family.VINTAGE: ("vintage", "retro"),
    Family.FOG: ("foggy", "misty", "hazy"),
    Family.SNOW: ("snowy", "wintry"),
    Family.UNDERWATER: ("underwater",),
    Family.PIXEL_ART: ("pixelated",),
    Family.SKETCH: ("sketched",),
    Family.DARKEN: ("dark", "darker"),
    Family.BRIGHTEN: ("bright", "brighter"),
    Family.BLUR: ("blurry", "blurred"),
}
"""Words that can stand after "make it"; a family without them takes no region and no adverb."""
SLIGHT_WORDS = ("slightly", "a bit", "a little", "a little bit", "somewhat", "subtly", "mildly")
STRONG_WORDS = ("strongly", "very", "extremely", "really", "heavily", "much", "a lot")

BEFORE = (
    *("",) * 6,
    "please ",
    "now ",
    "can you ",
    "could you ",
    "i want you to ",
    "i would like ",
    "i want ",
    "give me ",
    "show me ",
    "let's have ",
    "how about ",
    "what about ",
    "just ",
    "only ",
    "ok, ",
)
AFTER = (*("",) * 6, " please", " now", " for me", " today", " if you can", " thanks", " ok")
DISTRACTORS = (
    *("a", "the", "some", "all", "of", "in", "on", "with", "at", "as", "like", "if", "and", "to"),
    *("is", "are", "was", "be", "it", "this", "that", "there", "here", "we", "our", "us", "my"),
    *("i", "i'm", "you", "your", "should", "could", "would", "may", "will", "shall", "can", "let"),
    *("want", "need", "see", "show", "look", "looks", "looking", "get", "got", "have", "has"),
    *("use", "put", "do", "does", "so", "too", "also", "maybe", "perhaps", "quite", "more"),
    *("one", "every", "each", "any", "other", "such", "same", "own", "than", "then", "but", "for"),
    *("from", "by", "into", "over", "around", "during", "before", "after", "again", "still"),
    *("nice", "good", "great", "cool", "beautiful", "pretty", "fun", "kind", "sort", "style"),
    *("frame", "frames", "shot", "camera", "screen", "stream", "place"),
    *("whole", "entire", "full", "total", "complete", "simple", "real", "true", "new"),
    *("become", "becomes", "turned", "made", "painted", "coloured", "colored", "given", "appear"),
)
"""Everyday words that say nothing about an edit; strewn in while the text encoder learns."""
FUNCTION_WORDS = frozenset(("a", "the", "it", "this", "to", "of", "in", "into", "and"))
"""Words that may be left out without changing what is asked; "me" may not: it names the subject."""
