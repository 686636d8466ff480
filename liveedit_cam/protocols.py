"""The four seams, each one method wide: Source, Sink, Editor, Trigger. Knows only ``types``.

A backend is one file with ``create(...)`` in the folder of its seam; its name is the file's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from liveedit_cam.types import EditInstruction, Frame, Mode


@runtime_checkable
class Source(Protocol):
    """Where frames come from. One thread calls ``read`` in a loop; any thread may call ``close``.

    A module in ``sources/`` offers ``create(target: str, *, loop: bool, realtime: bool) -> Source``
    and ``describe() -> str`` (one line of help with the form of its target).
    """

    width: int
    height: int
    fps: float
    """Nominal frames per second; the true rate is measured."""
    name: str
    """For people: "camera:0 (HD Webcam, 1280x720 at 30 fps)"."""

    def read(self) -> Frame:
        """Block until the next frame. Raises SourceEnded at the end, SourceError on a failure."""
        ...

    def close(self) -> None:
        """Free the device. May be called twice, and while ``read`` waits."""
        ...


@runtime_checkable
class Sink(Protocol):
    """Where frames go. One thread calls ``write``, already paced; a sink never sleeps to pace.

    A module in ``sinks/`` offers ``create(target: str, *, width: int, height: int, fps: float)
    -> Sink`` and ``describe() -> str``.
    """

    name: str
    """For people: "virtual-camera:/dev/video4 (1280x720 at 30 fps)"."""
    url: str | None
    """A page that shows this sink in a browser; None where there is none."""

    def write(self, frame: Frame) -> None:
        """Show one frame of exactly the size given to ``create``. Raises SinkError."""
        ...

    def close(self) -> None:
        """Flush and free. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What an Editor made of an instruction; opaque but for the words it did not know."""

    instruction: EditInstruction
    payload: Any
    """The editor's own value, such as text embeddings; stays in the engine process."""
    notice: str | None = None
    """What the user should be told, such as unknown words and what the model does know."""


@dataclass(frozen=True, slots=True)
class EditorReport:
    """What an Editor says of its last chunk, for the status."""

    cache_skip: float = 0.0
    """Share of tokens the mask cache reused in the middle steps, 0..1."""
    kv_latents: int = 0
    device: str = "cpu"


@runtime_checkable
class Editor(Protocol):
    """The model behind one method. Lives in the engine process; one thread calls it.

    A module in ``editors/`` offers ``create(model: str, device: str) -> Editor``.
    """

    name: str
    chunk_frames: int
    """Frames the next ``edit`` wants."""

    def encode(self, instruction: EditInstruction) -> Conditioning:
        """Make an instruction ready for ``edit``. Raises InstructionError."""
        ...

    def edit(self, frames: Sequence[Frame], conditioning: Conditioning) -> list[Frame]:
        """Edit ``chunk_frames`` frames of one size; order, index and captured_at are kept.

        ``revision`` of the result is the instruction's. Raises EditorError.
        """
        ...

    def report(self) -> EditorReport:
        """Figures of the last chunk."""
        ...

    def reset(self) -> None:
        """Forget the stream (caches, history), keep the weights."""
        ...

    def close(self) -> None:
        """Free the model. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class Action:
    """What a Trigger asks of the Controller; a field that is None is left as it is."""

    prompt: str | None = None
    mode: Mode | None = None
    strength: float | None = None


class Trigger(Protocol):
    """Pure: one event of an outside program and one rule in, one action or None out."""

    event: str
    """Name of the event it wants, in the other program's words."""

    def handle(self, data: Mapping[str, Any], rule: Mapping[str, Any]) -> Action | None:
        """Decide; no I/O, no state."""
        ...
