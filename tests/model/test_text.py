"""The text encoder: words, buckets, padding."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from tiny_model import TINY, tiny_text

from liveedit_cam.lab.edits.instructions import draw_spec, survey_palette
from liveedit_cam.lab.edits.wordings import TEMPLATES
from liveedit_cam.lab.evaluation.named import CALLED, LOOKS, PAINTS
from liveedit_cam.lab.evaluation.named import UNSEEN as NAMED_UNSEEN
from liveedit_cam.lab.evaluation.unseen import UNSEEN
from liveedit_cam.model.text import (
    bucket_ids,
    is_all_missing,
    is_typo,
    split_words,
    unknown_words,
    what_is_missing,
)

NANO_WORDS = Path(__file__).parents[2] / "models" / "nano" / "words.json"


def test_buckets_are_golden() -> None:
    """Catches a hash that differs between machines or versions: shipped tables would be noise.

    The numbers are 1 + CRC-32 modulo 8191 of <dog>, <do, dog, og>, <dog, dog>.
    """
    assert bucket_ids("dog", 8192) == (1366, 3313, 768, 3736, 1864, 7780)
    assert bucket_ids("a", 8192) == (132, 132)


def test_buckets_stay_off_the_padding_row_and_are_bounded() -> None:
    """Catches bucket 0 (padding, always zero) and a word of any length that overflows its row."""
    for word in ("make", "x" * 500, "a1'"):
        ids = bucket_ids(word, 7)
        assert 1 <= len(ids) <= 24
        assert set(ids) <= set(range(1, 7))


def test_words_ignore_case_and_punctuation() -> None:
    """Catches "Blue," as another word than "blue", and a typographic apostrophe."""
    assert split_words("Make IT blue, don’t-stop!") == ["make", "it", "blue", "don't", "stop"]
    assert split_words(" ...?! ") == []


def test_unknown_words_in_order_and_once() -> None:
    """Catches known words reported in capitals, and a word reported twice."""
    known = {"make", "it", "blue"}
    assert unknown_words("Make it zebra, ZEBRA blue qux", known) == ("zebra", "qux")
    assert unknown_words("make it blue", known) == ()


@pytest.fixture(scope="module")
def taught() -> frozenset[str]:
    return frozenset(json.loads(NANO_WORDS.read_text("utf-8")))


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("put sunglasses on me", ("put sunglasses",)),
        ("Remove the background.", ("remove the background",)),
        ("please remove my background now", ("remove my background",)),
        ("remove the person from the video", ("remove the person",)),
        ("hide the chair behind me", ("hide the chair",)),
        ("add a red hat", ("add a red hat",)),
        ("give me a beard", ("beard",)),
        ("give me a big hat", ("give me a big hat",)),
        ("i want to wear a coat", ("wear a coat",)),
        ("turn me into a witch", ("turn me into a witch",)),
        ("change the background to a beach", ("change the background to a beach",)),
        ("put me on a beach", ("put me on a beach",)),
        ("zoom in on my face", ("zoom in",)),
        ("mirror the picture", ("mirror the picture",)),
        ("swap my face", ("swap my face",)),
        ("make me dance in a galaxy", ("dance", "galaxy")),
    ],
)
def test_what_was_never_taught_is_named(
    prompt: str, named: tuple[str, ...], taught: frozenset[str]
) -> None:
    """Catches a request of known words only that changes 90 % of the picture (issue 15)."""
    assert what_is_missing(prompt, taught) == named
    assert is_all_missing(prompt, named, taught)


@pytest.mark.parametrize(
    "prompt",
    [
        "put sunglasses on me and make it night",
        "add a red hat and make me red",
        "change my zebra to red",
        "make it nigth",
        "invrt the colours",
        "make the bakground blue",
        "make it galaxy, but in sepia",
        "make it night",
    ],
)
def test_what_is_understood_besides_is_still_asked_for(prompt: str, taught: frozenset[str]) -> None:
    """Catches one word nobody knows, or a typo, that silences the rest of an instruction."""
    assert not is_all_missing(prompt, what_is_missing(prompt, taught), taught)


def test_no_wording_to_measure_with_asks_for_nothing(taught: frozenset[str]) -> None:
    """Catches an understood sentence that would change nothing: those of both sets of the bench,
    which hold words that were never taught ("grays", "comic")."""
    hows = [*PAINTS, *LOOKS.values()]
    names = [name.format(name="car") for called in CALLED.values() for name in called]
    prompts = [prompt for prompt, _ in UNSEEN]
    prompts += [t.format(target=n, how=h) for t in NAMED_UNSEEN for n in names for h in hows]
    missing = {prompt: what_is_missing(prompt, taught) for prompt in prompts}
    assert sum(map(bool, missing.values())) > 2
    assert [p for p, words in missing.items() if is_all_missing(p, words, taught)] == []


def test_a_typo_is_one_slip_after_the_first_letter() -> None:
    """Catches a slip that is not seen, and a word of its own taken for one."""
    for typo in ("nigth", "nght", "nightt", "nihht", "niight", "nigh"):
        assert is_typo(typo, "night"), typo
    for other in ("night", "light", "nihgtt", "nig", "brown", "eight", ""):
        assert not is_typo(other, "night"), other
    assert not is_typo("fat", "far")


@pytest.mark.parametrize(
    "prompt",
    [
        "remove the background and show blue",
        "erase the background, just blue instead",
        "hide my room with blur",
        "put a blue filter over it",
        "change the blue shirt to red",
        "give the shirt a red color",
        "flip the colors",
        "add fog",
        "sunglasses effect",
        "like on the beach when the sun sinks into the sea",
        "put the dog in front of an arcade game",
    ],
)
def test_what_was_taught_is_not(prompt: str, taught: frozenset[str]) -> None:
    """Catches a list that takes a taught wording for a request for a thing."""
    assert what_is_missing(prompt, taught) == ()


def test_no_drawn_wording_is_missing_anything(taught: frozenset[str]) -> None:
    """Catches a false "not understood" over the whole grammar, named colours among it."""
    rng, palette = random.Random(4), survey_palette()
    apart = ("join", "solid", ":named", ":except")  # drawn by other makers
    kinds = [*(k for k in TEMPLATES if not any(part in k for part in apart)), "two"]
    for _ in range(6000):
        prompt = draw_spec(rng, palette, kinds)[1]
        assert what_is_missing(prompt, taught) == (), prompt


def test_padding_does_not_change_a_prompt() -> None:
    """Catches attention to padding: a prompt must not depend on its neighbour in the batch.

    Attention over 3 or over 6 rows, 3 of them masked, sums in another order: 1e-5.
    """
    text = tiny_text()
    alone = text(["make blue"])
    both = text(["make blue", "make it black and white"])
    assert alone.shape == (1, TINY.text.max_tokens, TINY.text.width)
    assert torch.allclose(both[:1], alone, rtol=0, atol=1e-5)
    assert alone[0, :3].abs().amax(1).min() > 0.1
    assert float(alone[0, 3:].abs().max()) == 0.0


def test_rows_past_the_longest_prompt_are_zero() -> None:
    """Catches rows left from the layer norm, which cross-attention would read."""
    both = tiny_text()(["", "blue"])
    assert float(both[0, 1:].abs().max()) == 0.0
    assert float(both[1, 2:].abs().max()) == 0.0
    assert float(both[0, 0].abs().max()) > 0.1


def test_long_prompts_are_cut() -> None:
    """Catches a crash past the position table; summary and five words fit."""
    text = tiny_text()
    whole = text(["make it black and white"])
    cut = text(["make it black and white " + "and white " * 50])
    assert torch.equal(cut, whole)


def test_word_order_and_words_matter() -> None:
    """Catches a bag of words ("red to blue" is not "blue to red") and words that share a row."""
    text = tiny_text()
    first, swapped, other = (text([p]) for p in ("red to blue", "blue to red", "red to green"))
    assert (first - swapped).abs().max() > 1e-2
    assert (first - other).abs().max() > 1e-2
