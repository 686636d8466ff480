"""What counts as an instruction's text, for live editing and for files alike. Knows no model."""

from __future__ import annotations

import unicodedata

from liveedit_cam.errors import InstructionError
from liveedit_cam.types import MAX_PROMPT_CHARS


def checked_prompt(prompt: object) -> str:
    """The text of an instruction without blanks around it.

    Raises InstructionError where it is no text, empty, too long, or holds control characters or
    bytes that are no text.
    """
    if not isinstance(prompt, str):
        raise InstructionError(
            f"Got an instruction of type {type(prompt).__name__}, expected text.",
            hint='Write it in words, such as "make it black and white".',
        )
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InstructionError(
            f"Got an instruction of {len(prompt)} characters, expected at most {MAX_PROMPT_CHARS}.",
            hint="Say it in one or two sentences.",
        )
    for position, character in enumerate(prompt):
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise InstructionError(
                f"Got the control character U+{ord(character):04X} at position {position}, "
                "expected printable text on one line.",
                hint="Replace line breaks and tabs by blanks.",
            )
    if not any(unicodedata.category(character)[0] not in "ZC" for character in prompt):
        raise InstructionError(
            "Got an empty instruction, expected at least one word.",
            hint='Write what to change, such as "make the background blue".',
        )
    return prompt.strip()
