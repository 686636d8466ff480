"""The text encoder: words, buckets, padding."""

from __future__ import annotations

import torch
from tiny_model import TINY, tiny_text

from liveedit_cam.model.text import bucket_ids, split_words, unknown_words


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
