"""Records to an MP4 file: H.264 through PyAV, constant rate. Knows no clock: a write is a frame.

The file grows under a name of its own beside the target and takes the target's name when it is
complete, so nobody ever finds half a recording under the right name. It is written in fragments, so
that players show what there is of it after a full disk or a crash; that half stays, and no other
recording takes its place.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks._checks import check_even, check_size

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

    from liveedit_cam.types import Frame

log = logging.getLogger(__name__)

_ENCODER_OPTIONS = {"preset": "veryfast", "crf": "20"}
_FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
_BT709 = 1
"""Code of BT.709 for matrix, primaries and transfer alike (ISO/IEC 23091-2)."""


def describe() -> str:
    """One line of help."""
    return "file:PATH.mp4  records H.264 video; an existing file is never overwritten"


def create(target: str, *, width: int, height: int, fps: float) -> Sink:
    """Begin a recording. Raises UsageError (bad path), SinkError (exists, odd size, no room)."""
    return VideoFile(_checked_path(target), width, height, fps)


class VideoFile:
    """One recording. All methods from one thread."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        """Open ``path`` plus ".part" and the encoder. Raises SinkError."""
        check_even(width, height, "A video file")
        self.name = f"file:{path.name} ({width}x{height} at {fps:g} fps)"
        self.url: str | None = None
        self._path, self._part = path, path.with_name(path.name + ".part")
        if self._part.exists():
            raise SinkError(
                f"{self._part} holds a recording that was cut short, or is being written.",
                hint="Rename it to keep it, or remove it; or choose another name.",
            )
        self._size = (width, height)
        self._num_frames = 0
        self._is_broken = False
        self._container: OutputContainer | None = None
        try:
            self._container = av.open(str(self._part), "w", format="mp4", options=_FRAGMENTS)
            self._stream = _add_stream(self._container, width, height, fps)
        except (FFmpegError, ValueError) as error:
            self._let_go()
            self._part.unlink(missing_ok=True)
            raise self._failed("cannot be started", error) from error

    def write(self, frame: Frame) -> None:
        """Encode one frame; its place in time is its number."""
        if self._container is None:
            raise SinkError(f"{self.name} is closed.")
        check_size(frame, *self._size, self.name)
        picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24").reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        picture.pts = self._num_frames
        try:
            self._container.mux(self._stream.encode(picture))
        except FFmpegError as error:
            self._is_broken = True
            raise self._failed("cannot be written", error) from error
        self._num_frames += 1

    def close(self) -> None:
        """Finish the file and give it its name. Raises SinkError where that fails."""
        if self._container is None:
            return
        if self._is_broken or self._num_frames == 0:
            self._let_go()
            if self._num_frames == 0:
                self._part.unlink(missing_ok=True)
            return
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except FFmpegError as error:
            self._let_go()
            raise self._failed("cannot be finished", error) from error
        self._container = None
        if self._path.exists():
            raise SinkError(
                f"Meanwhile another file took the name {self._path}.",
                hint=f"The recording is complete in {self._part}; rename it.",
            )
        self._part.rename(self._path)
        log.info("recorded %d frames to %s", self._num_frames, self._path)

    def _let_go(self) -> None:
        """Close what is open; what was written stays."""
        container, self._container = self._container, None
        if container is not None:
            try:
                container.close()
            except FFmpegError as error:
                log.debug("closing a broken recording: %s", error)

    def _failed(self, what: str, error: Exception) -> SinkError:
        kept = f" What there is of it is in {self._part}." if self._num_frames else ""
        return SinkError(
            f"The recording {self._path} {what}: {error}.{kept}",
            hint="Check the free space and the permissions of its folder.",
        )


def _add_stream(container: OutputContainer, width: int, height: int, fps: float) -> VideoStream:
    rate = Fraction(fps).limit_denominator(1001)
    stream = container.add_stream("libx264", rate=rate, options=_ENCODER_OPTIONS)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base = 1 / rate
    context.color_range = ColorRange.MPEG
    context.colorspace = _BT709
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    return stream


def _checked_path(target: str) -> Path:
    path = Path(target).expanduser()
    if path.suffix.lower() != ".mp4":
        raise UsageError(
            f"Got the recording path {target!r}, expected one that ends in .mp4.",
            hint="Such as file:out.mp4",
        )
    if path.exists():
        raise SinkError(
            f"{path} exists already and is never overwritten.",
            hint="Choose another name or remove it first.",
        )
    if not path.parent.is_dir():
        raise SinkError(
            f"There is no folder {path.parent} for the recording {path.name}.",
            hint="Create the folder first.",
        )
    return path
