"""What crosses the pipe between daemon and engine process. Knows no pixels: they are in the slots.

Down go Encode, Prepare and Edit, up come the events. Closing the pipe ends the engine process.
"""

from __future__ import annotations

from dataclasses import dataclass

from liveedit_cam.errors import LiveEditError
from liveedit_cam.protocols import EditorReport
from liveedit_cam.types import Box, EditInstruction


@dataclass(frozen=True, slots=True)
class Encode:
    """Make this instruction ready; it replaces one that still waits to be encoded."""

    instruction: EditInstruction


@dataclass(frozen=True, slots=True)
class Edit:
    """Edit the frames in input slots 0 .. n-1 with the newest encoded instruction."""

    indices: tuple[int, ...]
    """``Frame.index`` of each slot."""
    captured_at: tuple[float, ...]
    """``Frame.captured_at`` of each slot, in seconds."""
    boxes: tuple[Box | None, ...]
    """``Frame.box`` of each slot."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Encode this prompt ahead, for an instruction that may come; gets no answer."""

    prompt: str


Command = Encode | Prepare | Edit


@dataclass(frozen=True, slots=True)
class Ready:
    """The editor is loaded."""

    name: str
    chunk_frames: int
    """Frames the next Edit must hold; also in Edited and Failed."""
    report: EditorReport


@dataclass(frozen=True, slots=True)
class Encoded:
    """The instruction takes effect with the next Edit. Replaced ones get no answer."""

    revision: int
    notice: str | None
    """What the user should be told, such as words not understood; None = nothing."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The instruction cannot be encoded; the one before stays in force."""

    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """The edited frames are in output slots 0 .. n-1, in the order they came."""

    revision: int
    """Revision of the instruction that made them."""
    seconds: float
    """What ``Editor.edit`` took."""
    report: EditorReport
    chunk_frames: int


@dataclass(frozen=True, slots=True)
class Failed:
    """One edit raised: the chunk is lost, the editor was reset."""

    reason: str
    chunk_frames: int


@dataclass(frozen=True, slots=True)
class Fatal:
    """The engine process ends itself: the editor cannot be made, or failed too often in a row."""

    error: LiveEditError


Event = Ready | Encoded | Rejected | Edited | Failed | Fatal
