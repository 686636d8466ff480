"""What the sinks show and what it was made from, as JPEGs for the page and for other programs.

A JPEG is made when somebody asks for it and shared by all who ask for the same; nothing is done
while nobody looks, and nothing of it on a thread of the camera. Who is slow gets fewer pictures,
never older ones. Knows no HTTP; belongs to the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from liveedit_cam.pixels import fit, jpeg
from liveedit_cam.types import Frame, Pixels

Encode = Callable[[Pixels, int], bytes]

MAX_FPS = 15.0
MAX_WIDTH = 640
WIDTHS = (320, MAX_WIDTH, 960)
"""Widths a picture is made at; each costs its own work."""
MAX_VIEWERS = 32
"""Who may look at a time."""
IDLE_S = 1.0
"""Longest wait for another picture than the one the viewer has."""
BOUNDARY = "frame"

_POLL_S = 0.005
_JPEG_QUALITY = 80


class Side(StrEnum):
    """Which picture of the two."""

    SOURCE = "source"
    """What the edited one was made from; the same picture where that is not kept, as on the slate,
    so that no older picture of the camera is shown beside it."""
    EDITED = "edited"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as it is sent."""

    number: int
    """Counts up from 1 with each new picture somebody looked at."""
    jpeg: bytes
    captured_at: float
    """Seconds on ``time.monotonic()`` when its frame came from the source."""


class TooManyViewers(Exception):
    """All places are taken."""


class Pictures:
    """The newest picture of each side, on demand."""

    def __init__(
        self,
        shown: Callable[[], Frame | None],
        *,
        encode: Encode | None = None,
        max_fps: float = MAX_FPS,
        max_viewers: int = MAX_VIEWERS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """``shown`` gives the frame written to the sinks last; ``encode`` takes pixels and a width.

        However many look, at most ``max_fps`` pictures of each side are made in a second.
        """
        self._shown = shown
        self._encode = encode or small_jpeg
        self._period_s = 1 / max_fps
        self._max_viewers = max_viewers
        self._now = now
        self._sleep = sleep
        self._num_viewers = 0
        self._frame: Frame | None = None
        self._number = 0
        self._due = 0.0
        self._jpegs: dict[tuple[Side, int], asyncio.Future[bytes]] = {}

    @property
    def is_full(self) -> bool:
        """Whether all places are taken."""
        return self._num_viewers >= self._max_viewers

    @contextmanager
    def viewer(self) -> Iterator[None]:
        """Take a place for as long as somebody looks. Raises TooManyViewers."""
        if self.is_full:
            raise TooManyViewers(f"{self._max_viewers} are looking already.")
        self._num_viewers += 1
        try:
            yield
        finally:
            self._num_viewers -= 1

    async def next(self, side: Side, seen: int, timeout_s: float = IDLE_S) -> Picture | None:
        """Wait for another picture than number ``seen``, 0 = any; None where there is none."""
        found = await self.next_of((side,), seen, timeout_s)
        return None if found is None else found[0]

    async def next_of(
        self,
        sides: Sequence[Side],
        seen: int,
        timeout_s: float = IDLE_S,
        width: int = MAX_WIDTH,
    ) -> list[Picture] | None:
        """The same of several sides of one frame.

        A picture is at least ``width`` pixels wide where the frame and ``WIDTHS`` allow that.
        """
        give_up_at = self._now() + timeout_s
        made_width = next((one for one in WIDTHS if one >= width), WIDTHS[-1])
        while True:
            self._look()
            if self._frame is not None and self._number != seen:
                frame, number = self._frame, self._number
                making = [self._jpeg(side, made_width, frame) for side in sides]
                jpegs = [await asyncio.shield(one) for one in making]
                return [Picture(number, jpeg, frame.captured_at) for jpeg in jpegs]
            if self._now() >= give_up_at:
                return None
            await self._sleep(max(_POLL_S, self._due - self._now()))

    async def stream(self, side: Side) -> AsyncIterator[bytes]:
        """The parts of a multipart stream, as MJPEG players read it; ends with its reader.

        A picture that stays is sent again each second, so that a reader who left is noticed.
        """
        yield f"--{BOUNDARY}\r\n".encode()
        seen = 0
        while True:
            picture = await self.next(side, seen) or await self.next(side, 0)
            if picture is None:
                continue
            seen = picture.number
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture.jpeg)}\r\n\r\n"
            # The boundary closes the part at once; players draw a part when they see its end.
            yield head.encode() + picture.jpeg + f"\r\n--{BOUNDARY}\r\n".encode()

    def _look(self) -> None:
        """Take the newest frame where it is time for one."""
        now = self._now()
        if now < self._due:
            return
        frame = self._shown()
        if frame is None or self._is_known(frame):
            return
        is_steady = now - self._due < self._period_s  # then the phase is kept, whatever the poll
        self._due = (self._due if is_steady else now) + self._period_s
        self._frame = frame
        self._number += 1
        self._jpegs = {}

    def _is_known(self, frame: Frame) -> bool:
        known = self._frame
        return known is not None and frame.pixels is known.pixels and frame.source is known.source

    def _jpeg(self, side: Side, width: int, frame: Frame) -> asyncio.Future[bytes]:
        """The JPEG of the newest frame, being made or made already."""
        if (side, width) not in self._jpegs:
            pixels = frame.pixels
            if side is Side.SOURCE and frame.source is not None:
                pixels = frame.source
            loop = asyncio.get_running_loop()
            making = loop.run_in_executor(None, self._encode, pixels, width)
            self._jpegs[side, width] = making
        return self._jpegs[side, width]


def small_jpeg(pixels: Pixels, most: int = MAX_WIDTH) -> bytes:
    """A JPEG of (H, W, 3) RGB, at most ``most`` pixels wide."""
    height, width = pixels.shape[:2]
    if width > most:
        pixels = fit(pixels, most, max(1, round(height * most / width)))
    return jpeg(pixels, _JPEG_QUALITY)
