"""A host process for the benchmarks, with a model or with a stand-in of given cost."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from liveedit_cam.cores import give_way, share_cores
from liveedit_cam.protocols import Conditioning, EditorReport
from liveedit_cam.service.host import SessionHost
from liveedit_cam.service.plain import Listen, PlainServer
from liveedit_cam.service.scheduler import Job
from liveedit_cam.service.settings import ServeSettings, make_host
from liveedit_cam.service.tokens import Token
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

TOKEN = "token-of-the-benchmark"
WIDTH, HEIGHT, CHUNK = 256, 144, 4


class StandIn:
    """A model that sleeps for a batch and answers with fields of the usual size."""

    name = "stand-in"

    def __init__(self, cost_s: float, max_batch: int) -> None:
        self.max_batch = max_batch
        self._cost_s = cost_s
        smooth = np.random.default_rng(0).normal(0, 1, (12, HEIGHT // 4, WIDTH // 4))
        self._cells = (np.cumsum(smooth, axis=2) / 50).astype(np.float32)

    def open(self) -> StandInStream:
        """A stream with nothing in it."""
        return StandInStream(self, self._cost_s)

    def edit(self, jobs: Sequence[Job]) -> list[list[EditField] | Exception]:
        """One field a job, all at once."""
        time.sleep(self._cost_s)
        return [[self.field(job.edit.frames[-1], job.conditioning)] for job in jobs]

    def release(self, editor: object) -> None:
        """Nothing is held."""

    def field(self, frame: ModelFrame, conditioning: Conditioning) -> EditField:
        revision = conditioning.instruction.revision
        grey = frame.pixels[..., 1]
        return EditField(self._cells, None, grey, frame.index, frame.captured_at, revision)


class StandInStream:
    """What a session sees of it."""

    name, chunk_frames, size = StandIn.name, CHUNK, ModelSize(16, 144)

    def __init__(self, model: StandIn, cost_s: float) -> None:
        self._model = model
        self._cost_s = cost_s

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        """For the local side: a server's jobs go through the model."""
        time.sleep(self._cost_s)
        return [self._model.field(frames[-1], conditioning)]

    def encode(self, instruction: EditInstruction) -> Conditioning:
        """Nothing to encode."""
        return Conditioning(instruction, None)

    def report(self) -> EditorReport:
        """Nothing to tell."""
        return EditorReport()

    def reset(self) -> None:
        """Nothing is remembered."""

    def close(self) -> None:
        """Nothing is held."""


def serve_model(model: str, batch: int, port: int, ready: Connection) -> None:
    """Body of the host process: tells its port, then serves until it is killed."""
    give_way()  # as `serve` on loopback
    kind, _, cost_ms = model.partition(":")
    if kind == "stand-in":
        stand_in = StandIn(float(cost_ms) / 1000, batch)
        host = SessionHost(stand_in, (Token("bench", TOKEN),), 1000)
    else:
        settings = {"model": model, "token": TOKEN, "max_sessions": 1000}
        host = make_host(ServeSettings.model_validate(settings))
    server = PlainServer(host, Listen(port=port))
    server.start()
    ready.send(server.port)
    threading.Event().wait()


@contextmanager
def host_process(model: str, batch: int = 1, port: int = 0) -> Iterator[tuple[int, Path]]:
    """A host of its own process; yields its port, and its folder in /proc."""
    share_cores(os.environ, 1)
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve_model, args=(model, batch, port, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv(), Path(f"/proc/{process.pid}")
    finally:
        process.kill()
        process.join()
