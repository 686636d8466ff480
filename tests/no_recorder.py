"""A Recorder for tests that record nothing: no file can be opened."""

from __future__ import annotations

import time

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.recording import Recorder
from liveedit_cam.errors import SinkError
from liveedit_cam.protocols import Sink


def no_recorder(board: Board) -> Recorder:
    def refuse(spec: str) -> Sink:
        raise SinkError(f"{spec} cannot be opened in this test.")

    return Recorder(refuse, 30.0, lambda revision: None, board=board, now=time.monotonic)
