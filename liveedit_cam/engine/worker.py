"""The engine process: loads an Editor and serves it until the pipe closes. Knows no daemon.

It keeps the Conditionings itself, lets the daemon's threads go first, and outlives neither its pipe
nor its parent. One failed edit costs a chunk; three in a row end the process.
"""

from __future__ import annotations

import importlib
import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import cast

import numpy as np

from liveedit_cam import registry
from liveedit_cam.cores import give_way, share_cores, usable_cores
from liveedit_cam.engine.messages import (
    Command,
    Edit,
    Edited,
    Encode,
    Encoded,
    Event,
    Failed,
    Fatal,
    Pace,
    Prepare,
    Prepared,
    Ready,
    Rejected,
)
from liveedit_cam.errors import (
    EditorError,
    EngineError,
    GaveWayError,
    InstructionError,
    LiveEditError,
    kept,
)
from liveedit_cam.protocols import Conditioning, Editor, EditorOptions, LateEditor, PacedEditor
from liveedit_cam.types import EditField, EditInstruction

MAX_FAILURES = 3
"""Failed edits in a row after which the process ends, to be started afresh."""

ENCODER_GRACE_S = 1.0
"""How long an encoding may take to end with the process; it dies with it anyway."""

_log = logging.getLogger(__name__)


