"""A source, a sink and an engine that do what a test tells them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liveedit_cam.engine.messages import (
    Command,
    Edit,
    Edited,
    Encode,
    Encoded,
    Event,
    Failed,
    Prepare,
    Ready,
    Rejected,
)
from liveedit_cam.errors import SinkError, SourceEnded
from liveedit_cam.protocols import EditorReport
from liveedit_cam.types import EditField, EditInstruction, Frame, ModelFrame, ModelSize

WIDTH, HEIGHT = 64, 48
SIZE = (WIDTH, HEIGHT)
CHUNK_FRAMES = 2
REPORT = EditorReport(cache_skip=0.5, kv_latents=6, device="cuda:0", num_steps=4)
MODEL_SIZE = ModelSize(token_px=16, num_tokens=12)
MARK = 51
"""What the echo adds to every pixel."""


def frame(index: int, captured_at: float = 0.0, revision: int = 0) -> Frame:
    """A frame all of whose pixels are its index."""
    pixels = np.full((HEIGHT, WIDTH, 3), index % 256, np.uint8)
    return Frame(pixels, index, captured_at, revision)


def small(index: int, captured_at: float = 0.0) -> ModelFrame:
    """The small copy of ``frame(index)``; here as large."""
    full = frame(index, captured_at)
    return ModelFrame(full.pixels, index, captured_at)


def marking(of: ModelFrame, revision: int) -> EditField:
    """A field that adds MARK everywhere."""
    cells = np.zeros((12, HEIGHT // 4, WIDTH // 4), np.float32)
    cells[9:] = MARK / 255
    guide = of.pixels[..., 1].copy()
    return EditField(cells, None, guide, of.index, of.captured_at, revision, of.part)


class FakeSource:
    """Gives the frames or raises the errors of its script, then ends."""

    width, height, fps, name = WIDTH, HEIGHT, 30.0, "fake source"

    def __init__(self, script: Sequence[Frame | Exception]) -> None:
        self.num_closes = 0
        self._script = list(script)

    def read(self) -> Frame:
        if not self._script:
            raise SourceEnded("The end.")
        item = self._script.pop(0)
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.num_closes += 1


class FakeSink:
    """Keeps what is written; the writes whose number is in ``failing`` raise, counted from 1."""

    def __init__(self, name: str = "fake sink", failing: Sequence[int] = ()) -> None:
        self.name = name
        self.frames: list[Frame] = []
        self.num_closes = 0
        self._failing = set(failing)
        self._num_writes = 0

    def write(self, frame: Frame) -> None:
        self._num_writes += 1
        if self._num_writes in self._failing:
            raise SinkError(f"{self.name} is gone.", hint="Plug it in.")
        self.frames.append(frame)

    def close(self) -> None:
        self.num_closes += 1


class EchoLink:
    """An engine at once ready: marks every chunk, refuses "refuse", fails at "raise"."""

    pid = 4711

    def __init__(self) -> None:
        self.answers: list[Event] = []
        self._revision = 0
        self._is_raising = False
        self.submitted: list[tuple[Sequence[ModelFrame], bool]] = []
        self.prepared: list[str] = []

    def start(self) -> None:
        self.answers.append(Ready("echo", CHUNK_FRAMES, MODEL_SIZE, REPORT))

    def send(self, command: Command) -> None:
        match command:
            case Encode():
                self._encode(command.instruction)
            case Prepare():
                self.prepared.append(command.prompt)
            case Edit():
                self._submit(command.frames, every_frame=command.every_frame)

    def _encode(self, instruction: EditInstruction) -> None:
        if instruction.prompt == "refuse":
            self.answers.append(Rejected(instruction.revision, "impossible"))
            return
        self._revision = instruction.revision
        self._is_raising = instruction.prompt == "raise"
        self.answers.append(Encoded(instruction.revision, "unknown words: foo"))

    def _submit(self, frames: Sequence[ModelFrame], *, every_frame: bool) -> None:
        self.submitted.append((frames, every_frame))
        if self._is_raising:
            self.answers.append(Failed("bad chunk", CHUNK_FRAMES, MODEL_SIZE))
            return
        wanted = frames if every_frame else frames[-1:]
        fields = tuple(marking(one, self._revision) for one in wanted)
        self.answers.append(Edited(fields, 0.1, REPORT, CHUNK_FRAMES, MODEL_SIZE))

    def receive(self, timeout_s: float) -> Event | None:
        return self.answers.pop(0) if self.answers else None

    def kill(self) -> None:
        """Nothing to end."""

    def close(self) -> None:
        """Nothing to free."""
