"""Edit a whole video file, every frame, as fast as it goes; the sound goes along. No daemon."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import av

from liveedit_cam.errors import SinkError, SourceError
from liveedit_cam.media.reading import Damage, Pictures, address, decoded, open_video, packets
from liveedit_cam.media.sound import Sound, sound_for
from liveedit_cam.media.writing import H264Encoder
from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.one_by_one import Picture, load_one_by_one
from liveedit_cam.pixels import fit
from liveedit_cam.presets.timeline import Cue, cue_at
from liveedit_cam.prompt import checked_prompt

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream as AnyStream
    from av.video.stream import VideoStream

    from liveedit_cam.types import Pixels, Region

Progress = Callable[[int, int | None], None]
"""Called with frames done and frames in all (None = the file does not say)."""

_ENCODER_OPTIONS = {"preset": "veryfast", "crf": "18"}
_LARGE_OPTIONS = {
    **_ENCODER_OPTIONS,
    "rc-lookahead": "0",
    "sync-lookahead": "0",
    "bf": "0",
    "sliced-threads": "1",
}
"""For more than 1920x1088. Each frame that x264 looks ahead or works on beside another holds 25 to
50 MB of 3840x2160: the preset alone takes 730 MB there."""
_LARGE_PX = 1920 * 1088
_HALVES = ("yuv420p", "yuvj420p", "nv12")
"""Decoded pictures that take half of what RGB takes, and are made RGB in 50 ms of 3840x2160."""
_MAX_MISSING_S = 1.0
"""A picture that ends so much before its file's stated end was cut short."""


class Stream(Protocol):
    """What is needed of an editor of files."""

    @property
    def chunk_frames(self) -> int:
        """Pictures the next ``edit_each`` takes."""
        ...

    def encode_text(self, prompt: str) -> TextConditioning:
        """Make an instruction ready."""
        ...

    def edit_each(
        self,
        pictures: Sequence[Picture],
        conditioning: TextConditioning,
        *,
        strength: float,
        region: Region | None,
    ) -> Iterator[Pixels]:
        """Edit one chunk, uint8 (H, W, 3) by uint8 (H, W, 3)."""
        ...


@dataclass(frozen=True, slots=True)
class Processed:
    """What became of a file."""

    path: Path
    """The result; another name than asked for where that was taken meanwhile."""
    num_frames: int
    unknown: tuple[str, ...]
    """Words of the instructions that the model does not know."""
    notes: tuple[str, ...]
    """What else the user should know: damage, a sound that was converted."""