def run_engine(connection: Connection, editor: str, options: EditorOptions) -> None:
    """Body of the engine process. ``editor`` is a kind, or ``"module:function"`` of a factory."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the daemon, which closes the pipe
    give_way()
    share_cores(os.environ, usable_cores() - 1)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    try:
        loaded = load_editor(editor, options)
    except Exception as error:
        _send(connection, Fatal(_as_error(error, f"The editor {editor!r} could not be made")))
        raise SystemExit(1) from error
    worker = _Worker(connection, loaded)
    try:
        code = worker.serve()
    finally:
        loaded.close()
    raise SystemExit(code)


def load_editor(editor: str, options: EditorOptions) -> Editor:
    """Make the editor ``kind`` or ``kind:target`` of the registry, or what a function returns.

    ``"module:function"`` names the function, where no kind is called as the module.

    Raises UnknownBackendError, MissingDependencyError and what the editor's factory raises.
    """
    module, _, function = editor.partition(":")
    if not function.isidentifier() or module.replace("_", "-") in registry.kinds("editors"):
        return registry.open_editor(editor, options)
    factory = vars(importlib.import_module(module))[function]
    return cast("Callable[[EditorOptions], Editor]", factory)(options)


class _Worker:
    """Edits in its own thread, encodes in another, so that neither waits for the other.

    A third one reads: a pipe that filled while an edit runs would hold the daemon up, which then
    reads nothing either, and both would wait for ever.

    Lock: ``_lock``, over the conditioning and the pipe's sending end.
    """

    def __init__(self, connection: Connection, editor: Editor) -> None:
        self._connection = connection
        self._editor = editor
        self._lock = threading.Lock()
        self._conditioning: Conditioning | None = None
        self._num_failures = 0
        self._to_edit: queue.SimpleQueue[Edit | Pace | None] = queue.SimpleQueue()
        self._to_encode: queue.SimpleQueue[Encode | Prepare | None] = queue.SimpleQueue()

    def serve(self) -> int:
        """Serve until the pipe closes (returns 0) or edits keep failing (returns 1)."""
        editor = self._editor
        self._send(Ready(editor.name, editor.chunk_frames, editor.size, editor.report()))
        encoder = threading.Thread(target=self._encode_all, name="encode", daemon=True)
        encoder.start()
        threading.Thread(target=self._read, name="read", daemon=True).start()
        try:
            return self._serve()
        finally:
            self._to_encode.put(None)
            encoder.join(ENCODER_GRACE_S)

    def _serve(self) -> int:
        while (command := self._to_edit.get()) is not None:
            if isinstance(command, Pace):
                if isinstance(self._editor, PacedEditor):
                    self._editor.set_steps(command.num_steps)
                continue
            self._edit(command)
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

    def _read(self) -> None:
        """Body of the reading thread."""
        while (command := self._receive()) is not None:
            if isinstance(command, Edit | Pace):
                self._to_edit.put(command)
            else:
                self._to_encode.put(command)
        self._to_edit.put(None)

    def _receive(self) -> Command | None:
        """The next command; None when the daemon closed the pipe."""
        try:
            command: Command = self._connection.recv()
        except (EOFError, OSError):
            return None
        return command

    def _encode_all(self) -> None:
        """Body of the encoding thread: the newest instruction first, prompts ahead when idle."""
        ahead: list[Prepare] = []
        while True:
            waiting = [self._to_encode.get()] if self._to_encode.qsize() or not ahead else []
            while self._to_encode.qsize():
                waiting.append(self._to_encode.get())
            if None in waiting:
                return
            encodes = [command for command in waiting if isinstance(command, Encode)]
            ahead += [command for command in waiting if isinstance(command, Prepare)]
            if encodes:
                self._encode(encodes[-1].instruction)
            elif ahead:
                self._prepare(ahead.pop(0).prompt)

    def _encode(self, instruction: EditInstruction) -> None:
        with kept(lambda error: self._refuse(instruction.revision, error)):
            conditioning = self._editor.encode(instruction)
            with self._lock:
                self._conditioning = conditioning
            self._send(Encoded(instruction.revision, conditioning.notice))

    def _refuse(self, revision: int, error: Exception) -> None:
        if not isinstance(error, InstructionError):
            _log.error("encoding revision %d failed", revision, exc_info=error)
            error = _as_error(error, "The instruction could not be encoded")
        self._send(Rejected(revision, str(error)))

    def _prepare(self, prompt: str) -> None:
        """Let the editor remember a prompt; a failure is told when the prompt is really given."""
        unknown: tuple[str, ...] = ()
        with kept(lambda error: _log.error("encoding %r ahead failed", prompt, exc_info=error)):
            unknown = self._editor.encode(EditInstruction(prompt)).unknown
        self._send(Prepared(prompt, unknown))

    def _edit(self, edit: Edit) -> None:
        with self._lock:
            conditioning = self._conditioning
        assert conditioning is not None, "the daemon sends no Edit before the first Encoded"
        started_at = time.monotonic()
        editor = self._editor
        with kept(self._note_failure):
            fields = editor.edit(edit.frames, conditioning, every_frame=edit.every_frame)
            if edit.every_frame or not isinstance(editor, LateEditor):
                check_order(edit, conditioning.instruction.revision, fields)
            check_values(fields)
            self._num_failures = 0
            self._send(
                Edited(
                    fields=tuple(fields if edit.every_frame else fields[-1:]),
                    seconds=time.monotonic() - started_at,
                    report=editor.report(),
                    chunk_frames=editor.chunk_frames,
                    size=editor.size,
                )
            )

    def _note_failure(self, error: Exception) -> None:
        # one that gave something up for memory has not failed at what it does next
        self._num_failures += 0 if isinstance(error, GaveWayError) else 1
        _log.error("edit failed, %d in a row", self._num_failures, exc_info=error)
        editor = self._editor
        editor.reset()
        reason = str(_as_error(error, "An edit failed"))
        self._send(Failed(reason, editor.chunk_frames, editor.size))

    def _send(self, event: Event) -> None:
        with self._lock:
            _send(self._connection, event)


def check(edit: Edit, revision: int, fields: Sequence[EditField]) -> None:
    """Hold an editor to its contract, values included; raises EditorError."""
    check_order(edit, revision, fields)
    check_values(fields)


def check_order(edit: Edit, revision: int, fields: Sequence[EditField]) -> None:
    """The fields are those of the frames. Raises EditorError."""
    frames = edit.frames if edit.every_frame else edit.frames[-1:]
    got = [(field.index, field.revision, field.part) for field in fields[-len(frames) :]]
    expected = [(frame.index, revision, frame.part) for frame in frames]
    if got != expected:
        raise EditorError(
            f"The editor returned {got}, expected {expected} (index, revision, part of each).",
            hint="This is a fault of the editor; report it to its author.",
        )
    size = frames[0].pixels.shape[:2]
    if any(field.guide.shape != size for field in fields):
        raise EditorError(
            f"The editor returned fields of {fields[-1].guide.shape}, expected {size} (h, w).",
            hint="This is a fault of the editor; report it to its author.",
        )


def check_values(fields: Sequence[EditField]) -> None:
    """Each field goes together and is all numbers. Raises EditorError."""
    for field in fields:
        height, width = field.guide.shape
        rest_shape = None if field.rest is None else field.rest.shape
        shapes = (field.cells.shape, rest_shape or (3, height, width))
        wanted = ((12, height // 4, width // 4), (3, height, width))
        if shapes != wanted:
            raise EditorError(
                f"The editor returned a field of shapes {shapes}, expected {wanted} (cells, rest).",
                hint="This is a fault of the editor; report it to its author.",
            )
        planes = [field.cells] if field.rest is None else [field.cells, field.rest]
        if not all(np.isfinite(plane).all() for plane in planes):
            raise EditorError(
                "The editor returned a field with values that are not finite, expected numbers.",
                hint="The stream starts anew; if it repeats, choose another model or device.",
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
