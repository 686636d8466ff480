"""A video file through PyAV: in real time by its own timestamps, or as fast as it is read.

Real time means the clock decides: a reader that comes late gets the picture that is due now, the
ones before it are left out. The clock begins with the first ``read``, so that a file which waits
for its reader loses nothing. Knows no codec.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from liveedit_cam.errors import SourceEnded, SourceError, UsageError
from liveedit_cam.media.reading import Damage, Pictures, decoded, open_video, packets
from liveedit_cam.pacing import Now, Sleep, wait_until
from liveedit_cam.protocols import Source
from liveedit_cam.types import Frame

log = logging.getLogger(__name__)

_FALLBACK_FPS = 30.0
_MAX_SKIP_S = 1.0
"""At most so much video is left out in one ``read``: a decoder slower than real time still shows
a picture now and then."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """A decoded picture and when it belongs."""

    decoded: VideoFrame
    at_s: float
    """Seconds since the first picture of the first round; goes on rising from loop to loop."""
    pictures: Pictures
    """What makes RGB of it."""


def describe() -> str:
    """One line of help."""
    return "file:PATH  a video file; loops or ends, in real time or as fast as possible"


def create(target: str, *, loop: bool, realtime: bool) -> Source:
    """Open the file. Raises UsageError without a path and SourceError where it is no video."""
    return VideoFile(target, loop=loop, realtime=realtime)


class VideoFile:
    """One video file as a Source; ``index`` counts the pictures delivered."""

    def __init__(
        self,
        target: str,
        *,
        loop: bool,
        realtime: bool,
        now: Now = time.monotonic,
        sleep: Sleep | None = None,
    ) -> None:
        """Open and decode the first picture. Raises SourceError, UsageError."""
        self._path = _checked_path(target)
        self._loop, self._realtime = loop, realtime
        self._now = now
        self._closed = threading.Event()
        self._sleep = sleep or self._closed.wait
        self._lock = threading.Lock()  # guards the decoder: the generator and its container
        self._pictures = self._play()
        self._pending: _Picture | None = next(self._pictures)
        self._started_at: float | None = None
        self._index = 0
        first = self._pending
        self.height, self.width = first.pictures.rgb(first.decoded).shape[:2]
        self.name = f"file:{self._path.name} ({self.width}x{self.height} at {self.fps:.4g} fps)"

    def read(self) -> Frame:
        """Deliver the next picture, in real time the one due now. Raises SourceEnded at the end."""
        picture = self._next()
        if self._started_at is None:
            self._started_at = self._now() - picture.at_s
        if self._realtime:
            picture = self._wait_for_due(picture, self._started_at)
        index, self._index = self._index, self._index + 1
        captured_at = self._now()
        return Frame(picture.pictures.rgb(picture.decoded), index, captured_at)

    def close(self) -> None:
        """End a waiting ``read`` and free the decoder."""
        self._closed.set()
        with self._lock:
            self._pictures.close()  # closes the container inside

    def _wait_for_due(self, picture: _Picture, started_at: float) -> _Picture:
        """Leave out what is late by more than a period, then wait until the picture is due."""
        latest = picture.at_s + _MAX_SKIP_S
        while started_at + picture.at_s + 1 / self.fps <= self._now() and picture.at_s < latest:
            picture = self._next()
        if not wait_until(started_at + picture.at_s, now=self._now, sleep=self._sleep):
            raise self._ended()
        return picture

    def _next(self) -> _Picture:
        with self._lock:
            if self._closed.is_set():
                raise self._ended()
            picture, self._pending = self._pending, None
            picture = picture or next(self._pictures, None)
        if picture is None:
            raise self._ended()
        return picture

    def _ended(self) -> SourceEnded:
        return SourceEnded(f"{self._path.name} has ended after {self._index} frames.")

    def _play(self) -> Generator[_Picture, None, None]:
        """Decode round after round; one round where the file does not loop."""
        begin_s = 0.0
        while True:
            last_s = begin_s
            for picture in self._play_once(begin_s):
                last_s = picture.at_s
                yield picture
            if not self._loop:
                return
            begin_s = last_s + 1 / self.fps

    def _play_once(self, begin_s: float) -> Iterator[_Picture]:
        """One round; what is damaged is left out, and where a cut file ends is its end."""
        damage, num_pictures = Damage(), 0
        container, video = open_video(self._path)
        with container:
            self.fps = _nominal_fps(video)
            first_s, at_s, pictures = None, begin_s - 1 / self.fps, Pictures(video)
            for packet in packets(container, [video], damage):
                for picture in decoded(packet, VideoFrame, damage):
                    time_s = picture.time
                    if time_s is None:  # no timestamp: one period after the one before
                        at_s += 1 / self.fps
                    else:
                        first_s = time_s if first_s is None else first_s
                        at_s = begin_s + time_s - first_s
                    num_pictures += 1
                    yield _Picture(picture, at_s, pictures)
        if num_pictures == 0:
            raise SourceError(
                f"{self._path} holds a video track without a single picture that can be read.",
                hint="Choose another file.",
            )
        if damage.num_packets:
            log.warning("%s: damaged packets left out: %d", self.name, damage.num_packets)


def _checked_path(target: str) -> Path:
    if not target:
        raise UsageError("The file source got no path.", hint="Such as file:clip.mp4")
    path = Path(target).expanduser()
    if path.is_dir():
        raise SourceError(f"{path} is a folder, expected a video file.", hint="Name a file in it.")
    if not path.exists():
        raise SourceError(f"There is no file {path}.", hint="Check the spelling and the folder.")
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty (0 bytes).", hint="Record or copy it again.")
        path.open("rb").close()
    except OSError as error:
        raise SourceError(
            f"{path} cannot be opened: {error.strerror}.", hint="Check its permissions."
        ) from error
    return path


def _nominal_fps(video: VideoStream) -> float:
    rate = video.average_rate or video.guessed_rate
    fps = float(rate) if rate else _FALLBACK_FPS
    return fps if 1 <= fps <= 240 else _FALLBACK_FPS
