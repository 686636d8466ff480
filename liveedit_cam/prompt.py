"""What counts as an instruction's text: one way for CLI, HTTP, OBS and files. Knows no model.

``checked_prompt`` writes the text as a model reads it, takes "undo" and its like for "leave it as
it is", and refuses what says only what *not* to do: a model that reads words, not grammar, does
the very thing that was ruled out.
"""

from __future__ import annotations

import re
import unicodedata

from liveedit_cam.errors import InstructionError, shown
from liveedit_cam.types import MAX_PROMPT_CHARS

LEAVE = "leave it as it is"
"""The wording that every model here was taught for "no edit"."""

_LEAVE_WORDS = frozenset(
    (
        *("undo", "undo it", "undo that", "undo this", "undo all", "undo everything", "revert"),
        *("original", "the original", "original picture", "the original picture", "normal"),
        *("off", "turn off", "turn it off", "switch off", "switch it off", "restore", "cancel"),
        *("nothing", "none", "no", "no filter", "no filters", "no effects", "stop", "clear"),
        *("as is", "original image"),
    )
)
_POLITE = re.compile(r"^(?:(?:please|now|just|ok|okay) )+|(?: (?:please|now|thanks|ok|okay))+$")

_QUOTES = "\"'`“”„‟«»‹›‘’‚‛「」『』〝〞〟"
_FILLERS = frozenset("\u115f\u1160")
"""Hangul letters that draw nothing; normalisation brings their other forms here."""

_LOOK = (
    r"(?:night\w*|nocturnal|moonli\w+|dark(?:er|en|ness)?|bright(?:er|en)?|sepia|invert\w*|"
    r"negative|warm(?:er|th)?|cold(?:er)?|cool(?:er)?|icy|lavender|lilac|gold(?:en)?|neon|"
    r"cyberpunk|vintage|retro|snow\w*|wint\w+|fog\w*|mist\w*|haz[ey]|sunsets?|underwater|thermal|"
    r"pencil|sketch\w*|draw(?:n|ing)|cartoon\w*|comic|pixel\w*|mosaic|spotlights?|blur\w*|"
    r"gr[ae]yscale|monochrome|gradient|tint(?:ed)?)"
)
_COLOUR = (
    r"(?:(?:dark|light)?(?:red|orange|yellow|green|cyan|teal|blue|navy|purple|violet|magenta|pink|"
    r"brown|black|white|gr[ae]y|silver|turquoise|lime|maroon|beige|indigo)(?:ish)?)"
)
_EDIT = re.compile(rf"\b(?:{_LOOK}|{_COLOUR})\b")
_NAMED_LOOK = re.compile(rf"\b{_LOOK}\b")

_NEGATION = re.compile(
    r"(?<!why )\b(?:don't|dont|do not|don t|didn't|doesn't|does not|must not|mustn't|shouldn't|"
    r"isn't|aren't|never|not|no(?! (?:make|turn|paint|please)\b)|without|avoid|anything but|"
    r"stop(?= \w+ing\b| the\b| this\b))\b"
    r"(?! (?:only|just|mind|forget|hesitate|worry|so|too|that|as)\b)(?P<what>.*)"
)
_REMOVAL = re.compile(
    r"\b(?:remove|delete|erase|undo|disable|cancel|turn off|switch off|take away|get rid of)\b"
    r"(?P<what>.*)"
)
_FIRST_WORD = re.compile(r"\s*[\w']*")
_VERB = r"(?:make|paint|turn|change|render|set|use|show|give|add|put|colou?r|tint|blur)"
_CLAUSE_END = re.compile(
    r"[,;:.!?()]|\b(?:but|and|then|plus|as well|combined|followed|instead|only|just|rather|enough)"
    rf"\b|\b{_VERB} (?:it|the|me|everything|my)\b"
)
_UNDERSTOOD = (
    re.compile(r"\bnot an? [^,;.]+ but an? "),  # "not a red cup but a blue one"
    re.compile(r"\b(?:don't|dont|do not) like [^,;.]+, \w"),  # "i don't like red, use blue for it"
    re.compile(r"\b(?:dark|bright) enough\b"),
)
"""Negations that models were taught, or that ask for more."""


