"""Records to an MP4 file: H.264, constant rate, AAC. Knows no clock: a write or a skip is a frame.

The file is written in fragments of half a second, each flushed, so that whatever ends the program
leaves a recording that plays up to its last second; a proper end makes a plain MP4 of it. No file
is ever overwritten, and only its owner can read it. Where writing fails, what there is stays, and
the recording opened next under that name goes on beside it as "out-2.mp4".
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import OutputContainer
from av.error import FFmpegError

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.media.reading import address
from liveedit_cam.media.writing import AacEncoder, H264Encoder
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_even, check_size
from liveedit_cam.types import Floats, Frame

if TYPE_CHECKING:
    from av.container.core import Chapter

log = logging.getLogger(__name__)

_ENCODER_OPTIONS = {"preset": "veryfast", "crf": "20", "bf": "0", "rc-lookahead": "5"}
"""Little is held back: what the encoder still holds is lost with the program. It also takes 16 ms
for a frame of 1280x720 where the preset alone takes 21, for 1 % more bytes."""
_KEYFRAMES_EVERY_S = 2
_FRAGMENTS = {
    "movflags": "hybrid_fragmented+frag_keyframe+default_base_moof",
    "frag_duration": "500000",
    "flush_packets": "1",
}
"""Duration in microseconds. Hybrid: fragments while it is written, an ordinary index at the end."""
EDITED = "Edited live by liveedit-cam: a model changed the camera's picture."
"""Comment in the file of a show, which players and archives read."""
_ROOM_BYTES = 64 << 20
"""Less room than this is a full disk: about a minute of 1280x720."""

_interrupted: set[Path] = set()
"""Recordings of this process that a failed write cut short: only they may go on in a new file. The
daemon opens a lost sink again by its name alone, so this cannot be kept in the sink."""


def describe() -> str:
    """One line of help."""
    return "file:PATH.mp4  records H.264 video; an existing file is never overwritten"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Begin a recording. Raises UsageError (bad path), SinkError (exists, odd size, no room)."""
    return VideoFile(_checked_path(target), width, height, fps)


def _free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


