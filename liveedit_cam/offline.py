"""Edit a whole video file, every frame, as fast as it goes; the audio is copied. No daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from liveedit_cam.errors import SinkError, SourceError
from liveedit_cam.model import load
from liveedit_cam.pixels import fit
from liveedit_cam.prompt import checked_prompt

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

Progress = Callable[[int, int | None], None]
"""Called with frames done and frames in all (None = the file does not say)."""


def process(
    source_path: Path,
    out_path: Path,
    instruction: str,
    *,
    model: str = "nano",
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[str, ...]:
    """Write ``source_path`` edited by ``instruction`` to ``out_path`` (MP4, H.264).

    Returns the words of the instruction that the model does not know. The file appears whole or
    not at all. Raises InstructionError, SourceError, SinkError, UsageError, WeightsError.
    """
    _check(source_path, out_path, instruction, overwrite)
    stream = load(model, device)
    conditioning = stream.encode_text(instruction)
    partial = out_path.with_name(f".{out_path.stem}.partial.mp4")
    try:
        with _opened(source_path) as source, av.open(str(partial), "w") as out:
            video = source.streams.video[0]
            audio = source.streams.audio[0] if source.streams.audio else None
            writer = _Writer(out, source, video, audio)
            total = video.frames or None
            done = 0
            for chunk in _chunks(source, video, audio, writer, lambda: stream.chunk_frames):
                writer.write(stream.edit(chunk.pixels, conditioning), chunk.pts)
                done += len(chunk.pts)
                if progress:
                    progress(done, total)
            writer.finish()
        partial.replace(out_path)
    except (av.FFmpegError, OSError) as error:
        raise SinkError(
            f"got an error while reading {source_path} or writing {out_path} ({error})",
            hint="Check that the file is a whole video and that the disk has room.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return conditioning.unknown


def _check(source_path: Path, out_path: Path, instruction: str, overwrite: bool) -> None:
    checked_prompt(instruction)
    if not source_path.is_file():
        raise SourceError(f"got {source_path}, which is no file", hint="Give a video file.")
    if source_path.stat().st_size == 0:
        raise SourceError(f"got {source_path}, which is empty", hint="Give a whole video file.")
    if out_path.suffix.lower() != ".mp4":
        raise SinkError(
            f"got the output {out_path.name}, expected a name that ends in .mp4",
            hint=f"Write to {out_path.with_suffix('.mp4').name}.",
        )
    if not out_path.parent.is_dir():
        raise SinkError(
            f"got the output folder {out_path.parent}, which does not exist",
            hint="Make it first.",
        )
    if out_path.exists() and (not overwrite or out_path.samefile(source_path)):
        raise SinkError(
            f"got the output {out_path}, which exists already",
            hint="Choose another name, or pass --overwrite (never onto the source itself).",
        )


def _opened(path: Path) -> av.container.InputContainer:
    try:
        container = av.open(str(path))
    except av.FFmpegError as error:
        raise SourceError(
            f"got {path}, which is no video ({error})", hint="Give a video file."
        ) from error
    if not container.streams.video:
        container.close()
        raise SourceError(f"got {path}, which has no picture", hint="Give a video file.")
    return container


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Frames for one edit; the last chunk of a file repeats its end."""

    pixels: Pixels
    """uint8 (T, H, W, 3)."""
    pts: tuple[int | None, ...]
    """When each real frame is shown, in units of the source's time base; None = not said."""


def _chunks(
    source: av.container.InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    writer: _Writer,
    next_size: Callable[[], int],
) -> Iterator[_Chunk]:
    """All frames, as many at a time as the model wants next, all of the first one's size.

    Audio packets met on the way go straight to ``writer``.
    """
    waiting: list[Pixels] = []
    pts: list[int | None] = []
    size: tuple[int, int] | None = None
    for packet in source.demux([s for s in (video, audio) if s is not None]):
        if packet.stream.type == "audio":
            writer.copy_audio(packet)
            continue
        for frame in packet.decode():
            if not isinstance(frame, av.VideoFrame):
                continue
            pixels = frame.to_ndarray(format="rgb24")
            turns = (frame.rotation // 90) % 4
            upright = np.ascontiguousarray(np.rot90(pixels, turns), dtype=np.uint8)
            height, width = size = size or (upright.shape[0], upright.shape[1])
            waiting.append(fit(upright, width, height))
            pts.append(frame.pts)
            if len(waiting) == next_size():
                yield _Chunk(np.stack(waiting), tuple(pts))
                waiting, pts = [], []
    if waiting:
        repeats = [waiting[-1]] * (next_size() - len(waiting))
        yield _Chunk(np.stack(waiting + repeats), tuple(pts))


class _Writer:
    """The output file: edited frames in, audio packets copied; both keep the source's times.

    The file begins at 0 where the source, picture or sound, begins.
    """

    def __init__(
        self,
        out: av.container.OutputContainer,
        source: av.container.InputContainer,
        video: VideoStream,
        audio: AudioStream | None,
    ) -> None:
        self._out = out
        self._rate = video.average_rate or Fraction(30)
        self._tick = video.time_base or 1 / self._rate
        self._start_s = Fraction(source.start_time or 0, av.time_base)
        self._stream: VideoStream | None = None
        self._audio = out.add_stream_from_template(audio) if audio else None
        self._held: list[av.Packet[av.stream.Stream]] = []
        self._last = -1

    def write(self, frames: Pixels, pts: Sequence[int | None]) -> None:
        """Encode the first ``len(pts)`` frames (T, H, W, 3), each at its time.

        An odd last row or column is dropped, as H.264 asks.
        """
        height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
        if self._stream is None:
            self._stream = self._out.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "18", "preset": "veryfast"}
            self._stream.codec_context.time_base = self._tick
        for pixels, at in zip(frames, pts, strict=False):  # the frames after are repeats
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels[:height, :width]), format="rgb24"
            )
            frame.pts = self._place(at)
            frame.time_base = self._tick
            self._out.mux(self._stream.encode(frame))
        while self._held:
            self._out.mux(self._held.pop(0))

    def _place(self, at: int | None) -> int:
        """Ticks from the file's begin, after the frame before; without a time, one period after."""
        if at is None:
            period = max(1, round(1 / self._rate / self._tick))
            self._last = 0 if self._last < 0 else self._last + period
        else:
            self._last = max(at - round(self._start_s / self._tick), self._last + 1)
        return self._last

    def copy_audio(self, packet: av.Packet[av.stream.Stream]) -> None:
        """Hand an audio packet on; the file's header needs the first picture before it."""
        if packet.dts is None or self._audio is None:
            return
        if packet.time_base:
            begin = round(self._start_s / packet.time_base)
            packet.dts -= begin
            packet.pts = None if packet.pts is None else packet.pts - begin
        packet.stream = self._audio
        if self._stream is None:
            self._held.append(packet)
        else:
            self._out.mux(packet)

    def finish(self) -> None:
        """Flush the encoder. Raises SourceError when no picture came."""
        if self._stream is None:
            raise SourceError("got a video without a single frame", hint="Give a whole video file.")
        self._out.mux(self._stream.encode())
