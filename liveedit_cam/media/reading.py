"""Reads video files as people have them: damaged, with cover art, any matrix, any shape of pixel.

Knows containers, codecs and colours, not what the pictures are for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from liveedit_cam.errors import SourceError
from liveedit_cam.media.tone import ToneMap
from liveedit_cam.types import Pixels

Decoded = TypeVar("Decoded", VideoFrame, AudioFrame)

_ODD_METADATA: dict[str, Any] = (
    {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
"""Titles in another encoding than UTF-8 are read, too: from PyAV 19 on they are without asking."""
_MAX_FAILURES = 50
"""So many failed reads in a row end a file: whoever cannot find the next packet by then never will.
"""
_EXACT = 0x40000 | 0x2000
"""libswscale's flags ACCURATE_RND and FULL_CHR_H_INT, which PyAV 17.0 does not name: without them
each conversion darkens by a level (5.5 instead of 2 ms for 1280x720)."""
_UNSPECIFIED = 2
"""Code of an unknown matrix (ISO/IEC 23091-2)."""
_STILL_CODECS = {"mjpeg", "png", "bmp", "gif", "webp", "tiff"}
"""Codecs of covers, where a container cannot say that a stream is one; cameras use MJPEG alone."""
_MAX_PIXEL_RATIO = 4
"""Wider or narrower pixels are a broken header: 2 is the widest that cameras and discs use."""


@dataclass(slots=True)
class Damage:
    """What a file turned out to lack while it was read."""

    num_packets: int = 0
    """Packets that could not be read or decoded and were left out."""


def address(path: Path) -> str:
    """``path`` as libav takes it: a colon in a name is no protocol, a dash no option."""
    return f"file:{path}"


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a file and find its moving picture. Raises SourceError.

    Only local files are read, also where a playlist names others. The caller closes.
    """
    try:
        container = av.open(
            address(path),
            options={"protocol_whitelist": "file,crypto,data"},
            **_ODD_METADATA,
        )
    except FFmpegError as error:
        raise SourceError(
            f"{path} cannot be read as a video: {error.strerror or error}.",
            hint="Check that a video player shows it; MP4, MOV, MKV and WebM are understood. "
            "A recording whose program crashed may lack its index.",
        ) from error
    if not container.streams.video:
        kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        container.close()
        raise SourceError(
            f"{path} has no video track, only {kinds}.", hint="Choose a file with pictures."
        )
    video = moving_picture(container.streams.video)
    video.thread_type = "AUTO"
    return container, video


def moving_picture(streams: Sequence[VideoStream]) -> VideoStream:
    """The stream that moves: cover art and single pictures only where there is nothing else."""

    def worth(stream: VideoStream) -> tuple[bool, bool, bool, bool]:
        kinds = stream.disposition
        return (
            not kinds & kinds.attached_pic,
            stream.codec_context.name not in _STILL_CODECS,
            stream.frames != 1,  # 0 = the file does not say
            bool(kinds & kinds.default),
        )

    return max(streams, key=worth)  # of equals the first


def packets(
    container: InputContainer, streams: Sequence[Stream], damage: Damage
) -> Iterator[Packet[Stream]]:
    """All packets that can be read, one empty one for each stream last; failures are counted."""
    failures = 0
    while failures < _MAX_FAILURES:
        try:
            for packet in container.demux(streams):
                yield packet
                failures = 0
            return
        except FFmpegError:
            failures += 1
            damage.num_packets += 1


def decoded(packet: Packet[Stream], kind: type[Decoded], damage: Damage) -> list[Decoded]:
    """What of that kind a packet holds; one that cannot be decoded gives nothing and is counted."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, kind)]
    except FFmpegError:
        damage.num_packets += 1
        return []


class Pictures:
    """Pictures of one video stream as RGB: upright, square pixels, standard range of brightness.

    One thread owns it.
    """

    def __init__(self, stream: VideoStream) -> None:
        """Take the shape of the pixels from ``stream``; colours are said by every picture."""
        ratio = Fraction(stream.sample_aspect_ratio or 1)
        is_sane = 1 <= max(ratio, 1 / ratio) <= _MAX_PIXEL_RATIO if ratio > 0 else False
        self._pixel_ratio = ratio if is_sane else Fraction(1)
        self._reformatter = VideoReformatter()
        self._tone_map: ToneMap | None = None

    @property
    def is_tone_mapped(self) -> bool:
        """Whether a picture was HDR or of a wide gamut, and brought to BT.709."""
        return self._tone_map is not None

    def rgb(self, picture: VideoFrame) -> Pixels:
        """RGB uint8 (H, W, 3), turned as the file says (phones store pictures lying)."""
        pixels = self._bt709(picture)
        quarter_turns = round(picture.rotation / 90) % 4  # counter-clockwise, as np.rot90 counts
        return np.ascontiguousarray(np.rot90(pixels, quarter_turns), dtype=np.uint8)

    def _bt709(self, picture: VideoFrame) -> Pixels:
        transfer, primaries = int(picture.color_trc), int(picture.color_primaries)
        if not ToneMap.is_needed(transfer, primaries):
            return self._converted(picture, "rgb24")
        if self._tone_map is None or self._tone_map.made_for != (transfer, primaries):
            self._tone_map = ToneMap(transfer, primaries)
        return self._tone_map(self._converted(picture, "rgb48le"))

    def _converted(self, picture: VideoFrame, pixel_format: str) -> NDArray[Any]:
        """Shape (H, W, 3), uint8 for "rgb24", else uint16; pixels made square."""
        width, height = square_size(picture.width, picture.height, self._pixel_ratio)
        is_scaled = (width, height) != (picture.width, picture.height)
        converted = self._reformatter.reformat(
            picture,
            width=width,
            height=height,
            format=pixel_format,
            src_colorspace=_matrix(picture),
            interpolation=_EXACT
            | int(Interpolation.BICUBIC if is_scaled else Interpolation.BILINEAR),
        )
        return _pixels(converted, np.uint8 if pixel_format == "rgb24" else np.uint16)


def _pixels(picture: VideoFrame, kind: type[np.generic]) -> NDArray[Any]:
    """The memory of a packed RGB ``picture`` as (H, W, 3), not copied: 25 MB of 3840x2160."""
    plane = picture.planes[0]
    rows: NDArray[Any] = np.frombuffer(memoryview(plane), kind).reshape(picture.height, -1)
    packed: NDArray[Any] = rows[:, : 3 * picture.width]
    return packed.reshape(picture.height, picture.width, 3)


def square_size(width: int, height: int, pixel_ratio: Fraction) -> tuple[int, int]:
    """Size with square pixels, the shorter side stretched, so that no detail is lost; even."""
    if pixel_ratio == 1:
        return width, height
    if pixel_ratio > 1:
        return max(2, round(width * pixel_ratio / 2) * 2), height
    return width, max(2, round(height / pixel_ratio / 2) * 2)


def _matrix(picture: VideoFrame) -> Colorspace | None:
    """Matrix to read an untagged picture by, as players guess it; None = the picture says it."""
    if int(picture.colorspace) != _UNSPECIFIED or picture.format.is_rgb:
        return None
    is_hd = picture.width >= 1280 or picture.height > 576
    return Colorspace.ITU709 if is_hd else Colorspace.ITU601
