"""Recording beside a live run: what the sinks show, the camera's own, and the story of both.

A recording has a thread of its own and a short queue: the picture never waits for an encoder. Where
that is too slow pictures are left out and keep their time, so the file is as long as the show was.
Beside ``NAME.mp4`` lies ``NAME.json``, which ``process --timeline`` renders again from
``NAME-source.mp4``. Knows no file format: the files are sinks of the registry.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, Thread
from typing import Any

from liveedit_cam.daemon.board import Board
from liveedit_cam.daemon.soundtrack import OpenMicrophone, Soundtrack, open_soundtrack
from liveedit_cam.errors import ControlError, LiveEditError, UsageError, kept
from liveedit_cam.files import replace_text
from liveedit_cam.pixels import badge
from liveedit_cam.prompt import LEAVE
from liveedit_cam.protocols import RecordingSink, Sink
from liveedit_cam.types import EditInstruction, Frame

FAULT = "recording"
QUEUE_FRAMES = 16
"""Half a second; each holds up to two full-size pictures."""
LAG_S = 0.2
"""Ticks that were left out are noticed once so much time is missing."""
MAX_GAP_S = 5.0
"""A longer standstill of the whole program is left out of the file."""
BADGE = "edited live"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's word for a camera's picture that a trained model has changed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be recorded."""

    path: Path
    """Ends in .mp4; no file is overwritten."""
    with_source: bool = False
    """Also the camera's own picture, as NAME-source.mp4."""
    has_badge: bool = False
    """Write "edited live" into the corner of edited pictures."""
    microphone: str | None = None
    """Part of the name of the one whose sound is recorded, "" = the system's; None = no sound."""


class Recorder:
    """One recording at a time. ``offer`` belongs to the present thread. Lock: ``_lock``."""

    def __init__(
        self,
        open_sink: Callable[[str], Sink],
        fps: float,
        find: Callable[[int], EditInstruction | None],
        *,
        board: Board,
        now: Callable[[], float],
        open_microphone: OpenMicrophone | None = None,
        folder: Path | None = None,
    ) -> None:
        """``open_sink`` takes a spec; ``find`` gives an instruction by its revision.

        ``open_microphone`` takes a part of a name, "" = the system's own choice; None = no sound.
        ``folder`` is where a recording without a name goes; None = the user's videos.
        """
        self._open_sink = open_sink
        self._fps = fps
        self._find = find
        self._board = board
        self._now = now
        self._open_microphone = open_microphone
        self._folder = folder
        self._lock = Lock()
        self._take: _Take | None = None

    def start(
        self,
        path: Path | None,
        *,
        with_source: bool,
        has_badge: bool,
        microphone: str | None = None,
    ) -> Path:
        """Begin one; where it goes. Raises ControlError where one runs, UsageError, DeviceError."""
        with self._lock:
            if self._take is not None and self._take.is_running:
                raise ControlError(
                    f"A recording runs already: {self._take.path}.",
                    hint="End it first: liveedit-cam record stop",
                )
            wish = Wish(path or self._new_path(), with_source, has_badge, microphone)
            take = _Take(wish, self._open_sink, self._fps, self._find, self._board, self._now)
            take.begin(self._open_microphone)
            self._take = take
            return take.path

    def stop(self) -> tuple[Path, ...]:
        """End it and finish its files, which it names. Raises ControlError, SinkError."""
        with self._lock:
            take, self._take = self._take, None
        if take is None:
            raise ControlError("No recording runs.", hint="Begin one: liveedit-cam record start")
        return take.end()

    def offer(self, frame: Frame) -> None:
        """The picture of one tick. Never blocks."""
        take = self._take
        if take is not None:
            take.offer(frame)

    def has_reader(self) -> bool:
        """A recording keeps the camera awake."""
        take = self._take
        return take is not None and take.is_running

    def close(self) -> None:
        """End what runs. Raises SinkError where a file cannot be finished."""
        if self._take is not None:
            self.stop()

    def _new_path(self) -> Path:
        folder = self._folder or _videos()
        return folder / time.strftime("liveedit-%Y%m%d-%H%M%S.mp4")


def _videos() -> Path:
    """The user's folder of videos, else the home."""
    videos = Path.home() / "Videos"
    return videos if videos.is_dir() else Path.home()


class _Track:
    """One file of a take."""

    def __init__(self, path: Path, open_sink: Callable[[str], Sink]) -> None:
        self.path = path
        sink = open_sink(f"file:{path}")
        assert isinstance(sink, Sink)
        assert isinstance(sink, RecordingSink)
        self.sink: Sink = sink
        self.timed: RecordingSink = sink


