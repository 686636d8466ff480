"""The wordings that never took part in training: that they really did not."""

from __future__ import annotations

import re
from functools import lru_cache

from liveedit_cam.lab.edits.regions import OWNERS, PLACES, REGIONS
from liveedit_cam.lab.edits.spec import Family
from liveedit_cam.lab.edits.wordings import (
    ADJECTIVES,
    AFTER,
    BEFORE,
    COLOURS,
    FROM_WORDS,
    REGION_WORDS,
    SHADES,
    SIDE_WORDS,
    SLIGHT_WORDS,
    SLOTS,
    STRONG_WORDS,
    TEMPLATES,
)
from liveedit_cam.lab.evaluation.named import TAUGHT as NAMED_TAUGHT
from liveedit_cam.lab.evaluation.named import UNSEEN as NAMED_UNSEEN
from liveedit_cam.lab.evaluation.unseen import UNSEEN


def flat(table: dict[object, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(word for words in table.values() for word in words)


def choice(words: tuple[str, ...]) -> str:
    return "(?:" + "|".join(re.escape(word) for word in words) + ")"


@lru_cache
def grammar() -> re.Pattern[str]:
    """Every single edit the grammar can word with the plain colours."""
    colours = tuple(COLOURS) + tuple(f"{shade} {name}" for shade in SHADES for name in COLOURS)
    things = choice(flat({region: region.words for region in REGIONS}))
    slots = {
        **{name: choice(words) for name, words in SLOTS.items()},
        "colour": choice(colours),
        "second": choice(colours),
        "from": choice((*colours, *flat(FROM_WORDS))),  # type: ignore[arg-type]
        "side": choice(flat(SIDE_WORDS)),  # type: ignore[arg-type]
        "region": choice(flat(REGION_WORDS)),  # type: ignore[arg-type]
        "adjective": choice((*flat(ADJECTIVES), *colours)),  # type: ignore[arg-type]
        "adverb": choice((*SLIGHT_WORDS, *STRONG_WORDS)),
        "bare": things,
        "target": choice(tuple(dict.fromkeys((*OWNERS, *PLACES)))) + " ?" + things,
    }
    templates = flat({kind: TEMPLATES[kind] for kind in TEMPLATES if kind != "join"})
    filled = [re.sub(r"\\\{(\w+)\\\}", lambda m: slots[m[1]], re.escape(t)) for t in templates]
    body = "(?:" + "|".join(filled) + ")"
    return re.compile(choice(BEFORE) + "?" + body + choice(AFTER) + "?")


def test_the_grammar_is_matched_at_all() -> None:
    """Catches a pattern that matches nothing, which would call every wording unseen."""
    for prompt in ("make it night", "please change red to navy now", "a bit warmer"):
        assert grammar().fullmatch(prompt), prompt


def test_the_named_set_is_half_taught_and_half_unseen() -> None:
    """Catches a wording of the second set on the wrong side."""
    values = {"target": "my hair", "how": "blue"}
    assert all(grammar().fullmatch(text.format(**values)) for text in NAMED_TAUGHT)
    assert not any(grammar().fullmatch(text.format(**values)) for text in NAMED_UNSEEN)


def test_no_unseen_wording_was_taught() -> None:
    """Catches a wording that training draws, and one that is listed twice."""
    prompts = [prompt for prompt, _ in UNSEEN]
    assert len(prompts) >= 60
    assert len(set(prompts)) == len(prompts)
    for prompt in prompts:
        assert grammar().fullmatch(prompt) is None, prompt


def test_every_family_is_asked_for() -> None:
    """Catches a family whose other wordings are never tried."""
    asked = {spec.family for _, spec in UNSEEN}
    assert asked == set(Family)
