"""Wordings that never took part in training: how well is a user's own sentence understood?

None of them can come out of the grammar (a test proves it); the words are mostly known ones in
other orders, with other verbs and fillers, as people write.
"""

from __future__ import annotations

from liveedit_cam.lab.edits.spec import RGB, EditSpec, Family, Scope, Side
from liveedit_cam.lab.edits.wordings import COLOURS

_F, _S = Family, Scope


def _paint(scope: Scope, name: str) -> EditSpec:
    return EditSpec(_F.RECOLOUR, scope, COLOURS[name])


def _swap(name: str, to: str) -> EditSpec:
    return EditSpec(_F.REPLACE_COLOUR, colour=COLOURS[to], from_colour=name)


def _behind(upper: str, lower: str | None = None) -> EditSpec:
    second: RGB | None = None if lower is None else COLOURS[lower]
    return EditSpec(_F.GRADIENT, _S.BACKGROUND, COLOURS[upper], second_colour=second)


UNSEEN: tuple[tuple[str, EditSpec], ...] = (
    ("i'd like to see everything without colour", EditSpec(_F.BLACK_AND_WHITE)),
    ("like a black and white movie", EditSpec(_F.BLACK_AND_WHITE)),
    ("lose all the colors", EditSpec(_F.BLACK_AND_WHITE)),
    ("no colour at all, only grays", EditSpec(_F.BLACK_AND_WHITE)),
    ("show me in sepia like an antique photo", EditSpec(_F.SEPIA)),
    ("use a brownish sepia tone on the whole frame", EditSpec(_F.SEPIA)),
    ("make all colours the opposite", EditSpec(_F.INVERT)),
    ("swap every color for its negative", EditSpec(_F.INVERT)),
    ("it should look as if it is late at night", EditSpec(_F.NIGHT)),
    ("night time please, with moonlight", EditSpec(_F.NIGHT)),
    ("pretend it's the middle of the night", EditSpec(_F.NIGHT)),
    ("give me warmer colors", EditSpec(_F.WARM)),
    ("a cosy warm light over the whole picture", EditSpec(_F.WARM)),
    ("the light should be colder", EditSpec(_F.COLD)),
    ("a cold, icy mood", EditSpec(_F.COLD)),
    ("everything in a soft lilac", EditSpec(_F.LAVENDER)),
    ("golden evening light on everything", EditSpec(_F.GOLDEN)),
    ("as in the golden hour before sunset", EditSpec(_F.GOLDEN)),
    ("the video can stay as it is", EditSpec(_F.IDENTITY)),
    ("i don't want any edit", EditSpec(_F.IDENTITY)),
    ("show the picture without an edit", EditSpec(_F.IDENTITY)),
    ("may the wall behind me be blue", _paint(_S.BACKGROUND, "blue")),
    ("let the backdrop be green", _paint(_S.BACKGROUND, "green")),
    ("everything except the person should become red", _paint(_S.BACKGROUND, "red")),
    ("the background could be purple", _paint(_S.BACKGROUND, "purple")),
    ("dye only the background gold", _paint(_S.BACKGROUND, "gold")),
    ("my background in orange please", _paint(_S.BACKGROUND, "orange")),
    ("the person should be purple", _paint(_S.SUBJECT, "purple")),
    ("give the main subject a green color", _paint(_S.SUBJECT, "green")),
    ("i want to be blue", _paint(_S.SUBJECT, "blue")),
    ("colour only the person red", _paint(_S.SUBJECT, "red")),
    ("cover the subject in gold paint", _paint(_S.SUBJECT, "gold")),
    (
        "only the background without colour",
        EditSpec(_F.BLACK_AND_WHITE, _S.BACKGROUND),
    ),
    (
        "the subject stays in color, the rest is black and white",
        EditSpec(_F.BLACK_AND_WHITE, _S.BACKGROUND),
    ),
    ("the person in black and white only", EditSpec(_F.BLACK_AND_WHITE, _S.SUBJECT)),
    ("blur what is behind me", EditSpec(_F.BLUR, _S.BACKGROUND)),
    ("i'd like a blurred background", EditSpec(_F.BLUR, _S.BACKGROUND)),
    ("unsharp background as with a big lens", EditSpec(_F.BLUR, _S.BACKGROUND)),
    ("let all red become blue", _swap("red", "blue")),
    ("everything that is green should be pink", _swap("green", "pink")),
    ("blue shall turn to orange", _swap("blue", "orange")),
    ("could the yellow bits be purple", _swap("yellow", "purple")),
    ("give the white shirt a red color", _swap("white", "red")),
    ("what is brown becomes green", _swap("brown", "green")),
    ("draw me with a pencil", EditSpec(_F.SKETCH)),
    ("as a rough pencil drawing on paper", EditSpec(_F.SKETCH)),
    ("like in a cartoon film", EditSpec(_F.CARTOON)),
    ("show us as comic figures", EditSpec(_F.CARTOON)),
    ("neon colors like in a cyberpunk game", EditSpec(_F.NEON)),
    ("what would a thermal camera see", EditSpec(_F.THERMAL)),
    ("like an old vintage film from the seventies", EditSpec(_F.VINTAGE)),
    ("let fog fill the room", EditSpec(_F.FOG)),
    ("winter with lots of snow", EditSpec(_F.SNOW)),
    ("the sun is setting, red sky", EditSpec(_F.SUNSET)),
    ("as if we were in an aquarium under water", EditSpec(_F.UNDERWATER)),
    ("everything made of big square pixels", EditSpec(_F.PIXEL_ART)),
    ("one spotlight on the middle, the rest dark", EditSpec(_F.SPOTLIGHT)),
    ("the room should be much darker", EditSpec(_F.DARKEN, strength=1.4)),
    ("it is too dark, brighten everything", EditSpec(_F.BRIGHTEN)),
    (
        "a lamp with red light shines from the left",
        EditSpec(_F.LIGHT, colour=COLOURS["red"], side=Side.LEFT),
    ),
    (
        "blue light falls from the right side",
        EditSpec(_F.LIGHT, colour=COLOURS["blue"], side=Side.RIGHT),
    ),
    ("i need a plain green screen behind me", _behind("green")),
    ("a smooth gradient from indigo to magenta as background", _behind("indigo", "magenta")),
    ("the left half of the image without color", EditSpec(_F.BLACK_AND_WHITE, _S.LEFT)),
    ("show the upper half of the video as a negative", EditSpec(_F.INVERT, _S.TOP)),
    ("just a little bit warmer than now", EditSpec(_F.WARM, strength=0.5)),
    (
        "blur the background and show the person in black and white",
        EditSpec(_F.BLUR, _S.BACKGROUND, then=EditSpec(_F.BLACK_AND_WHITE, _S.SUBJECT)),
    ),
)
"""Wording and what it asks."""
