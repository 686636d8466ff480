"""The daemon's end of the engine process: start it, send, receive, end it. Knows no torch.

It decides nothing: when to start again is the supervisor's business. One thread uses it.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from liveedit_cam.engine.messages import Command, Event
from liveedit_cam.engine.wake import Waker
from liveedit_cam.engine.worker import run_engine
from liveedit_cam.errors import EngineError
from liveedit_cam.protocols import EditorOptions

CLOSE_TIMEOUT_S = 2.0
"""How long a closed engine may take to free its model before it is killed."""

KILL_TIMEOUT_S = 5.0


class EngineClient:
    """One engine process at a time."""

    def __init__(self, editor: str, options: EditorOptions, waker: Waker) -> None:
        """``editor`` is a kind of the registry or ``"module:function"``.

        ``waker`` ends a ``receive`` early when there is something to send.
        """
        self._editor = editor
        self.options = options
        """Of the next start; its owner may replace them."""
        self._waker = waker
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int:
        """Number of the engine process; 0 while there is none."""
        return 0 if self._process is None else self._process.pid or 0

    def start(self) -> None:
        """Start the process; Ready or Fatal follows. Raises EngineError where it cannot start."""
        assert self._process is None, "the engine process runs already"
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=True)
        arguments = (theirs, self._editor, self.options)
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

    def send(self, command: Command) -> None:
        """Ask for something; one Edit at a time: the next only after Edited or Failed.

        Raises EngineError.
        """
        try:
            self._running().send(command)
        except OSError as error:
            raise self._died() from error

    def receive(self, timeout_s: float) -> Event | None:
        """The next event; None when none came in time or the waker said to look around.

        Raises EngineError once the process died.
        """
        connection = self._running()
        try:
            if not connection.poll():
                self._waker.wait(timeout_s, connection)
            if not connection.poll():
                return None
            event: Event = connection.recv()
        except (EOFError, OSError) as error:
            raise self._died() from error
        return event

    def kill(self) -> None:
        """End the process at once; ``start`` may follow. May be called twice."""
        self._end(grace_s=0.0)

    def close(self) -> None:
        """End the process and reap it. May be called twice."""
        self._end(grace_s=CLOSE_TIMEOUT_S)

    def _end(self, *, grace_s: float) -> None:
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
