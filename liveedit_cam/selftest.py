"""Measures what the status only claims: a number is painted into the source and found at the sink.

The numbers travel as pixels, through capture, model, compositor and sink, so their delay is true
whatever the program believes. Knows no command line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from liveedit_cam import registry
from liveedit_cam.config import Config
from liveedit_cam.daemon.metrics import latency_of
from liveedit_cam.daemon.service import Service
from liveedit_cam.errors import DeviceError, LiveEditError, SourceEnded
from liveedit_cam.protocols import Sink, Source
from liveedit_cam.types import Frame, Latency, Pixels, State

NUM_BITS = 12
NUM_BLOCKS = NUM_BITS + 3
"""Black and white for comparison, the bits, then one that makes the white ones even in number."""
LEAST_CONTRAST = 60
"""Levels that black and white must be apart; less is no marker."""
SETTLE_S = 3.0
LOAD_TIMEOUT_S = 180.0
POLL_S = 0.1


def paint(pixels: Pixels, number: int) -> Pixels:
    """A copy of (H, W, 3) RGB with ``number`` modulo 4096 in a row of blocks at the top."""
    bits = [number >> place & 1 for place in range(NUM_BITS)]
    out = pixels.copy()
    side = _side(pixels)
    for place, bit in enumerate([0, 1, *bits, sum(bits) & 1]):
        out[:side, place * side : (place + 1) * side] = 255 * bit
    return out


def read(pixels: Pixels) -> int | None:
    """The number in a picture of ``paint``, also after an edit that keeps light and dark apart.

    None where there is none, or where it cannot be trusted.
    """
    side, edge = _side(pixels), _side(pixels) // 4
    levels = [
        float(pixels[edge : side - edge, place * side + edge : (place + 1) * side - edge].mean())
        for place in range(NUM_BLOCKS)
    ]
    black, white = levels[:2]
    if white - black < LEAST_CONTRAST:
        return None
    bits = [level > (black + white) / 2 for level in levels[2:]]
    if sum(bits) % 2:
        return None
    return sum(bit << place for place, bit in enumerate(bits[:-1]))


def _side(pixels: Pixels) -> int:
    return max(4, int(pixels.shape[1]) // (2 * NUM_BLOCKS))


@dataclass(frozen=True, slots=True)
class Report:
    """What was measured."""

    sink: str
    num_painted: int
    num_found: int
    """Numbers that were seen, each counted once."""
    found: Latency
    """From the source's frame to its number at the sink."""
    claimed: Latency
    """What the status said of the same time."""
    late_share: float
    """Share of the sink's ticks that began more than 8 ms late."""


class Book:
    """When each number was painted and first found. Lock: ``_lock``; any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """``now`` gives seconds on a monotonic clock."""
        self._lock = threading.Lock()
        self._now = now
        self._painted: dict[int, float] = {}
        self._delays: list[float] = []
        self._num_painted = 0

    def painted(self, number: int, at: float) -> None:
        """A frame with this number came from the source at ``at``."""
        with self._lock:
            self._painted[number] = at
            self._num_painted += 1

    def found(self, pixels: Pixels) -> None:
        """A picture is at the sink now."""
        number, now = read(pixels), self._now()
        if number is None:
            return
        with self._lock:
            at = self._painted.pop(number, None)
            if at is not None:
                self._delays.append(now - at)

    def begin(self) -> None:
        """Forget what was so far: the run has settled."""
        with self._lock:
            self._painted.clear()
            self._delays.clear()
            self._num_painted = 0

    def result(self) -> tuple[int, int, Latency]:
        """Painted, found, and the delay of those found."""
        with self._lock:
            return self._num_painted, len(self._delays), latency_of(self._delays)


class MarkedSource:
    """A Source whose frames carry their number."""

    def __init__(self, inner: Source, book: Book) -> None:
        """Belongs to the thread that reads; ``close`` as that of ``inner``."""
        self._inner = inner
        self._book = book
        self.width, self.height, self.fps = inner.width, inner.height, inner.fps
        self.name = f"{inner.name}, numbered"
        self.close = inner.close

    def read(self) -> Frame:
        frame = self._inner.read()
        number = frame.index % 2**NUM_BITS
        marked = replace(frame, pixels=paint(frame.pixels, number))
        self._book.painted(number, frame.captured_at)
        return marked


class WatchedSink:
    """A Sink that looks for the number in what was written to it."""

    def __init__(self, inner: Sink, book: Book) -> None:
        """Belongs to the thread that writes."""
        self._inner = inner
        self._book = book
        self.name, self.close = inner.name, inner.close

    def write(self, frame: Frame) -> None:
        self._inner.write(frame)
        self._book.found(frame.pixels)


def measure(
    config: Config, camera: str | None, seconds: float, *, editor: str | None = None
) -> Report:
    """Run for ``seconds`` once the model edits, and tell the true delay.

    ``camera`` is a source that shows the sink, such as "camera:/dev/video4"; None = it is looked at
    the moment the sink has taken a picture. Raises LiveEditError.
    """
    book, stop = Book(), threading.Event()
    is_watched = camera is None
    service = Service(
        config,
        editor=editor,
        open_source=lambda spec, **how: MarkedSource(registry.open_source(spec, **how), book),
        open_sink=lambda spec, **how: (
            WatchedSink(registry.open_sink(spec, **how), book)
            if is_watched
            else registry.open_sink(spec, **how)
        ),
    )
    try:
        service.start()
        _wait_until_live(service)
        if camera is not None:
            reader = registry.open_source(camera, loop=True, realtime=True)
            threading.Thread(target=_look, args=(reader, book, stop), daemon=True).start()
        service.wait(SETTLE_S)
        before = service.controller.status()
        book.begin()
        service.wait(seconds)
        status = service.controller.status()
    finally:
        stop.set()
        service.stop()
    num_painted, num_found, found = book.result()
    num_ticks = max(1.0, status.sink_fps * (status.uptime_s - before.uptime_s))
    late = (status.late_ticks - before.late_ticks) / num_ticks
    sink = camera or ", ".join(status.sinks)
    return Report(sink, num_painted, num_found, found, status.glass_to_sink, late)


def _wait_until_live(service: Service) -> None:
    give_up_at = time.monotonic() + LOAD_TIMEOUT_S
    while service.controller.status().state is not State.LIVE:
        if service.wait(POLL_S) or time.monotonic() > give_up_at:
            raise service.failure or DeviceError(
                f"no edited picture came within {LOAD_TIMEOUT_S:.0f} s.",
                hint="`liveedit-cam run -v` shows what happens.",
            )


def _look(reader: Source, book: Book, stop: threading.Event) -> None:
    """Read the sink back as a camera until ``stop``; a camera that goes ends it."""
    try:
        while not stop.is_set():
            book.found(np.asarray(reader.read().pixels))
    except (SourceEnded, LiveEditError):
        pass
    finally:
        reader.close()
