"""A small text encoder: hashed words and character n-grams, then a transformer.

Trained here, shipped with nano. A word it was never taught still gets an embedding from its
n-grams (so a typo stays close), and is reported by ``unknown_words``. It knows no grammar.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from liveedit_cam.model.config import TextConfig

MAX_GRAMS = 24
_WORD = re.compile(r"[a-z0-9']+")
_ANY_WORD = re.compile(r"(?:[^\W_]|')+")


def split_words(prompt: str) -> list[str]:
    """Lower-case words of ``prompt``; punctuation and hyphens separate."""
    return _WORD.findall(prompt.lower().replace("’", "'"))


_COUNT = r"(?:a|an|some|any|two|three|more|many|my|her|his)"
_OBJECTS = (
    r"sunglasses|glasses|hats?|caps?|crowns?|masks?|scarf|coat(?! of)|jacket|dress|sweater|hoodie|"
    r"shirt|pants|lipstick|hair|cups?|balls?|books?|flowers?|trees?|chairs?|sofas?|tables?|toys"
)
_BEINGS = (
    r"cats?|dogs?|animals?|fish|frogs?|snakes?|turtles?|ships?|submarines?|cars?|superhero|witch|"
    r"ghost|mermaid|demon|alien|baby|king|robot|person|people|man|woman|girl|boy"
)
_PLACES = (
    r"beach|city|office|forest|jungle|savannah|space|ocean|cave|street|house|arena|saloon|hospital|"
    r"laboratory|church|school|theatre|spa|ship|submarine"
)
_SHOWN = (
    r"(?:background|backdrop|wall|room|surroundings|scene|person|people|man|woman|girl|boy|guy|"
    r"subject|speaker|dog|cat|chair|table|sofa|picture|image|video|face|hair|shirt|glasses|hat|"
    r"window|windows|lamp|door|curtains?|shelf|monitor|screen|camera)"
)
_WHO = r"(?:me|us|him|her|them|it|myself|the \w+)"
_END = r"(?: (?:behind (?:me|us|the \w+)|from \w+ \w+|in here|please|now|too|thanks|ok))*$"
_UNSUPPORTED = tuple(
    re.compile(pattern)
    for pattern in (
        # "put sunglasses on me", "add a red hat", "wear a coat"; "give me a hat"
        rf"\b(?P<named>(?:put|add|place|insert|wear|attach)\b(?: {_WHO})?(?: {_COUNT})?"
        rf"(?: (?!the\b)\w+)? (?:{_OBJECTS}|cats?|dogs?))\b",
        rf"\b(?P<named>give {_WHO}(?: {_COUNT})(?: \w+)? (?:{_OBJECTS}))\b",
        # "turn me into a witch", "change the background to a beach", "make it look like an office"
        rf"\b(?P<named>(?:turn|make|change|transform|convert|replace)\b(?: \w+){{1,4}} "
        rf"(?:a|an) (?:\w+ )?(?:{_BEINGS}|{_PLACES})){_END}",
        rf"\b(?P<named>(?:put|place|show|move) {_WHO} (?:on|in|at|into|onto) (?:a|an|the) (?:\w+ )?"
        rf"(?:{_PLACES})){_END}",
        # "remove the background" with nothing to show instead
        r"\b(?P<named>(?:remove|delete|erase|hide|cut out|wipe out|get rid of|isolate|swap|replace)"
        rf" (?:(?:the|my|this|that|all|every|those) )?(?:\w+ )?{_SHOWN}){_END}",
        # geometry
        r"\b(?P<named>zoom (?:in|out|on|to)|(?:flip|mirror|move|shift|stretch|resize)"
        r" (?:me|it|this|everything|the (?:picture|image|video|camera|frame|scene)))\b",
    )
)


def _words(prompt: str) -> list[str]:
    """As ``split_words``, of any script."""
    return _ANY_WORD.findall(prompt.lower().replace("’", "'"))


def unknown_words(prompt: str, known: Collection[str]) -> tuple[str, ...]:
    """Words of ``prompt`` outside ``known``, in order, each once; of any script, though the model
    reads only a to z.
    """
    return tuple(dict.fromkeys(word for word in _words(prompt) if word not in known))


def what_is_missing(prompt: str, known: Collection[str]) -> tuple[str, ...]:
    """What of ``prompt`` the small model was not taught: words outside ``known``, then a request
    for a thing, a removal or a movement ("put sunglasses on"), in its own words.

    Requests are told by lists of verbs and things, not by meaning. They miss things that are also
    colours ("add a pumpkin"), known words in a new sense ("make me look old"), things named
    without a verb ("sunglasses"), and places or people named only after "in" ("me in an office").
    """
    words = " ".join(_words(prompt))
    asked = (pattern.search(words) for pattern in _UNSUPPORTED)
    named = tuple(dict.fromkeys(match["named"] for match in asked if match))
    said = {word for phrase in named for word in phrase.split()}
    return (*(word for word in unknown_words(prompt, known) if word not in said), *named)


_NEUTRAL = re.compile(
    r"(?:"
    r"a|an|the|this|that|these|those|some|any|all|in|into|on|onto|at|to|of|"
    r"for|from|with|without|by|as|like|and|or|but|so|then|now|please|just|only|"
    r"really|very|more|bit|little|it|its|i|i'd|i'm|me|my|myself|we|us|our|you|"
    r"your|he|him|his|she|her|they|them|what|which|is|are|be|was|were|will|"
    r"would|should|could|can|may|might|must|do|does|have|has|want|need|let|"
    r"let's|get|make|makes|made|making|turn|turned|change|changed|give|put|add|"
    r"use|set|show|see|look|looks|feel|become|transform|convert|place|wear|draw|"
    r"paint|picture|image|video|frame|camera|scene|person|people|man|woman|guy|"
    r"girl|boy|subject|speaker|background|backdrop|wall|room|face|head|hair|shirt|"
    r"clothes|here|there|behind|around|over|under|up|if|style|effect|filter|thing|"
    r"something|everything|everyone|anything"
    r")"
)
"""Words that ask for no edit by themselves. One that is missing here lets more reach the model."""


def asks_for_nothing(word: str) -> bool:
    """Whether ``word`` asks for no edit by itself."""
    return _NEUTRAL.fullmatch(word) is not None


def is_all_missing(prompt: str, missing: Sequence[str], known: Collection[str]) -> bool:
    """Whether ``missing`` (of ``what_is_missing``) is all that ``prompt`` asks for.

    The model would change the picture all the same, by what the words remind it of. A typo of a
    known word asks for something: it reads "make it nigth" nearly as "make it night".
    """
    rest = f" {' '.join(_words(prompt))} "
    for phrase in missing:
        rest = rest.replace(f" {phrase} ", " ")
    edits = [word for word in known if not asks_for_nothing(word)]
    return (
        len(missing) > 0
        and all(asks_for_nothing(word) for word in rest.split())
        and not any(is_typo(one, word) for one in missing for word in edits)
    )


def is_typo(word: str, meant: str) -> bool:
    """Whether ``word`` is ``meant`` with one letter left out, added or replaced, or two swapped.

    Words under four letters have no typos and the first letter is right: "fat" is not "hat".
    """
    if len(word) < 4 or word[0] != meant[:1] or word == meant:
        return False
    pairs = enumerate(zip(word, meant, strict=False))
    same = next((n for n, (a, b) in pairs if a != b), min(len(word), len(meant)))
    w, m = word[same:], meant[same:]
    return m[1:] in (w, w[1:]) or m == w[1:] or (m[1::-1], m[2:]) == (w[:2], w[2:])


@lru_cache(maxsize=4096)
def bucket_ids(word: str, num_buckets: int) -> tuple[int, ...]:
    """Buckets 1..num_buckets-1 of a word and its 3- and 4-grams; CRC-32, so stable."""
    padded = f"<{word}>"
    grams = [padded[i : i + n] for n in (3, 4) for i in range(len(padded) - n + 1)]
    pieces = [padded, *grams[: MAX_GRAMS - 1]]
    return tuple(1 + zlib.crc32(piece.encode()) % (num_buckets - 1) for piece in pieces)


class TextEncoder(nn.Module):
    """Prompts to embeddings (B, L, D): a summary row first, then one row per word, then zeros."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.num_buckets, config.width, padding_idx=0)
        self.summary = nn.Parameter(torch.randn(config.width) * 0.02)
        self.position = nn.Parameter(torch.randn(config.max_tokens, config.width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.num_heads,
            2 * config.width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, config.num_layers, norm=nn.LayerNorm(config.width), enable_nested_tensor=False
        )

    def forward(self, prompts: Sequence[str]) -> Tensor:
        """Embed ``prompts``; float (B, L, D), rows past a prompt's length are zero.

        Words past the ``max_tokens - 1`` first are cut.
        """
        words = [split_words(prompt)[: self.config.max_tokens - 1] for prompt in prompts]
        length = 1 + max((len(w) for w in words), default=0)
        ids = torch.zeros(len(words), length, MAX_GRAMS, dtype=torch.long)
        for row, sequence in enumerate(words):
            for column, word in enumerate(sequence, start=1):
                buckets = bucket_ids(word, self.config.num_buckets)
                ids[row, column, : len(buckets)] = torch.tensor(buckets)
        ids = ids.to(self.position.device)
        rows = self.table(ids)
        counts = (ids > 0).sum(-1, keepdim=True).clamp_min(1)
        x = rows.sum(dim=2) / counts.sqrt()
        x = torch.cat((self.summary.expand(len(words), 1, -1), x[:, 1:]), dim=1)
        is_padding = ids[:, :, 0] == 0
        is_padding[:, 0] = False
        x = self.layers(x + self.position[:length], src_key_padding_mask=is_padding)
        out = x.new_zeros(len(words), self.config.max_tokens, self.config.width)
        out[:, :length] = x.masked_fill(is_padding.unsqueeze(-1), 0.0)
        return out