def process(
    source_path: Path,
    out_path: Path,
    instruction: str | Sequence[Cue],
    *,
    model: str = "nano",
    device: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
    load: Callable[[str, str], Stream] = load_one_by_one,
) -> Processed:
    """Write ``source_path`` edited by ``instruction`` to ``out_path`` (MP4, H.264, BT.709).

    Several are cues in time, the first at 0; a new one takes effect with the next chunk.
    The file appears whole or not at all; of a damaged source it holds all that can be read. Pixels
    are made square, HDR is tone-mapped. ``load`` makes a stream of a model's name and a device.
    Raises InstructionError, SourceError, SinkError, UsageError, WeightsError.
    """
    if isinstance(instruction, str):
        instruction = (Cue(0.0, checked_prompt(instruction)),)
    cues = tuple(instruction)
    _check(source_path, out_path, overwrite)
    stream = load(model, device)
    texts = [stream.encode_text(cue.edit) for cue in cues]
    partial = out_path.with_name(f".{out_path.stem}.{secrets.token_hex(4)}.partial.mp4")
    try:
        partial.touch(exist_ok=False)  # a folder that cannot be written is told before the work
        container, video = open_video(source_path)
        with container, av.open(address(partial), "w") as out:
            reader = _Reader(container, video)
            writer = _Writer(out, reader)
            for chunk in reader.chunks(writer.copy_sound, lambda: stream.chunk_frames):
                number = cue_at(cues, writer.seconds(chunk.pts[0]))
                edited = stream.edit_each(
                    chunk.pictures,
                    texts[number],
                    strength=cues[number].strength,
                    region=cues[number].region,
                )
                writer.write(edited, chunk.pts)
                if progress:
                    progress(writer.num_frames, video.frames or None)
            writer.finish()
            notes = (*reader.notes(), *writer.notes())
        path = _named(partial, out_path, overwrite=overwrite)
    except (av.FFmpegError, OSError) as error:
        raise SinkError(
            f"got an error while reading {source_path} or writing {out_path} "
            f"({error.strerror or error})",
            hint="Check that the disk has room and that its folder can be written.",
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    notes = (*notes, *_unread(texts))
    if path != out_path:
        notes = (*notes, f"{out_path.name} was taken meanwhile; the result is {path.name}")
    unknown = tuple(dict.fromkeys(word for text in texts for word in text.unknown))
    return Processed(path, writer.num_frames, unknown, notes)


def _unread(texts: Sequence[TextConditioning]) -> list[str]:
    """What of the instructions is not read or not done, for the user."""
    unread = [
        f'the instruction is too long, its end is not read: "{text.unread}"'
        for text in texts
        if text.unread
    ]
    return unread + [
        f'"{text.prompt}" asks for nothing that this model can do: nothing is changed'
        for text in texts
        if not text.is_understood
    ]


def _check(source_path: Path, out_path: Path, overwrite: bool) -> None:
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


def _named(partial: Path, out_path: Path, *, overwrite: bool) -> Path:
    """Give the finished file its name, or the next free number beside it; where it is now."""
    path, number = out_path, 1
    while path.exists() and not overwrite:  # another program was faster; its file is its own
        number += 1
        path = out_path.with_stem(f"{out_path.stem}-{number}")
    partial.replace(path)
    return path


@dataclass(frozen=True, slots=True, eq=False)
class _Chunk:
    """Frames for one edit; the last chunk of a file repeats its end."""

    pictures: tuple[Picture, ...]
    pts: tuple[int | None, ...]
    """When each real frame is shown, in units of the source's time base; None = not said."""


class _Reader:
    """The pictures of a file in chunks, all of the first one's size."""

    def __init__(self, container: InputContainer, video: VideoStream) -> None:
        self.container = container
        self.video = video
        if video.width * video.height > _LARGE_PX:
            video.thread_type = "SLICE"  # each thread with a frame of its own holds several
        self.audio = container.streams.audio[0] if container.streams.audio else None
        self.damage = Damage()
        self._pictures = Pictures(video)
        self._size: tuple[int, int] | None = None
        self._end_s: float | None = None

    def chunks(
        self, take_sound: Callable[[Packet[AnyStream]], None], next_size: Callable[[], int]
    ) -> Iterator[_Chunk]:
        """As many frames at a time as the model wants next.

        Packets of sound met on the way go straight to ``take_sound``.
        """
        held: list[Picture] = []
        pts: list[int | None] = []
        for packet in self._packets():
            if packet.stream is self.audio:
                take_sound(packet)
                continue
            for picture in decoded(packet, av.VideoFrame, self.damage):
                held.append(self._held(picture))
                pts.append(picture.pts)
                self._end_s = picture.time
                if len(held) == next_size():
                    yield _Chunk(tuple(held), tuple(pts))
                    held, pts = [], []
        if held:
            held += [held[-1]] * (next_size() - len(held))
            yield _Chunk(tuple(held), tuple(pts))

    def notes(self) -> list[str]:
        """What the file lacked and what was done to its colours, for the user."""
        notes = []
        if self.damage.num_packets:
            notes.append(f"damaged packets left out: {self.damage.num_packets}")
        container = self.container
        if self._end_s is not None and container.duration:
            begin_s = (container.start_time or 0) / av.time_base
            whole_s, got_s = container.duration / av.time_base, self._end_s - begin_s
            if whole_s - got_s > _MAX_MISSING_S:
                notes.append(f"its picture ends after {got_s:.1f} s of {whole_s:.1f} s")
        if self._pictures.is_tone_mapped:
            notes.append("HDR or wide colours were mapped to standard ones (BT.709)")
        return notes

    def _packets(self) -> Iterator[Packet[AnyStream]]:
        streams = [stream for stream in (self.video, self.audio) if stream is not None]
        return packets(self.container, streams, self.damage)

    def _held(self, picture: av.VideoFrame) -> Picture:
        """Hold a picture in little memory: a large one of 4:2:0 as it was decoded."""
        if picture.format.name in _HALVES and picture.width * picture.height > _LARGE_PX:
            return lambda: self._rgb(picture)
        return self._rgb(picture).copy

    def _rgb(self, picture: av.VideoFrame) -> Pixels:
        pixels = self._pictures.rgb(picture)
        if self._size is None:
            self._size = pixels.shape[1], pixels.shape[0]
        return fit(pixels, *self._size)


class _Writer:
    """The output file: edited frames in, sound along; both keep the source's times.

    The file begins at 0 where the source, picture or sound, begins.
    """

    def __init__(self, out: OutputContainer, source: _Reader) -> None:
        self._out = out
        self._rate = source.video.average_rate or Fraction(30)
        self._tick = source.video.time_base or 1 / self._rate
        self._start_s = Fraction(source.container.start_time or 0, av.time_base)
        self._encoder: H264Encoder | None = None
        self._sound: Sound | None = None
        if source.audio is not None:
            self._sound = sound_for(out, source.audio, self._start_s, source.damage)
        self._held: list[Packet[AnyStream]] = []
        self._last = -1
        self.num_frames = 0

    def write(self, frames: Iterable[Pixels], pts: Sequence[int | None]) -> None:
        """Encode the first ``len(pts)`` frames uint8 (H, W, 3), each at its time.

        An odd last row or column is dropped, as H.264 asks.
        """
        each = iter(frames)
        for at in pts:  # the frames after are repeats
            self._encode(next(each), self._place(at))  # no name keeps it while the next is made
        self.num_frames += len(pts)
        while self._held:
            self._out.mux(self._held.pop(0))

    def _encode(self, pixels: Pixels, at: int) -> None:
        height, width = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
        if self._encoder is None:
            options = _LARGE_OPTIONS if height * width > _LARGE_PX else _ENCODER_OPTIONS
            self._encoder = H264Encoder(
                self._out, width, height, self._rate, options=options, time_base=self._tick
            )
        self._encoder.write(pixels[:height, :width], at)

    def _place(self, at: int | None) -> int:
        """Ticks from the file's begin, after the frame before; without a time, one period after."""
        if at is None:
            period = max(1, round(1 / self._rate / self._tick))
            self._last = 0 if self._last < 0 else self._last + period
        else:
            self._last = max(at - round(self._start_s / self._tick), self._last + 1)
        return self._last

    def seconds(self, at: int | None) -> float:
        """When a frame is shown, from the file's begin; without a time of its own, by its number.

        ``at`` in units of the source's time base.
        """
        return float(
            self.num_frames / self._rate if at is None else at * self._tick - self._start_s
        )

    def copy_sound(self, packet: Packet[AnyStream]) -> None:
        """Hand sound on; the file's header needs the first picture before it."""
        if self._sound is None:
            return
        made = self._sound.take(packet)
        if self._encoder is None:
            self._held += made
        else:
            self._out.mux(list(made))

    def notes(self) -> list[str]:
        """What was done to the sound, for the user."""
        return [self._sound.note] if self._sound is not None and self._sound.note else []

    def finish(self) -> None:
        """Flush the encoder. Raises SourceError when no picture came."""
        if self._encoder is None:
            raise SourceError("got a video without a single frame", hint="Give a whole video file.")
        self._encoder.finish()
