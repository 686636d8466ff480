"""For tests that record nothing and exchange nothing."""

from __future__ import annotations

import time

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.recording import Recorder
from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.types import Choice


def no_recorder(board: Board) -> Recorder:
    def refuse(spec: str) -> Sink:
        raise SinkError(f"{spec} cannot be opened in this test.")

    return Recorder(refuse, 30.0, lambda revision: None, board=board, now=time.monotonic)


def no_choice(what: Choice, value: str, is_trial: bool) -> str:
    raise UsageError(f"{what} cannot be {value} in this test.")
