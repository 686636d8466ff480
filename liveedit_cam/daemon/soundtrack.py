"""A microphone's sound in a recording, in step with the picture. Knows no device and no format.

Sound and picture that were captured at one time lie at one time of the file. The picture is late in
it, by what the edit takes, so the sound waits as long. It is without gaps: what nobody heard is
silence, and a clock of the sound card that runs away is put right as soon as it could be noticed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from statistics import median
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from liveedit_cam.daemon.board import Board
from liveedit_cam.errors import DeviceError, LiveEditError
from liveedit_cam.protocols import Microphone, RecordingSink
from liveedit_cam.types import Frame, SoundBlock

if TYPE_CHECKING:
    from liveedit_cam.types import Floats

FAULT = "microphone"
TOLERANCE_S = 0.04
"""Sound up to 45 ms early or 125 ms late goes unnoticed (ITU-R BT.1359-1)."""
NUM_PLACES = 15
"""Places of so many pictures say, by their median, where the sound belongs: half a second."""
SILENT_AFTER_S = 0.5
"""Sound that is so late is not waited for."""
GONE_S = 2.0
"""A microphone that gives nothing for so long was pulled out."""
MAX_BLOCKS = 4096
"""Waiting for their picture: 20 seconds of blocks of 5 ms."""

OpenMicrophone = Callable[[str], Microphone]
"""Takes a part of a name, "" = the system's own choice. Raises DeviceError."""


class Soundtrack:
    """Sound of one take. ``place`` belongs to the present thread, ``advance`` to the recording's.

    Lock: ``_lock``, for what the microphone's thread and ``place`` share.
    """

    def __init__(
        self,
        microphone: Microphone,
        sinks: Sequence[RecordingSink],
        board: Board,
        now: Callable[[], float],
    ) -> None:
        """Begin to listen; ``now`` is the clock of the pictures. Raises SinkError, DeviceError."""
        self._microphone = microphone
        self._sinks = tuple(sinks)
        self._board = board
        self._now = now
        self._rate_hz = microphone.rate_hz
        self._lock = Lock()
        self._places: deque[float] = deque(maxlen=NUM_PLACES)
        self._placed: Frame | None = None
        self._blocks: deque[tuple[int, SoundBlock]] = deque(maxlen=MAX_BLOCKS)
        self._num_written = 0
        self._heard_at = now()
        self._is_gone = False
        for sink in self._sinks:
            sink.begin_sound(microphone.rate_hz, microphone.num_channels)
        board.fault(FAULT, None)
        microphone.begin(self._hear)

    def place(self, frame: Frame, file_s: float) -> None:
        """A picture lies at ``file_s`` seconds of the file."""
        if frame is self._placed:  # shown again: it says nothing of what is heard meanwhile
            return
        self._placed = frame
        with self._lock:
            self._places.append(file_s - frame.captured_at)

    def displace(self) -> None:
        """The file's time has jumped: places from before are no longer true."""
        with self._lock:
            self._places.clear()

    def advance(self, file_s: float) -> None:
        """Write what belongs before ``file_s``, where the picture has arrived. Raises SinkError."""
        end = round(file_s * self._rate_hz)
        for begin, block in self._due(end):
            late = begin - self._num_written
            if abs(late) > (TOLERANCE_S * self._rate_hz if self._num_written else 0):
                self._silence(late)
                self._write(block.samples[max(0, -late) :])
            else:
                self._write(block.samples)
        self._silence(round((file_s - SILENT_AFTER_S) * self._rate_hz) - self._num_written)
        self._look()

    def close(self) -> None:
        """Let go of the microphone. May be called twice."""
        self._microphone.close()

    def _hear(self, block: SoundBlock) -> None:
        with self._lock:
            self._heard_at = self._now()
            if self._places:
                file_s = block.captured_at + median(self._places)
                self._blocks.append((round(file_s * self._rate_hz), block))

    def _due(self, end: int) -> list[tuple[int, SoundBlock]]:
        """Blocks that begin before sample ``end``, in order."""
        with self._lock:
            num_due = 0
            while num_due < len(self._blocks) and self._blocks[num_due][0] < end:
                num_due += 1
            return [self._blocks.popleft() for _ in range(num_due)]

    def _silence(self, num_samples: int) -> None:
        """Nothing for a number below zero."""
        self._write(np.zeros((max(0, num_samples), self._microphone.num_channels), np.float32))

    def _write(self, samples: Floats) -> None:
        if not len(samples):
            return
        for sink in self._sinks:
            sink.write_sound(samples)
        self._num_written += len(samples)

    def _look(self) -> None:
        """Tell once that the microphone is gone, and that it is back."""
        is_gone = self._now() - self._heard_at > GONE_S
        if is_gone == self._is_gone:
            return
        self._is_gone = is_gone
        told = f"The microphone {self._microphone.name} is gone: the recording goes on in silence."
        self._board.fault(FAULT, told if is_gone else None)


def open_soundtrack(
    open_microphone: OpenMicrophone | None,
    wanted: str | None,
    sinks: Sequence[RecordingSink],
    board: Board,
    now: Callable[[], float],
) -> Soundtrack | None:
    """The soundtrack of the microphone asked for; None = none was. Raises LiveEditError."""
    if wanted is None:
        return None
    if open_microphone is None:
        raise DeviceError("This run takes no sound.", hint="Record without a microphone.")
    microphone = open_microphone(wanted)
    try:
        return Soundtrack(microphone, sinks, board, now)
    except LiveEditError:
        microphone.close()
        raise
