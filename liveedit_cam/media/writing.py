"""Writes H.264 as every player understands it: 4:2:0, BT.709, limited range, and tagged so.

The one encoder set-up of recordings and of ``process``. Knows no clock and no naming.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from av.video.stream import VideoStream

from liveedit_cam.types import Pixels

_EXACT = 0x40000
"""libswscale's flag ACCURATE_RND, which PyAV 17.0 does not name: rounds, cuts nothing off."""
_BT709 = 1
"""Code of BT.709's matrix (ISO/IEC 23091-2)."""


class H264Encoder:
    """The picture of one file. One thread owns it."""

    def __init__(
        self,
        container: OutputContainer,
        width: int,
        height: int,
        rate: Fraction,
        *,
        options: Mapping[str, str],
        time_base: Fraction | None = None,
    ) -> None:
        """Add a stream to ``container``; ``width`` and ``height`` must be even.

        ``options`` are x264's; ``time_base`` is the unit of ``pts`` in seconds, None = a frame.
        Raises FFmpegError, ValueError.
        """
        assert width % 2 == 0 == height % 2, f"H.264 in 4:2:0 is even, got {width}x{height}"
        self._container = container
        self._stream = _add_stream(container, width, height, rate, options)
        self._time_base = time_base or 1 / rate
        self._stream.codec_context.time_base = self._time_base
        self._reformatter = VideoReformatter()

    def write(self, pixels: Pixels, pts: int) -> None:
        """Encode and mux one RGB uint8 (H, W, 3) picture at ``pts``. Raises FFmpegError."""
        picture = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(pixels), format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=_EXACT | int(Interpolation.BILINEAR),
        )
        picture.pts, picture.time_base = pts, self._time_base
        self._mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write what the encoder still holds. Raises FFmpegError."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: list[Packet[VideoStream]]) -> None:
        self._container.mux(packets)


def _add_stream(
    container: OutputContainer,
    width: int,
    height: int,
    rate: Fraction,
    options: Mapping[str, str],
) -> VideoStream:
    stream = container.add_stream("libx264", rate=rate, options=dict(options))
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.color_range = ColorRange.MPEG
    context.colorspace = _BT709
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    return stream
