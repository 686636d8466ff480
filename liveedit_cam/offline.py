"""Edit a whole video file, every frame, as fast as it goes; the audio is copied. No daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from liveedit_cam.errors import SinkError, SourceError
from liveedit_cam.model import load
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
            writer = _Writer(out, video, audio)
            total = video.frames or None
            done = 0
            for chunk, count in _chunks(source, video, audio, writer, stream.chunk_frames):
                writer.write(stream.edit(chunk, conditioning)[:count])
                done += count
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


def _chunks(
    source: av.container.InputContainer,
    video: VideoStream,
    audio: AudioStream | None,
    writer: _Writer,
    size: int,
) -> Iterator[tuple[Pixels, int]]:
    """Chunks of ``size`` frames and how many of them are real; the last one repeats its end.

    Audio packets met on the way go straight to ``writer``.
    """
    waiting: list[NDArray[np.uint8]] = []
    for packet in source.demux([s for s in (video, audio) if s is not None]):
        if packet.stream.type == "audio":
            writer.copy_audio(packet)
            continue
        for frame in packet.decode():
            if not isinstance(frame, av.VideoFrame):
                continue
            pixels = frame.to_ndarray(format="rgb24")
            turns = (frame.rotation // 90) % 4
            waiting.append(np.ascontiguousarray(np.rot90(pixels, turns), dtype=np.uint8))
            if len(waiting) == size:
                yield np.stack(waiting), size
                waiting = []
    if waiting:
        yield np.stack(waiting + [waiting[-1]] * (size - len(waiting))), len(waiting)


class _Writer:
    """The output file: edited frames in, audio packets copied."""

    def __init__(
        self, out: av.container.OutputContainer, video: VideoStream, audio: AudioStream | None
    ) -> None:
        self._out = out
        self._rate = video.average_rate or Fraction(30)
        self._stream: VideoStream | None = None
        self._audio = out.add_stream_from_template(audio) if audio else None
        self._held: list[av.Packet[av.stream.Stream]] = []
        self._count = 0

    def write(self, frames: Pixels) -> None:
        """Encode frames (T, H, W, 3); an odd last row or column is dropped, as H.264 asks."""
        height, width = frames.shape[1] // 2 * 2, frames.shape[2] // 2 * 2
        if self._stream is None:
            self._stream = self._out.add_stream("libx264", rate=self._rate)
            self._stream.width, self._stream.height = width, height
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "18", "preset": "veryfast"}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels[:height, :width]), format="rgb24"
            )
            frame.pts = self._count
            frame.time_base = 1 / self._rate
            self._count += 1
            self._out.mux(self._stream.encode(frame))
        while self._held:
            self._out.mux(self._held.pop(0))

    def copy_audio(self, packet: av.Packet[av.stream.Stream]) -> None:
        """Hand an audio packet on; the file's header needs the first picture before it."""
        if packet.dts is None or self._audio is None:
            return
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
