"""The engine process: loads an Editor and serves it until the pipe closes. Knows no daemon.

It keeps the Conditionings itself, lets the daemon's threads go first, and outlives neither its pipe
nor its parent. One failed edit costs a chunk; three in a row end the process.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, cast

from liveedit_cam import registry
from liveedit_cam.cores import share_cores
from liveedit_cam.engine.messages import (
    Command,
    Edit,
    Edited,
    Encode,
    Encoded,
    Event,
    Failed,
    Fatal,
    Prepare,
    Ready,
    Rejected,
)
from liveedit_cam.engine.slots import FrameSlots, SlotLayout
from liveedit_cam.errors import EditorError, EngineError, InstructionError, LiveEditError
from liveedit_cam.protocols import Conditioning, Editor, EditorOptions
from liveedit_cam.types import EditInstruction, Frame

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

MAX_FAILURES = 3
"""Failed edits in a row after which the process ends, to be started afresh."""

NICENESS = 5
"""The engine yields to the threads that feed the sinks."""

_log = logging.getLogger(__name__)


def run_engine(
    connection: Connection, layout: SlotLayout, editor: str, options: EditorOptions
) -> None:
    """Body of the engine process. ``editor`` is a kind, or ``"module:function"`` of a factory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the daemon, which closes the pipe
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    share_cores(os.environ)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    slots = FrameSlots.attach(layout)
    try:
        loaded = load_editor(editor, options)
    except Exception as error:
        _send(connection, Fatal(_as_error(error, f"The editor {editor!r} could not be made")))
        raise SystemExit(1) from error
    worker = _Worker(connection, slots, loaded)
    try:
        code = worker.serve()
    finally:
        loaded.close()
    slots.close(unlink=False)
    raise SystemExit(code)


def load_editor(editor: str, options: EditorOptions) -> Editor:
    """Make the editor ``kind`` of the registry, or the one ``"module:function"`` returns.

    Raises UnknownBackendError, MissingDependencyError and what the editor's factory raises.
    """
    module_name, is_path, function_name = editor.partition(":")
    if not is_path:
        return cast("Editor", registry.load("editors", editor).create(options))
    factory = vars(importlib.import_module(module_name))[function_name]
    return cast("Callable[[EditorOptions], Editor]", factory)(options)


class _Worker:
    """Answers one command after the other."""

    def __init__(self, connection: Connection, slots: FrameSlots, editor: Editor) -> None:
        self._connection = connection
        self._slots = slots
        self._editor = editor
        self._conditioning: Conditioning | None = None
        self._num_failures = 0

    def serve(self) -> int:
        """Serve until the pipe closes (returns 0) or edits keep failing (returns 1)."""
        if not self._start():
            return 1
        while commands := self._receive():
            encodes = [command for command in commands if isinstance(command, Encode)]
            if encodes:
                self._encode(encodes[-1].instruction)
            for edit in (command for command in commands if isinstance(command, Edit)):
                self._edit(edit)
            for ahead in (command for command in commands if isinstance(command, Prepare)):
                self._prepare(ahead.prompt)
            if self._num_failures >= MAX_FAILURES:
                self._send(
                    Fatal(
                        EngineError(
                            f"{self._num_failures} edits in a row failed, expected none to.",
                            hint="The model is loaded afresh; see the log for the first failure.",
                        )
                    )
                )
                return 1
        return 0

    def _start(self) -> bool:
        chunk_frames = self._editor.chunk_frames
        num_slots = self._slots.layout.num_slots
        if chunk_frames > num_slots:
            error = EngineError(
                f"The editor wants chunks of {chunk_frames} frames, shared memory holds "
                f"{num_slots}.",
                hint="Give the program more shared memory, or choose a smaller picture with "
                "--width and --height.",
            )
            self._send(Fatal(error))
            return False
        self._send(Ready(self._editor.name, chunk_frames, self._editor.report()))
        return True

    def _receive(self) -> list[Command]:
        """All commands that wait, at least one; none when the daemon closed the pipe."""
        try:
            commands: list[Command] = [self._connection.recv()]
            while self._connection.poll():
                commands.append(self._connection.recv())
        except (EOFError, OSError):
            return []
        return commands

    def _encode(self, instruction: EditInstruction) -> None:
        try:
            self._conditioning = self._editor.encode(instruction)
        except InstructionError as error:
            self._send(Rejected(instruction.revision, str(error)))
        except Exception as error:  # noqa: BLE001 - sent to the daemon, which shows it
            _log.exception("encoding revision %d failed", instruction.revision)
            reason = _as_error(error, "The instruction could not be encoded")
            self._send(Rejected(instruction.revision, str(reason)))
        else:
            self._send(Encoded(instruction.revision, self._conditioning.notice))

    def _prepare(self, prompt: str) -> None:
        """Let the editor remember a prompt; a failure is told when the prompt is really given."""
        try:
            self._editor.encode(EditInstruction(prompt))
        except Exception:  # noqa: BLE001 - logged; the same call fails again where it matters
            _log.exception("encoding %r ahead failed", prompt)

    def _edit(self, edit: Edit) -> None:
        conditioning = self._conditioning
        assert conditioning is not None, "the daemon sends no Edit before the first Encoded"
        started_at = time.monotonic()
        try:
            self._slots.write_outputs(self._run(edit, conditioning))
        except Exception as error:  # noqa: BLE001 - sent to the daemon, which shows it
            self._num_failures += 1
            _log.exception("edit failed, %d in a row", self._num_failures)
            self._editor.reset()
            reason = str(_as_error(error, "An edit failed"))
            self._send(Failed(reason, self._editor.chunk_frames))
            return
        self._num_failures = 0
        self._send(
            Edited(
                revision=conditioning.instruction.revision,
                seconds=time.monotonic() - started_at,
                report=self._editor.report(),
                chunk_frames=self._editor.chunk_frames,
            )
        )

    def _run(self, edit: Edit, conditioning: Conditioning) -> list[Pixels]:
        inputs = self._slots.inputs(len(edit.indices))
        frames = [
            Frame(pixels, index, captured_at, box=box)
            for pixels, index, captured_at, box in zip(
                inputs, edit.indices, edit.captured_at, edit.boxes, strict=True
            )
        ]
        edited = self._editor.edit(frames, conditioning)
        _check(frames, edited)
        return [frame.pixels for frame in edited]

    def _send(self, event: Event) -> None:
        _send(self._connection, event)


def _check(frames: Sequence[Frame], edited: Sequence[Frame]) -> None:
    """Hold an editor to its contract; raises EditorError."""
    got = [(frame.index, frame.pixels.shape, str(frame.pixels.dtype)) for frame in edited]
    expected = [(frame.index, frame.pixels.shape, "uint8") for frame in frames]
    if got != expected:
        raise EditorError(
            f"The editor returned {got}, expected {expected} (index, shape, type of each frame).",
            hint="This is a fault of the editor; report it to its author.",
        )


def _as_error(error: Exception, what: str) -> LiveEditError:
    if isinstance(error, LiveEditError):
        return error
    return EngineError(f"{what}: {type(error).__name__}: {error}")


def _send(connection: Connection, event: Event) -> None:
    try:
        connection.send(event)
    except OSError:
        _log.info("the daemon closed the pipe before %s", type(event).__name__)


def _end_with_parent() -> None:
    """End this process when its parent dies, even in the middle of an edit."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