class _Take:
    """One recording: tracks, queue and thread. Lock: ``_changed``."""

    def __init__(
        self,
        wish: Wish,
        open_sink: Callable[[str], Sink],
        fps: float,
        find: Callable[[int], EditInstruction | None],
        board: Board,
        now: Callable[[], float],
    ) -> None:
        if wish.path.suffix.lower() != ".mp4":
            raise UsageError(
                f"Got the recording {wish.path.name!r}, expected a name that ends in .mp4.",
                hint="Or leave it out: the date becomes the name.",
            )
        self.path = wish.path.expanduser().absolute()
        self._wish, self._fps, self._find, self._board, self._now = wish, fps, find, board, now
        self._edited = _Track(self.path, open_sink)
        self._source: _Track | None = None
        if wish.with_source:
            try:
                source_path = self.path.with_stem(f"{self.path.stem}-source")
                self._source = _Track(source_path, open_sink)
            except LiveEditError:
                self._edited.sink.close()
                raise
        self._cues: list[dict[str, Any]] = []
        self._changed = Condition()
        self._queue: deque[tuple[int, Frame]] = deque(maxlen=QUEUE_FRAMES)
        self._num_offered = 0
        self._num_written = 0
        self._began_at: float | None = None
        self._look: dict[str, Any] | None = None
        self._badged: tuple[Frame, Frame] | None = None
        self._sound: Soundtrack | None = None
        self._is_ending = False
        self.is_running = True
        self._thread = Thread(target=self._run, name="liveedit-recording", daemon=True)

    def begin(self, open_microphone: OpenMicrophone | None) -> None:
        """Take pictures from now on. Raises DeviceError, SinkError; nothing is left then."""
        sinks = [track.timed for track in self._tracks()]
        wanted = self._wish.microphone
        try:
            self._sound = open_soundtrack(open_microphone, wanted, sinks, self._board, self._now)
        except LiveEditError:
            self._close_tracks()
            raise
        self._board.fault(FAULT, None)
        self._board.update(recording=str(self.path), recorded_s=0.0)
        self._thread.start()

    def offer(self, frame: Frame) -> None:
        """Take a tick's picture; the oldest that waits gives way, its time is kept."""
        now = self._now()
        with self._changed:
            if self._began_at is None:
                self._began_at = now
            missing_s = now - self._began_at - self._num_offered / self._fps
            if missing_s > MAX_GAP_S:
                self._began_at += missing_s
            elif missing_s > LAG_S:
                self._num_offered += int(missing_s * self._fps)
            if self._sound is not None:
                if missing_s > LAG_S:
                    self._sound.displace()
                self._sound.place(frame, self._num_offered / self._fps)
            self._num_offered += 1
            self._queue.append((self._num_offered, frame))
            self._changed.notify_all()

    def end(self) -> tuple[Path, ...]:
        """Write what waits and finish the files. Raises SinkError."""
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self._thread.join()
        error = self._close_tracks()
        self._tell_story()
        self._board.update(recording=None, recorded_s=self._num_written / self._fps)
        if error is not None:
            raise error
        files = [*(track.path for track in self._tracks()), self.path.with_suffix(".json")]
        return tuple(path for path in files if path.exists())

    def _tracks(self) -> Iterator[_Track]:
        yield self._edited
        if self._source is not None:
            yield self._source

    def _close_tracks(self) -> LiveEditError | None:
        """Finish all files and let go of the microphone; why one could not be finished."""
        if self._sound is not None:
            self._sound.close()
        error: LiveEditError | None = None
        for track in self._tracks():
            try:
                track.sink.close()
            except LiveEditError as failure:
                error = failure
        return error

    def _run(self) -> None:
        with kept(self._fail):
            while (item := self._next()) is not None:
                self._write(*item)

    def _fail(self, error: Exception) -> None:
        """Told in the status; the picture goes on."""
        _log.warning("the recording %s ended: %s", self.path, error)
        self._board.fault(FAULT, f"The recording has ended: {error}")
        self._board.update(recording=None)
        self.is_running = False
        self._close_tracks()  # now, so that what there is plays

    def _next(self) -> tuple[int, Frame] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_ending or not self.is_running)
            return self._queue.popleft() if self._queue else None

    def _write(self, number: int, frame: Frame) -> None:
        """Write the picture of a tick after the time of those that were left out before it.

        The first stands for those before it, too: players take its time for the file's begin.
        """
        seconds = int(self._num_written / self._fps)
        missing, is_first = number - 1 - self._num_written, self._num_written == 0
        if not is_first:
            self._skip(missing)
        self._follow(frame)
        self._edited.sink.write(self._with_badge(frame))
        if self._source is not None:
            pixels = frame.pixels if frame.source is None else frame.source
            self._source.sink.write(Frame(pixels, frame.index, frame.captured_at))
        self._num_written += 1
        if is_first:
            self._skip(missing)
        if self._sound is not None:
            self._sound.advance(self._num_written / self._fps)
        if int(self._num_written / self._fps) != seconds:
            self._board.update(recorded_s=self._num_written / self._fps)

    def _skip(self, num_frames: int) -> None:
        self._num_written += num_frames
        for track in self._tracks():
            track.timed.skip(num_frames)

    def _follow(self, frame: Frame) -> None:
        """Note where another look begins: what no field is on is the picture as it is."""
        given = None if frame.field_at is None else self._find(frame.revision)
        look: dict[str, Any] = {"edit": LEAVE if given is None else given.prompt}
        if given is not None and given.strength != 1:
            look["strength"] = given.strength
        if given is not None and given.region is not None:
            region = given.region
            look["region"] = [region.x, region.y, region.width, region.height]
        if look == self._look:
            return
        self._look = look
        self._cues.append({"at_s": round(self._num_written / self._fps, 3), **look})
        self._edited.timed.begin_chapter(str(look["edit"]))
        self._tell_story()

    def _with_badge(self, frame: Frame) -> Frame:
        if not self._wish.has_badge or frame.field_at is None:
            return frame
        if self._badged is None or self._badged[0] is not frame:
            marked = Frame(badge(frame.pixels, BADGE), frame.index, frame.captured_at)
            self._badged = frame, marked
        return self._badged[1]

    def _tell_story(self) -> None:
        """Write the cues beside the recording, whole or not at all."""
        if not self._cues:
            return
        status = self._board.status()
        story = {
            "recording": self.path.name,
            "source": None if self._source is None else self._source.path.name,
            "fps": self._fps,
            "model": status.model,
            "digital_source_type": SOURCE_TYPE,
            "cues": self._cues,
        }
        path = self.path.with_suffix(".json")
        try:
            replace_text(path, json.dumps(story, ensure_ascii=False, indent=1), mode=0o600)
        except OSError as error:
            self._board.fault(FAULT, f"{path} cannot be written: {error.strerror or error}.")
