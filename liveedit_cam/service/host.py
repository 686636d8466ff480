"""One model and its sessions: who may have one, what each asked. Knows no socket, no cluster."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from liveedit_cam.engine import messages as engine
from liveedit_cam.errors import EditorError, LiveEditError
from liveedit_cam.pixels import from_jpeg
from liveedit_cam.protocols import Conditioning, Editor
from liveedit_cam.remote.messages import (
    PROTOCOL,
    Edit,
    Edited,
    Encode,
    Encoded,
    Failed,
    Hello,
    Instruction,
    Rejected,
    Report,
    Size,
    Welcome,
    WireError,
    region_of,
)
from liveedit_cam.remote.planes import packed
from liveedit_cam.service.scheduler import Hosted, Job, Scheduler
from liveedit_cam.service.tokens import Refusal, Token, find_token
from liveedit_cam.types import EditField, ModelFrame


@dataclass(frozen=True, slots=True)
class Health:
    """What a host says of itself."""

    model: str
    sessions: int
    max_sessions: int
    edits: int
    busy_s: float
    """Seconds spent in the model since the start."""
    pid: int
    """Of the process that was asked."""


class Session:
    """One camera's stream. Its methods may block; at most one ``prepare`` at a time.

    Lock: ``_encoding``, over the editor's ``encode``.
    """

    def __init__(self, number: int, token: Token, editor: Editor, scheduler: Scheduler) -> None:
        self.number = number
        self.token = token
        self.editor = editor
        self._scheduler = scheduler
        self._encoding = threading.Lock()
        self._last: tuple[Instruction, Conditioning] | None = None
        self._num_frames = 0

    def welcome(self, model: str) -> Welcome:
        """What the camera must know."""
        return Welcome(model=model, size=Size.of(self.editor))

    def encode(self, request: Encode) -> Encoded | Rejected:
        """Make an instruction ready."""
        try:
            found = self._conditioning(request.instruction)
        except LiveEditError as error:
            return Rejected(number=request.number, reason=str(error)[:4000])
        return Encoded(number=request.number, notice=found.notice, unknown=found.unknown)

    def _conditioning(self, instruction: Instruction) -> Conditioning:
        with self._encoding:
            if self._last is None or self._last[0] != instruction:
                self._last = instruction, self.editor.encode(instruction.edit_instruction)
            return self._last[1]

    def prepare(self, request: Edit, blobs: Sequence[bytes]) -> Job:
        """Pictures and instruction of a request, checked. Raises WireError, LiveEditError."""
        size = Size.of(self.editor)
        width, height = request.width, request.height
        if not size.takes(len(blobs), width, height):
            # no fault of the wire: it may have left before the camera knew of another size
            raise EditorError(
                f"got {len(blobs)} frames of {width}x{height}, expected {size.chunk_frames} in "
                f"whole tokens of {size.token_px} pixels, {size.num_tokens} at most"
            )
        part = region_of(request.part)
        frames = []
        for blob in blobs:
            pixels = from_jpeg(blob, width, height)
            if pixels is None:
                raise WireError(f"got a frame that is no JPEG of {width}x{height}")
            frames.append(ModelFrame(pixels, self._num_frames, time.monotonic(), part))
            self._num_frames += 1
        conditioning = self._conditioning(request.instruction)
        edit = engine.Edit(tuple(frames), request.every_frame)
        return Job(self.editor, edit, conditioning, request.is_new_stream)

    def submit(self, job: Job) -> Future[list[EditField]]:
        """Queue a chunk for the model."""
        return self._scheduler.submit(self.number, job)

    def answer(
        self, request: Edit, fields: Sequence[EditField], server_s: float, queued_s: float
    ) -> tuple[Edited, list[bytes]]:
        """The fields as they go over the wire."""
        sent = list(fields) if request.every_frame else list(fields[-1:])
        cells = packed(np.stack([field.cells for field in sent]))
        rest = b""
        if any(field.rest is not None for field in sent):
            empty = np.zeros((3, request.height, request.width), np.float32)
            rest = packed(np.stack([empty if f.rest is None else f.rest for f in sent]))
        edited = Edited(
            number=request.number,
            count=len(sent),
            server_s=server_s,
            queued_s=queued_s,
            size=Size.of(self.editor),
            report=Report.of(self.editor.report()),
        )
        return edited, [cells, rest]

    def failed(self, request: Edit, why: Exception) -> Failed:
        """What the camera is told where an edit raised."""
        reason = str(why) if isinstance(why, LiveEditError) else f"{type(why).__name__}: {why}"
        return Failed(number=request.number, reason=reason[:4000], size=Size.of(self.editor))


class SessionHost:
    """Opens sessions while there is room. Any thread. Lock: ``_lock``."""

    def __init__(self, hosted: Hosted, tokens: tuple[Token, ...], max_sessions: int) -> None:
        """``max_sessions``: as many as the model was measured to carry."""
        self._hosted = hosted
        self._tokens = tokens
        self._max_sessions = max_sessions
        self._scheduler = Scheduler(hosted)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: Counter[str] = Counter()

    @property
    def model(self) -> str:
        """Its name."""
        return self._hosted.name

    def open(self, hello: Hello) -> Session:
        """A session for this camera; may take as long as loading a stream does. Raises Refusal."""
        if hello.protocol != PROTOCOL:
            raise Refusal(
                "protocol",
                f"the camera speaks protocol {hello.protocol}, the server {PROTOCOL}: install the "
                "same version of liveedit-cam on both",
            )
        token = find_token(self._tokens, hello.token)
        if hello.model not in ("", self.model):
            raise Refusal("model", f"got model {hello.model!r}, this server has {self.model!r}")
        self._take_place(token)
        try:
            editor = self._hosted.open()
        except BaseException:
            self._leave_place(token)
            raise
        return Session(next(self._numbers), token, editor, self._scheduler)

    def close_session(self, session: Session) -> None:
        """Free its place and its stream. Once for each session."""
        self._scheduler.retire(session.number, session.editor)
        self._leave_place(session.token)

    def health(self) -> Health:
        """How it stands."""
        with self._lock:
            sessions = self._open.total()
        scheduler = self._scheduler
        return Health(
            self.model,
            sessions,
            self._max_sessions,
            scheduler.num_edits,
            scheduler.busy_s,
            os.getpid(),
        )

    def close(self) -> None:
        """End the model's thread. May be called twice."""
        self._scheduler.close()

    def _take_place(self, token: Token) -> None:
        with self._lock:
            if self._open.total() >= self._max_sessions:
                raise Refusal("full", f"the server is full: {self._max_sessions} sessions")
            if token.sessions is not None and self._open[token.name] >= token.sessions:
                raise Refusal(
                    "limit", f"the token {token.name!r} has {token.sessions} sessions open already"
                )
            self._open[token.name] += 1

    def _leave_place(self, token: Token) -> None:
        with self._lock:
            self._open[token.name] -= 1
            if not self._open[token.name]:
                del self._open[token.name]
