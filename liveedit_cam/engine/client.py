"""The daemon's end of the engine process: start it, send, receive, end it. Knows no torch.

It decides nothing: when to start again is the supervisor's business. One thread uses it.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from liveedit_cam.engine.messages import Command, Edit, Edited, Encode, Event, Prepare
from liveedit_cam.engine.slots import FrameSlots, SlotLayout
from liveedit_cam.engine.worker import run_engine
from liveedit_cam.errors import EngineError
from liveedit_cam.protocols import EditorOptions
from liveedit_cam.types import EditInstruction, Frame

MAX_CHUNK_FRAMES = 16
"""Frames an editor may ask for at once; slots that are never written cost no memory."""

CLOSE_TIMEOUT_S = 2.0
"""How long a closed engine may take to free its model before it is killed."""

KILL_TIMEOUT_S = 5.0


class EngineClient:
    """One engine process at a time, and the shared memory that outlives it until ``close``."""

    def __init__(
        self,
        editor: str,
        options: EditorOptions,
        *,
        width: int,
        height: int,
        max_chunk_frames: int = MAX_CHUNK_FRAMES,
    ) -> None:
        """``editor`` is a kind of the registry or ``"module:function"``; sizes are in pixels."""
        self._editor = editor
        self._options = options
        self._width = width
        self._height = height
        self._max_chunk_frames = max_chunk_frames
        self._slots: FrameSlots | None = None
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._submitted: tuple[Frame, ...] = ()

    @property
    def pid(self) -> int:
        """Number of the engine process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid or 0

    @property
    def layout(self) -> SlotLayout | None:
        """The shared memory in use; None before ``start`` and after ``close``."""
        return None if self._slots is None else self._slots.layout

    def start(self) -> None:
        """Start the process; Ready or Fatal follows. Raises EngineError where it cannot start."""
        assert self._process is None, "the engine process runs already"
        if self._slots is None:
            self._slots = FrameSlots.create(self._width, self._height, self._max_chunk_frames)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        arguments = (theirs, self._slots.layout, self._editor, self._options)
        process = context.Process(
            target=run_engine, args=arguments, name="liveedit-engine", daemon=True
        )
        try:
            process.start()
        except OSError as error:
            ours.close()
            raise EngineError(
                f"The engine process could not be started: {error}.",
                hint="Check free memory and the number of processes allowed.",
            ) from error
        finally:
            theirs.close()
        self._process, self._connection = process, ours

    def encode(self, instruction: EditInstruction) -> None:
        """Ask for an instruction to be made ready. Raises EngineError."""
        self._send(Encode(instruction))

    def prepare(self, prompt: str) -> None:
        """Have a prompt encoded ahead; gets no answer. Raises EngineError."""
        self._send(Prepare(prompt))

    def submit(self, frames: Sequence[Frame]) -> None:
        """Copy frames of the size given at the start into the slots and ask for their edit.

        One edit at a time: the next one only after Edited or Failed. Raises EngineError.
        """
        assert self._slots is not None, "start() comes first"
        self._slots.write_inputs([frame.pixels for frame in frames])
        self._submitted = tuple(frames)
        self._send(
            Edit(
                indices=tuple(frame.index for frame in frames),
                captured_at=tuple(frame.captured_at for frame in frames),
                boxes=tuple(frame.box for frame in frames),
            )
        )

    def collect(self, edited: Edited) -> tuple[Frame, ...]:
        """The edited frames, each with its ``source`` picture; call once, after Edited."""
        assert self._slots is not None, "start() comes first"
        sources, self._submitted = self._submitted, ()
        return tuple(
            Frame(pixels, source.index, source.captured_at, edited.revision, source.pixels)
            for pixels, source in zip(self._slots.copy_outputs(len(sources)), sources, strict=True)
        )

    def receive(self, timeout_s: float) -> Event | None:
        """The next event; None when none came in time. Raises EngineError once the process died."""
        connection = self._running()
        try:
            if not connection.poll(timeout_s):
                return None
            event: Event = connection.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        return event

    def kill(self) -> None:
        """End the process at once; ``start`` may follow. May be called twice."""
        self._end(grace_s=0.0)

    def close(self) -> None:
        """End the process, reap it, free the shared memory. May be called twice."""
        self._end(grace_s=CLOSE_TIMEOUT_S)
        if self._slots is not None:
            self._slots.close(unlink=True)
            self._slots = None

    def _end(self, *, grace_s: float) -> None:
        self._submitted = ()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process, self._process = self._process, None
        if process is None:
            return
        process.join(grace_s)
        if process.is_alive():
            process.kill()
            process.join(KILL_TIMEOUT_S)
        if not process.is_alive():
            process.close()

    def _send(self, command: Command) -> None:
        try:
            self._running().send(command)
        except OSError as error:
            raise self._died() from error

    def _running(self) -> Connection:
        assert self._connection is not None, "the engine process is not running"
        return self._connection

    def _died(self) -> EngineError:
        assert self._process is not None, "the engine process is not running"
        self._process.join(KILL_TIMEOUT_S)
        return EngineError(
            f"The engine process ended with exit code {self._process.exitcode}.",
            hint="It is started again; the log holds what it said last.",
        )