class VideoFile:
    """One recording. All methods from one thread."""

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        fps: float,
        *,
        free_bytes: Callable[[Path], int] = _free_bytes,
    ) -> None:
        """Make the file, with the rights of its owner only, and the encoder. Raises SinkError.

        ``free_bytes`` says how much room the disk of a folder has.
        """
        check_even(width, height, "A video file")
        self._asked = path.absolute()
        self._path = _made(path, may_go_on=self._asked in _interrupted)
        if free_bytes(path.parent) < _ROOM_BYTES:
            self._path.unlink()
            raise SinkError(
                f"The disk of {path} is full: less than {_ROOM_BYTES >> 20} MB are free.",
                hint="Make room; a recording that was cut short goes on in a new file then.",
            )
        self.name = f"file:{self._path.name} ({width}x{height} at {fps:g} fps)"
        self._size = (width, height)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._num_frames = 0
        self._chapters: list[tuple[int, str]] = []
        self._is_broken = False
        self._container: OutputContainer | None = None
        self._sound: AacEncoder | None = None
        options = {**_ENCODER_OPTIONS, "g": str(round(_KEYFRAMES_EVERY_S * self._rate))}
        try:
            self._container = av.open(
                address(self._path), "w", format="mp4", options=dict(_FRAGMENTS)
            )
            self._encoder = H264Encoder(self._container, width, height, self._rate, options=options)
        except (FFmpegError, ValueError) as error:
            self._let_go()
            self._path.unlink(missing_ok=True)
            raise _failed(f"The recording {path} cannot be started", error) from error

    def write(self, frame: Frame) -> None:
        """Encode one frame; its place in time is its number."""
        if self._container is None:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        try:
            self._encoder.write(frame.pixels, self._num_frames)
        except FFmpegError as error:
            raise self._broken(error) from error
        self._num_frames += 1

    def skip(self, num_frames: int) -> None:
        """Let the frame before stand for so many more."""
        self._num_frames += num_frames

    def begin_chapter(self, title: str) -> None:
        """The frames from the next one on; a file that has chapters also says that it is edited."""
        if not self._chapters and self._container is not None:
            self._container.metadata["comment"] = EDITED
        self._chapters.append((self._num_frames, title))

    def begin_sound(self, rate_hz: int, num_channels: int) -> None:
        """Make it a file with sound, 1 or 2 channels; before the first write. Raises SinkError."""
        assert self._container is not None, f"{self.name} is closed"
        try:
            self._sound = AacEncoder(self._container, rate_hz, num_channels)
        except (FFmpegError, ValueError) as error:
            raise _failed(f"Sound of {rate_hz} Hz cannot be recorded", error) from error

    def write_sound(self, samples: Floats) -> None:
        """The sound that follows, float32 (N, C) in -1..1, without a gap. Raises SinkError."""
        if self._container is None or self._sound is None:
            raise SinkError(f"{self.name} takes no sound.")
        try:
            self._sound.write(samples)
        except FFmpegError as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Finish the file. Raises SinkError where that fails; the fragments stay."""
        if self._container is None:
            return
        if self._is_broken or self._num_frames == 0:
            self._let_go()
            if self._num_frames == 0 or self._path.stat().st_size == 0:
                self._path.unlink(missing_ok=True)
            return
        try:
            self._encoder.finish()
            if self._sound is not None:
                self._sound.finish()
            self._container.set_chapters(list(self._chapter_marks()))
            self._container.close()
        except FFmpegError as error:
            self._let_go()
            raise _failed(
                f"The recording {self._path} cannot be finished", error, self._path
            ) from error
        self._container = None
        _interrupted.discard(self._asked)
        log.info("recorded %d frames to %s", self._num_frames, self._path)

    def _chapter_marks(self) -> Iterator[Chapter]:
        whole = [*self._chapters, (self._num_frames, "")]
        for number, ((begin, title), (end, _)) in enumerate(itertools.pairwise(whole)):
            yield {
                "id": number,
                "start": begin,
                "end": end,
                "time_base": 1 / self._rate,
                "metadata": {"title": title},
            }

    def _broken(self, error: FFmpegError) -> SinkError:
        self._is_broken = True
        _interrupted.add(self._asked)
        return _failed(f"The recording {self._path} cannot be written", error, self._path)

    def _let_go(self) -> None:
        """Close what is open; what was written stays."""
        container, self._container = self._container, None
        if container is not None:
            try:
                container.close()
            except FFmpegError as error:
                log.debug("closing a broken recording: %s", error)


def _failed(
    what: str, error: FFmpegError | OSError | ValueError, kept: Path | None = None
) -> SinkError:
    reason = error if isinstance(error, ValueError) else error.strerror or error
    where = "" if kept is None else f" What there is of it is in {kept}."
    return SinkError(
        f"{what}: {reason}.{where}",
        hint="Check the free space and the permissions of its folder; "
        "a recording that was cut short goes on in a new file.",
    )


def _made(path: Path, *, may_go_on: bool) -> Path:
    """Make an empty file that only its owner reads: ``path``, or the next number beside it."""
    numbers = itertools.count(2) if may_go_on else ()
    for candidate in itertools.chain(
        (path,), (path.with_stem(f"{path.stem}-{n}") for n in numbers)
    ):
        try:
            os.close(os.open(candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            continue
        except OSError as error:
            raise _failed(f"The recording {candidate} cannot be started", error) from error
        return candidate
    raise SinkError(
        f"{path} exists already and is never overwritten.",
        hint="Choose another name or remove it first.",
    )


def _checked_path(target: str) -> Path:
    path = Path(target).expanduser()
    if path.suffix.lower() != ".mp4":
        raise UsageError(
            f"Got the recording path {target!r}, expected one that ends in .mp4.",
            hint="Such as file:out.mp4",
        )
    if not path.parent.is_dir():
        raise SinkError(
            f"There is no folder {path.parent} for the recording {path.name}.",
            hint="Create the folder first.",
        )
    return path
