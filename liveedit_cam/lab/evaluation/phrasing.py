"""Which kind an edit is, and how it can be asked for: in training's grammar, or unseen.

Knows the grammar and the list of unseen wordings, no pictures.
"""

from __future__ import annotations

import random
from dataclasses import replace

from liveedit_cam.lab.edits.instructions import draw_spec, fill, plain_palette, shaded, word
from liveedit_cam.lab.edits.spec import REGIONS, RGB, EditSpec, Family, Scope
from liveedit_cam.lab.edits.wordings import AFTER, BEFORE, COLOURS, SHADES, TEMPLATES
from liveedit_cam.lab.evaluation.unseen import UNSEEN

MAX_DRAWS = 200_000
"""Of region and strength instructions until one asks for a given edit; a few hundred suffice, a
shaded colour in a region takes ten thousand."""


def kind_of(spec: EditSpec) -> str:
    """The kind of ``spec`` as ``draw_spec`` names it."""
    if spec.then is not None:
        return "two"
    if spec.scope in REGIONS:
        return "region"
    if spec.strength != 1.0:
        return "strength"
    return spec.family if spec.scope is Scope.WHOLE else f"{spec.family}:{spec.scope}"


def group_of(spec: EditSpec) -> str:
    """The row of the table by scope: where an edit acts, or what is special about it."""
    if spec.family is Family.IDENTITY:
        return "identity"
    if spec.family is Family.REPLACE_COLOUR:
        return "one colour"
    kind = kind_of(spec)
    return kind if kind in ("two", "region", "strength") else str(spec.scope)


def colour_name(colour: RGB) -> str:
    """What training calls ``colour``, with its shade; its numbers where it has no name."""
    for name, value in COLOURS.items():
        if value == colour:
            return name
        for shade, factor in SHADES.items():
            if shaded(value, factor) == colour:
                return f"{shade} {name}"
    return "rgb " + " ".join(f"{value:.2f}" for value in colour)


def describe(spec: EditSpec) -> str:
    """An edit in a few words, for reports: "recolour background blue"."""
    parts = [str(spec.family).replace("_", " "), str(spec.scope)]
    parts += [spec.from_colour, "to"] if spec.from_colour is not None else []
    parts += [colour_name(spec.colour)] if spec.colour is not None else []
    parts += ["to", colour_name(spec.second_colour)] if spec.second_colour is not None else []
    parts += [f"from {spec.side}"] if spec.side is not None else []
    parts += [f"x{spec.strength:g}"] if spec.strength != 1.0 else []
    return " ".join(parts) + (f" and {describe(spec.then)}" if spec.then is not None else "")


def unseen_wordings(spec: EditSpec) -> tuple[str, ...]:
    """The wordings outside training that ask for exactly ``spec``."""
    return tuple(text for text, other in UNSEEN if other == spec)


def taught_wording(spec: EditSpec, rng: random.Random) -> str:
    """A wording of training's grammar that asks for exactly ``spec``, of plain colours."""
    kind = kind_of(spec)
    if kind in ("region", "strength"):
        palette = plain_palette()
        for _ in range(MAX_DRAWS):
            drawn, text = draw_spec(rng, palette, (kind,))
            if drawn == spec:
                return text
        raise AssertionError(f"the grammar never asked for {spec} in {MAX_DRAWS} draws")
    if spec.then is None:
        text = _plain(spec, rng)
    else:
        parts = {"a": _plain(replace(spec, then=None), rng), "b": _plain(spec.then, rng)}
        text = fill(rng.choice(TEMPLATES["join"]), parts, rng)
    return rng.choice(BEFORE) + text + rng.choice(AFTER)


def _plain(spec: EditSpec, rng: random.Random) -> str:
    words = {}
    if spec.colour is not None:
        words["colour"] = colour_name(spec.colour)
    if spec.second_colour is not None:
        words["second"] = colour_name(spec.second_colour)
    return word(spec, words, rng)
