"""The four seams: Source, Sink, Editor, Trigger, and what some can do besides. Knows ``types``.

A backend is one file with ``create(...)`` in the folder of its seam; its name is the file's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from liveedit_cam.types import (
    CodecChoice,
    EditField,
    EditInstruction,
    Frame,
    Mode,
    ModelFrame,
    ModelSize,
    SoundBlock,
)

if TYPE_CHECKING:
    from liveedit_cam.types import Floats


@runtime_checkable
class Source(Protocol):
    """Where frames come from. One thread calls ``read`` in a loop; any thread may call ``close``.

    A module in ``sources/`` offers ``create(target: str, *, loop: bool, realtime: bool) -> Source``
    and ``describe() -> str`` (one line of help with the form of its target). Where its ``create``
    has parameters ``width: int``, ``height: int`` (pixels) and ``fps: float`` they get those of the
    sinks, and ``stop: Event`` one that ends a long opening.
    """

    width: int
    height: int
    """Of its pictures, in pixels; where they change their size while it is open, of the first."""
    fps: float
    """Nominal frames per second; the true rate is measured."""
    name: str
    """For people: "camera:0 (HD Webcam, 1280x720 at 30 fps)"."""

    def read(self) -> Frame:
        """Block until the next frame. Raises SourceEnded at the end, SourceError on a failure."""

    def close(self) -> None:
        """Free the device. May be called twice, and while ``read`` waits."""


@runtime_checkable
class ChosenSource(Protocol):
    """A Source picked where the user named none: it is opened again, never another one instead."""

    spec: str
    """Such as "camera:HD Webcam"."""


@runtime_checkable
class Sink(Protocol):
    """Where frames go. One thread calls ``write``, already paced; a sink never sleeps to pace.

    A module in ``sinks/`` offers ``create(target: str, *, width: int, height: int, fps: float)
    -> Sink`` and ``describe() -> str``.
    """

    name: str
    """For people: "virtual-camera:/dev/video4 (1280x720 at 30 fps)"."""

    def write(self, frame: Frame) -> None:
        """Show one frame of exactly the size given to ``create``. Raises SinkError."""

    def close(self) -> None:
        """Flush and free. May be called twice."""


@runtime_checkable
class RecordingSink(Protocol):
    """A Sink with a time of its own that a player can jump about in; one thread, as ``write``."""

    def skip(self, num_frames: int) -> None:
        """Let the frame before stand for so many more."""

    def begin_chapter(self, title: str) -> None:
        """The frames from the next one on are a chapter."""

    def begin_sound(self, rate_hz: int, num_channels: int) -> None:
        """Make it a file with sound, 1 or 2 channels; before the first write. Raises SinkError."""
        ...

    def write_sound(self, samples: Floats) -> None:
        """The sound that follows, float32 (N, C) in -1..1, without a gap. Raises SinkError."""
        ...


class Microphone(Protocol):
    """An open microphone."""

    name: str
    rate_hz: int
    num_channels: int
    """1 or 2."""

    def begin(self, take: Callable[[SoundBlock], None]) -> None:
        """Give each block to ``take`` from now on, from a thread of its own. Raises DeviceError.

        ``take`` returns at once. Nothing more is given once the device is gone.
        """
        ...

    def close(self) -> None:
        """Give nothing more and free it. May be called twice."""
        ...


@runtime_checkable
class WatchedSink(Protocol):
    """A Sink that knows whether anybody looks; one that does not is taken to be watched always."""

    def has_reader(self) -> bool:
        """Whether anybody reads now; asked a few times a second, from any thread."""


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What an Editor made of an instruction; opaque but for the words it did not know."""

    instruction: EditInstruction
    payload: Any
    """The editor's own value, such as text embeddings; stays in the engine process."""
    notice: str | None = None
    """What the user should be told, such as unknown words and what the model does know."""
    unknown: tuple[str, ...] = ()
    """Words and phrases of the instruction that the editor does not know, in lower case."""


@dataclass(frozen=True, slots=True)
class EditorOptions:
    """What a run asks of its editor."""

    model: str
    """Name of a model, or its folder."""
    device: str = "auto"
    num_steps: int | None = None
    """Denoising steps of every chunk; None = the model's own, fewer where fields get too old."""
    max_field_age_s: float | None = None
    """Age up to which fewer steps keep the newest field, where they can; None = however old."""
    target: str = ""
    """What stands behind the colon of its spec, such as a server's address; "" = nothing."""
    token: str | None = field(default=None, repr=False)
    """What opens a server of models; None = there is none."""
    certificate: Path | None = None
    """PEM file that the server's certificate is checked by; None = the system's authorities."""
    codec: CodecChoice = "wan"
    """"wan" = the model's own codec, "tiny" = its light one."""
    window: int | None = None
    """Latents in view; None = the model's own."""
    is_paper_mode: bool = False
    """Run the released model as the paper's code does."""
    uses_fp8: bool = False
    """Products in 8-bit floats, where the GPU has them."""
    lora: str | None = None
    """File of a LoRA, with ":0.8" behind it for its strength; None = none."""


