"""What an instruction is to a stream: its text made ready, and what it does to the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from liveedit_cam.model.dit import TextKV

KVPolicy = Literal["keep", "recache", "reset"]
"""What a new instruction does to the history: keep it, rewrite it under the new text, drop it."""


@dataclass(frozen=True, slots=True, eq=False)
class TextConditioning:
    """An instruction ready for the DiT."""

    prompt: str
    kv: tuple[TextKV, ...]
    """Cross-attention K and V of every layer, (1, L, H, D) each."""
    unknown: tuple[str, ...]
    """Words of the prompt the model was never taught, and requests it cannot fulfil."""
    is_understood: bool = True
    """False where ``unknown`` is all that the prompt asks for: then nothing is changed."""
    unread: str = ""
    """The end of a prompt that is too long, which the model does not read."""
    spares: bool = False
    """Whether a part is to stay as it is, however small: "everything except my face"."""
    then: TextConditioning | None = None
    """The next edit of the same sentence, made on the result of this one."""
