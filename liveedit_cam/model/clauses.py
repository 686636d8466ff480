"""Several edits in one sentence, cut apart: "make the wall blue and my shirt red". Knows no model.

A small text encoder reads one edit at a time well and two badly. Cut is only where both sides are
whole edits by these rules of English, or both are things of one look ("my hair and my shirt blue").
Everything else stays one sentence, also what says what to leave alone ("the rest black and white").
"""

from __future__ import annotations

import re
from collections.abc import Callable

_WORDS = (
    r"and|then|plus|while|after that|at the same time|on top of that|also|additionally|"
    r"combined with|followed by|oh"
)
_JOINT = re.compile(rf"\s*(?:[,;.&+]|\b(?:{_WORDS})\b)(?:[\s,]|\b(?:{_WORDS})\b)*")
_PAIR = re.compile(r"\bblack and white\b|\bblack & white\b")
_STANDS_FOR = "monochrome"
"""Of "black and white" while a sentence is cut, lest it be cut there."""
_LEAVES_ALONE = re.compile(
    r"\b(?:leave|leaves|leaving|keep|keeps|keeping|stays?|remains?|alone|rest|only|except|but|other|"
    r"others|else|not|no|never|without|between|both|apart)\b|n't\b"
)
_BEHIND = re.compile(r"\b(?:back ?ground|backdrop|behind|surroundings?)\b")
_VERBS = r"make|turn|paint|change|colou?r|dye|tint|set|give|have|get|let|render|put|add|apply|show"
_LOOK_VERBS = (
    r"blur|darken|brighten|invert|desaturate|pixelate|pixelise|pixelize|colorize|colourise|defocus"
)
_VERB = re.compile(rf"\b(?:{_VERBS}|{_LOOK_VERBS})\b")
_LOOK_VERB = re.compile(rf"\b(?:{_LOOK_VERBS})\b")
_OPENING = re.compile(
    rf"(?:(?:please|first|can you|could you) )*(?:(?:{_VERBS}|{_LOOK_VERBS})\b|"
    r"(?:my|the|his|her|their|our|your|this|that|its|everything|everyone|it|me|us) \w)"
)
_SAYS_IT = re.compile(r"\b(?:is|are|be|should|becomes?|goes?|in)\b")
_TOLD = re.compile(r"\b(?:is|are|it's|i'm|looks?) (?:too|so|very) \w+$")
"""What is wrong, and no wish: "it is too dark, brighten everything"."""
_TRAILING = re.compile(
    r"(?: (?:please|too|now|thanks|thank you|as well|instead|ok|a bit|a little|slightly|strongly|"
    r"again|behind (?:me|us|him|her|the \w+)))+$"
)
_PLACES = r"left|right|top|bottom|upper|lower|middle|centre|center|side|half|part|corner|edges?"
_THINGS = (
    r"background|backdrop|wall|room|person|man|woman|subject|hair|face|skin|shirt|top|jacket|coat|"
    r"sweater|clothes|dress|trousers|pants|hat|cap|glasses|bag|sky|trees?|car|bus|bike|table|chair|"
    r"couch|sofa|bed|screen|cup|mug|bottle|bowl|book|dog|cat|picture|image|video|everything|it|me"
)
_ENDS_IN_THING = re.compile(rf".*\b(?:{_THINGS})")
_THING_AND_LOOK = re.compile(rf"(?:.* )?(?:{_THINGS}) (?P<look>.+)")
_NO_LOOK = re.compile(rf"{_PLACES}|{_THINGS}")


def spares_a_part(prompt: str) -> bool:
    """Whether a part is to stay as it is, however small: "everything except my face", or a far
    person before "the background".
    """
    plain = prompt.lower()
    return bool(_LEAVES_ALONE.search(plain) or _BEHIND.search(plain))


def edits_of(prompt: str, is_edit_word: Callable[[str], bool]) -> tuple[str, ...]:
    """The edits of ``prompt`` in order, each a sentence of its own; the whole where there is one.

    ``is_edit_word`` says of a word whether it names a look or a colour.
    """
    plain = " ".join(_PAIR.sub(_STANDS_FOR, prompt.lower()).split())
    if _LEAVES_ALONE.search(plain):
        return (prompt,)

    def is_whole(clause: str) -> bool:
        bare = _TRAILING.sub("", clause)
        last = bare.rpartition(" ")[2]
        says = is_edit_word(last) and not _NO_LOOK.fullmatch(last) and not _TOLD.search(bare)
        return bool(_LOOK_VERB.search(bare)) or (says and " " in bare)

    clauses, joints = _JOINT.split(plain), _JOINT.findall(plain)
    edits, current = [], clauses[0]
    for joint, clause in zip(joints, clauses[1:], strict=True):
        is_thing = _ENDS_IN_THING.fullmatch(current) and not _JOINT.search(current)
        shared = _THING_AND_LOOK.fullmatch(clause) if is_thing else None
        if is_whole(current) and _OPENING.match(clause) and is_whole(clause):
            edits.append(current)
        elif shared and not is_whole(current) and not _is_sentence(clause) and is_whole(clause):
            edits.append(f"{current} {shared['look']}")
        else:
            current = f"{current}{joint}{clause}" if current else clause
            continue
        current = clause if _is_sentence(clause) else f"{_verb_of(edits[-1])} {clause}"
    if not edits:
        return (prompt,)
    return tuple(edit.replace(_STANDS_FOR, "black and white") for edit in (*edits, current))


def _is_sentence(clause: str) -> bool:
    """Whether it says itself what is done: "turn it red", "my shirt should be red"."""
    return bool(_VERB.search(clause) or _SAYS_IT.search(clause))


def _verb_of(edit: str) -> str:
    """The verb that goes on to the next: "change my shirt to red and my hair to blue"."""
    found = _VERB.search(edit)
    return found[0] if found and not _LOOK_VERB.fullmatch(found[0]) else "make"