def checked_prompt(prompt: object) -> str:
    """The text of an instruction as models read it; "undo", "original", "off" become ``LEAVE``.

    Compatibility forms are folded (NFKC), characters that draw nothing and emoji are taken out,
    line breaks and tabs are blanks, quotation marks around it are taken off. Raises
    InstructionError where it is no text, too long, holds other control characters, has no word,
    or asks for a look only by ruling it out.
    """
    if not isinstance(prompt, str):
        raise InstructionError(
            f"Got an instruction of type {type(prompt).__name__}, expected text.",
            hint='Write it in words, such as "make it black and white".',
        )
    _check_length(prompt)
    text = _normalised(prompt)
    _check_length(text)
    if not any(character.isalnum() for character in text):
        is_blank = all(unicodedata.category(character)[0] in "ZC" for character in prompt)
        got = "an empty instruction" if is_blank else shown(prompt.strip())
        raise InstructionError(
            f"Got {got}, expected at least one word.",
            hint='Write what to change, such as "make the background blue".',
        )
    words = text.lower().replace("’", "'").rstrip(".!")
    if _POLITE.sub("", words) in _LEAVE_WORDS:
        return LEAVE
    if (phrase := ruled_out(text)) is not None:
        raise InstructionError(
            f"Got {shown(phrase)}, which says what not to do; a model would do it.",
            hint=f'Write only what to do, or "{LEAVE}" for the picture without an edit.',
        )
    return text


def ruled_out(text: str) -> str | None:
    """The words by which ``text`` (normalised) rules out an edit; None = it rules out none.

    A negation, or a verb of removal, reaches to the end of its clause; it counts where a look or
    a plain colour stands there (a verb of removal: a look). So "don't touch me, make the rest
    night" is none. It does not see negations said in other words ("let the snow disappear", "i am
    tired of fog", "undoing" and other languages), and takes a colour that only says which thing
    is meant ("don't touch the red cup") for one that is ruled out.
    """
    words = text.lower().replace("’", "'")
    if any(taught.search(words) for taught in _UNDERSTOOD):
        return None
    for opening, edits in ((_NEGATION, _EDIT), (_REMOVAL, _NAMED_LOOK)):
        at = 0
        while (match := opening.search(words, at)) is not None:
            start = match.start("what")
            first_word = _FIRST_WORD.match(words, start)
            end = _CLAUSE_END.search(words, first_word.end() if first_word else start)
            clause_end = end.start() if end else len(words)
            if edits.search(words, start, clause_end):
                return words[match.start() : clause_end].strip()
            at = start
    return None


def _check_length(text: str) -> None:
    if len(text) > MAX_PROMPT_CHARS:
        raise InstructionError(
            f"Got an instruction of {len(text)} characters, expected at most {MAX_PROMPT_CHARS}.",
            hint="Say it in one or two sentences.",
        )


def _normalised(prompt: str) -> str:
    """NFKC, without what draws no letter, on one line. Raises InstructionError."""
    kept = []
    for position, character in enumerate(prompt):
        if character.isspace():
            kept.append(" ")
        elif unicodedata.category(character) in ("Cc", "Cs"):
            raise InstructionError(
                f"Got the control character U+{ord(character):04X} at position {position}, "
                "expected printable text.",
                hint="Write the instruction again by hand.",
            )
        else:
            kept.append(character)
    folded = unicodedata.normalize("NFKC", "".join(kept))
    text = " ".join("".join(map(_drawn, folded)).split())
    return _without_edge_quotes(text)


def _drawn(character: str) -> str:
    """The character; a blank for an emoji, nothing for a format character."""
    category = unicodedata.category(character)
    if category == "Cf" or character in _FILLERS or "\ufe00" <= character <= "\ufe0f":
        return ""
    return " " if category in ("So", "Sk", "Me", "Co", "Cn") else character


def _without_edge_quotes(text: str) -> str:
    """Pairs of quotation marks around the whole, and one that was left open or never opened."""
    while len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES:
        text = text[1:-1].strip()
    marks = sum(character in _QUOTES for character in text)
    if marks == 1 and text[0] in _QUOTES:
        text = text[1:].strip()
    elif marks == 1 and text[-1] in _QUOTES:
        text = text[:-1].strip()
    return text