@dataclass(frozen=True, slots=True)
class EditorReport:
    """What an Editor says of its last chunk, for the status."""

    cache_skip: float = 0.0
    """Share of tokens the mask cache reused in the middle steps, 0..1."""
    kv_latents: int = 0
    device: str = "cpu"
    given_up: str | None = None
    """What it does without for now, such as "picture 832x480 -> 624x352"; None = nothing."""
    changed: float | None = None
    """Share of the picture that differs visibly from the source, 0..1; None = not measured."""
    num_steps: int = 0
    """Denoising steps; 0 = it has none."""
    model: str | None = None
    """Name of the model that edited it, where that may change; None = the editor's."""
    edited_by: str | None = None
    """Who edited it and how far away, where another computer is asked; None = none is."""
    recomputed: tuple[str, ...] | None = None
    """Tokens of the last chunk, a row a text of 1 (computed anew) and 0 (reused); None = all 1."""


@runtime_checkable
class Editor(Protocol):
    """The model behind one method. Lives in the engine process; one thread edits.

    A module in ``editors/`` offers ``create(options: EditorOptions) -> Editor``. An editor that
    makes pictures turns them into fields with ``liveedit_cam.model.field.fields_of``.
    """

    @property
    def name(self) -> str:
        """What it is, for people."""

    @property
    def chunk_frames(self) -> int:
        """Frames the next ``edit`` wants."""

    @property
    def size(self) -> ModelSize:
        """How large it wants them; may change from chunk to chunk."""

    def encode(self, instruction: EditInstruction) -> Conditioning:
        """Make an instruction ready for ``edit``. Raises InstructionError.

        Called from a thread of its own, one at a time, while ``edit`` may run.
        """

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        """Fields for ``chunk_frames`` frames of one size and part, the newest frame's last.

        ``every_frame``: one for each frame, in order; otherwise the newest frame's is enough.
        ``index``, ``captured_at`` and ``part`` are the frame's, ``revision`` the instruction's,
        strength and region are in the field. Raises EditorError.
        """

    def report(self) -> EditorReport:
        """Figures of the last chunk."""

    def reset(self) -> None:
        """Forget the stream (caches, history), keep the weights."""

    def close(self) -> None:
        """Free the model. May be called twice."""


@runtime_checkable
class PacedEditor(Protocol):
    """An Editor whose denoising steps can be changed; the thread that edits calls it."""

    def set_steps(self, num_steps: int | None) -> None:
        """From the next chunk on; None = the model's own, fewer where fields get too old."""


@runtime_checkable
class LateEditor(Protocol):
    """An Editor that may give back the field of a chunk before, or none, where one is enough."""

    may_be_late: bool


@dataclass(frozen=True, slots=True)
class Action:
    """What a rule asks of the Controller; a field that is None is left as it is."""

    prompt: str | None = None
    mode: Mode | None = None
    strength: float | None = None
    preset: str | None = None
    """Name of a look, put into force before the rest."""


class Names(StrEnum):
    """What the text of a field names in OBS; a name that OBS does not have is told to the user."""

    SCENE = "scene"
    SOURCE = "source"
    """An input, a scene or a group."""
    INPUT = "input"
    FILTER = "filter"
    """A filter of the source that the same rule names."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a rule's ``when``; a rule gives all fields of its kind."""

    name: str
    allowed: tuple[str, ...] = ()
    """The texts it may have; () = any but an empty one."""
    names: Names | None = None
    """None = it names nothing that could be looked up."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the user, checked: when that happens, do this."""

    kind: str
    """The trigger's kind in the registry."""
    when: Mapping[str, str]
    """Exactly the trigger's ``fields``, each with an allowed text."""
    action: Action
    line: int | None = None
    """Where it begins in its file, from 1; None = unknown."""


@runtime_checkable
class Trigger(Protocol):
    """When a rule of one kind acts. Pure: no I/O, no state; called from the OBS thread.

    A row of ``obs/triggers.py``; outside the tree a module that offers ``create() -> Trigger`` and
    ``describe() -> str`` (one line of help with the form of its ``when``).
    """

    @property
    def event(self) -> str:
        """Name of the event it wants, in the words of the obs-websocket protocol."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """What a rule's ``when`` holds; the first is named as the kind."""

    @property
    def brings_prompt(self) -> bool:
        """Whether the event carries the instruction, letter by letter as it is typed.

        Such an instruction counts once it has rested, and the rule names none; a rule of any other
        kind names edit, preset, mode or strength.
        """

    def example(self, rule: Rule) -> Mapping[str, Any]:
        """Data of an event on which ``rule`` acts: to try a rule without OBS."""

    def handle(self, data: Mapping[str, Any], rule: Rule) -> Action | None:
        """What ``rule`` asks for on an event with this data; None = it does not concern the rule.

        ``data`` is the protocol's, and what it lacks: ``sceneName`` (the scene that becomes the
        program) with SceneTransitionStarted, ``sourceName`` and ``inProgram`` with
        SceneItemEnableStateChanged. Fields may be missing or of any type.
        """
