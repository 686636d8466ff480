"""Writes H.264 as every player understands it: 4:2:0, BT.709, limited range, and tagged so; AAC.

The one encoder set-up of recordings and of ``process``. Knows no clock and no naming.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import av
import cv2
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

from liveedit_cam.media.sound import AAC_RATES
from liveedit_cam.types import Floats, Pixels

_EXACT = 0x40000
"""libswscale's flag ACCURATE_RND, which PyAV 17.0 does not name: rounds, cuts nothing off."""
_AVX_512F = 13
"""OpenCV's number of it (CPU_AVX_512F), which has no name in Python."""
_SAME_AGAIN = "asm=avx2,bmi2"
"""Keeps x264 from AVX-512, with which the same pictures gave other bytes in every run (core 165,
96x64 pixels); without it they gave the same. For processors that have it."""
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


class AacEncoder:
    """Sound without gaps, from the file's begin on. One thread owns it."""

    def __init__(self, container: OutputContainer, rate_hz: int, num_channels: int) -> None:
        """Add a stream to ``container``, before anything is written; 1 or 2 channels.

        Raises FFmpegError, ValueError.
        """
        self._container = container
        self._rate_hz = rate_hz
        self._layout = "mono" if num_channels == 1 else "stereo"
        rate = rate_hz if rate_hz in AAC_RATES else 48_000  # PyAV resamples to it
        self._stream = container.add_stream("aac", rate=rate, layout=self._layout)
        self._num_samples = 0

    def write(self, samples: Floats) -> None:
        """Encode and mux what follows, float32 (N, C) in -1..1. Raises FFmpegError."""
        packed = np.ascontiguousarray(samples, np.float32).reshape(1, -1)
        sound = av.AudioFrame.from_ndarray(packed, format="flt", layout=self._layout)
        sound.sample_rate = self._rate_hz
        sound.pts, sound.time_base = self._num_samples, Fraction(1, self._rate_hz)
        self._num_samples += len(samples)
        self._container.mux(self._stream.encode(sound))

    def finish(self) -> None:
        """Write what the encoder still holds. Raises FFmpegError."""
        self._container.mux(self._stream.encode(None))


def _add_stream(
    container: OutputContainer,
    width: int,
    height: int,
    rate: Fraction,
    options: Mapping[str, str],
) -> VideoStream:
    chosen = dict(options)
    if cv2.checkHardwareSupport(_AVX_512F):
        chosen["x264-params"] = _SAME_AGAIN
    stream = container.add_stream("libx264", rate=rate, options=chosen)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.color_range = ColorRange.MPEG
    context.colorspace = _BT709
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
    return stream
