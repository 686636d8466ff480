"""What crosses the pipe between daemon and engine process, small frames and fields included.

A chunk of nano is 0.4 MB of frames down and 0.6 MB of field up, a millisecond or two; no full-size
picture comes this way, so there is no shared memory to size, to fill up or to leave behind. Down go
Encode, Prepare, Pace and Edit, up come the events. Closing the pipe ends the engine process.
"""

from __future__ import annotations

from dataclasses import dataclass

from liveedit_cam.errors import LiveEditError
from liveedit_cam.protocols import EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize


@dataclass(frozen=True, slots=True)
class Encode:
    """Make this instruction ready; it replaces one that still waits to be encoded."""

    instruction: EditInstruction


@dataclass(frozen=True, slots=True)
class Edit:
    """Edit these frames with the newest encoded instruction."""

    frames: tuple[ModelFrame, ...]
    every_frame: bool
    """Whether every frame's field is wanted; False = the newest one's is enough."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Encode this prompt ahead, for an instruction that may come; Prepared answers."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Pace:
    """Take so many denoising steps from the next Edit on; an editor without steps ignores it."""

    num_steps: int | None
    """None = the model's own, fewer where fields get too old."""


Command = Encode | Prepare | Pace | Edit


@dataclass(frozen=True, slots=True)
class Ready:
    """The editor is loaded."""

    name: str
    chunk_frames: int
    """Frames the next Edit must hold; also in Edited and Failed."""
    size: ModelSize
    """How large they must be; also in Edited and Failed."""
    report: EditorReport


@dataclass(frozen=True, slots=True)
class Encoded:
    """The instruction takes effect with the next Edit. Replaced ones get no answer."""

    revision: int
    notice: str | None
    """What the user should be told, such as words not understood; None = nothing."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prompt was encoded ahead, or could not be: then it is told when it is really given."""

    prompt: str
    unknown: tuple[str, ...]
    """Words of it that the editor does not know."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The instruction cannot be encoded; the one before stays in force."""

    revision: int
    reason: str


@dataclass(frozen=True, slots=True)
class Edited:
    """A chunk is edited."""

    fields: tuple[EditField, ...]
    """In the order of the frames, the newest frame's last."""
    seconds: float
    """What ``Editor.edit`` took."""
    report: EditorReport
    chunk_frames: int
    size: ModelSize


@dataclass(frozen=True, slots=True)
class Failed:
    """One edit raised: the chunk is lost, the editor was reset."""

    reason: str
    chunk_frames: int
    size: ModelSize


@dataclass(frozen=True, slots=True)
class Fatal:
    """The engine process ends itself: the editor cannot be made, or failed too often in a row."""

    error: LiveEditError


Event = Ready | Encoded | Prepared | Rejected | Edited | Failed | Fatal
