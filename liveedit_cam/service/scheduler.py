"""Which session's chunk is edited next: whoever waits longest. Knows no socket and no session.

One thread owns the model. A session has one chunk in the queue at most, so who sends more gets no
more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from liveedit_cam.engine.messages import Edit
from liveedit_cam.engine.worker import check
from liveedit_cam.errors import LiveEditError
from liveedit_cam.protocols import Conditioning, Editor
from liveedit_cam.types import EditField

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One chunk of one stream."""

    editor: Editor
    edit: Edit
    conditioning: Conditioning
    is_new_stream: bool = False


class Hosted(Protocol):
    """A model that many streams share."""

    @property
    def name(self) -> str: ...

    @property
    def max_batch(self) -> int:
        """Chunks that ``edit`` takes at once."""
        ...

    def open(self) -> Editor:
        """A stream of its own: an Editor whose ``edit`` is called through ``edit`` below."""
        ...

    def edit(self, jobs: Sequence[Job]) -> list[list[EditField] | Exception]:
        """Fields of each job, or why there are none; called by one thread, as is ``release``."""
        ...

    def release(self, editor: Editor) -> None:
        """Its stream is over."""
        ...


class OneByOne:
    """Streams that share the device only: each an editor of its own, one after another."""

    max_batch = 1

    def __init__(self, make: Callable[[], Editor]) -> None:
        """Makes one at once, for its name; what a session leaves is kept for the next.

        So a camera that comes back does not wait for weights to be read from disk.
        """
        self._make = make
        self._spare: list[Editor] = [make()]
        self.name = self._spare[0].name

    def open(self) -> Editor:
        with suppress(IndexError):
            return self._spare.pop()
        return self._make()

    def edit(self, jobs: Sequence[Job]) -> list[list[EditField] | Exception]:
        return [edit_one(job) for job in jobs]

    def release(self, editor: Editor) -> None:
        editor.reset()
        self._spare.append(editor)


def edit_one(job: Job) -> list[EditField] | Exception:
    """What the editor of the job makes of it, held to its contract."""
    try:
        if job.is_new_stream:
            job.editor.reset()
        fields = job.editor.edit(
            job.edit.frames, job.conditioning, every_frame=job.edit.every_frame
        )
        check(job.edit, job.conditioning.instruction.revision, fields)
    except Exception as error:  # noqa: BLE001 - sent to the camera, which shows it
        return error
    return fields


class Scheduler:
    """The thread that edits. Lock: ``_changed``."""

    def __init__(self, hosted: Hosted) -> None:
        """Start the thread."""
        self._hosted = hosted
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, tuple[Job, Future[list[EditField]]]] = {}
        self._to_release: list[Editor] = []
        self._is_closed = False
        self.num_edits = 0
        self.busy_s = 0.0
        """Seconds spent in the model since the start."""
        self._thread = threading.Thread(target=self._run, name="serve-edit", daemon=True)
        self._thread.start()

    def submit(self, key: Hashable, job: Job) -> Future[list[EditField]]:
        """Queue a chunk; the next one of that key only once this one has its answer."""
        future: Future[list[EditField]] = Future()
        with self._changed:
            assert key not in self._waiting, f"a second chunk of {key} while the first waits"
            self._waiting[key] = job, future
            self._changed.notify()
        return future

    def retire(self, key: Hashable, editor: Editor) -> None:
        """The stream is over: forget what waits, release its editor once it is not at work."""
        with self._changed:
            before = self._waiting.pop(key, None)
            if before is not None:
                before[1].cancel()
            self._to_release.append(editor)
            self._changed.notify()

    def close(self) -> None:
        """End the thread after the edit at hand; what waits is cancelled. May be called twice."""
        with self._changed:
            self._is_closed = True
            for _, future in self._waiting.values():
                future.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._to_release or self._is_closed)
                over, self._to_release = self._to_release, []
                keys = list(self._waiting)[: self._hosted.max_batch]
                taken = [self._waiting.pop(key) for key in keys]
                is_closed = self._is_closed
            for editor in over:
                _guarded(self._hosted.release, editor)
            if taken:
                self._edit(taken)
            if is_closed:
                return

    def _edit(self, taken: Sequence[tuple[Job, Future[list[EditField]]]]) -> None:
        wanted = [(job, future) for job, future in taken if future.set_running_or_notify_cancel()]
        began = time.monotonic()
        try:
            results = self._hosted.edit([job for job, _ in wanted])
        except Exception as error:  # noqa: BLE001 - loop of this thread; told to each camera
            results = [error for _ in wanted]
        self.busy_s += time.monotonic() - began
        self.num_edits += len(wanted)
        for (job, future), result in zip(wanted, results, strict=True):
            if isinstance(result, Exception):
                if not isinstance(result, LiveEditError):
                    _log.error("an edit failed", exc_info=result)
                _guarded(job.editor.reset)
                future.set_exception(result)
            else:
                future.set_result(result)


def _guarded(clean: Callable[..., None], *arguments: object) -> None:
    """Clean up after one session; a failure is logged, the thread serves the others."""
    try:
        clean(*arguments)
    except Exception:  # noqa: BLE001 - loop of this thread
        _log.exception("cleaning up after a session failed")
