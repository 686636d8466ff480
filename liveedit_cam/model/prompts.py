"""From a prompt to what conditions a stream: cut into edits, each encoded, and what was not read.

Knows no network: what makes keys and values of a sentence is handed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from liveedit_cam.model.clauses import edits_of, spares_a_part
from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.dit import TextKV
from liveedit_cam.model.languages import in_english
from liveedit_cam.model.text import (
    asks_for_nothing,
    is_all_missing,
    split_words,
    what_is_missing,
)
from liveedit_cam.prompt import ruled_out

MOST_EDITS = 4
"""Of a sentence: each takes as long as one alone."""
Encode = Callable[[str], list[TextKV]]
"""Cross-attention keys and values of every layer for a sentence."""


def condition(
    prompt: str, encode: Encode, words: frozenset[str] | None, max_words: int, *, cuts: bool = True
) -> TextConditioning:
    """Encode ``prompt``, of which a model reads ``max_words`` words and was taught ``words``.

    ``words`` None = any: then nothing is missing, and a sentence is never cut. ``cuts`` False keeps
    it whole in any case. Of several edits those that ask for nothing the model can do are left out,
    those over ``MOST_EDITS`` are unread; one of another language that only rules something out
    asks for nothing.
    """
    if words is None:
        return TextConditioning(prompt, tuple(encode(prompt)), ())

    def is_edit_word(word: str) -> bool:
        return word in words and not asks_for_nothing(word)

    english = in_english(prompt, words)
    if english != prompt and ruled_out(english) is not None:
        return TextConditioning(prompt, tuple(encode("")), (prompt,), is_understood=False)
    edits = edits_of(english, is_edit_word) if cuts else (english,)
    links = [_link(edit, encode, words, max_words) for edit in edits[:MOST_EDITS]]
    head: TextConditioning | None = None
    for link in reversed([link for link in links if link.is_understood] or links[:1]):
        head = replace(link, then=head)
    assert head is not None, "a prompt is at least one edit"
    unread = " ".join(filter(None, (*(link.unread for link in links), *edits[MOST_EDITS:])))
    return replace(head, prompt=prompt, unknown=what_is_missing(english, words), unread=unread)


def _link(edit: str, encode: Encode, words: frozenset[str], max_words: int) -> TextConditioning:
    missing = what_is_missing(edit, words)
    is_read = not is_all_missing(edit, missing, words)
    unread = " ".join(split_words(edit)[max_words:])
    kv, spares = tuple(encode(_sentence(edit))), spares_a_part(edit)
    return TextConditioning(edit, kv, missing, is_read, unread, spares)


def _sentence(edit: str) -> str:
    """A comparative alone as a sentence, as it was taught: bare, "darker" does next to nothing."""
    words = split_words(edit)
    return f"make it {edit}" if len(words) == 1 and words[0].endswith("er") else edit
