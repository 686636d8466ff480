"""Makes the odd video files that people have: other colours, damage, cover art, odd sound."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

RATE = 25
EXACT = 2 | 0x40000 | 0x2000
"""libswscale's flags BILINEAR, ACCURATE_RND and FULL_CHR_H_INT: conversions that do not darken."""
COLOURS = ((60, 200, 60), (200, 29, 30), (20, 40, 220), (128, 128, 128), (240, 240, 240))
"""RGB of the bars, left to right."""


def bars(
    width: int = 160, height: int = 64, colours: Sequence[Sequence[int]] = COLOURS
) -> np.ndarray:
    """One plain bar for each colour; RGB uint8 (H, W, 3)."""
    pixels = np.empty((height, width, 3), np.uint8)
    edges = np.linspace(0, width, len(colours) + 1).astype(int)
    for left, right, colour in zip(edges, edges[1:], colours, strict=False):
        pixels[:, left:right] = colour
    return pixels


def bar_colours(pixels: np.ndarray, num_bars: int = len(COLOURS)) -> np.ndarray:
    """The colour in the middle of each bar of ``pixels``; int (num_bars, 3)."""
    height, width = pixels.shape[:2]
    middles = [(2 * bar + 1) * width // (2 * num_bars) for bar in range(num_bars)]
    return pixels[height // 2, middles].astype(int)


def write_bars(
    path: Path,
    *,
    size: tuple[int, int] = (160, 64),
    matrix: Colorspace = Colorspace.ITU709,
    is_tagged: bool = True,
    is_full_range: bool = False,
    pixel_ratio: Fraction | None = None,
    num_frames: int = 5,
    title: str = "",
) -> Path:
    """Bars under a strip of noise, in a matrix and range, tagged with them or not.

    ``size`` = (width, height). The noise makes packets of some size, as a camera does.
    """
    width, height = size
    color_range = ColorRange.JPEG if is_full_range else ColorRange.MPEG
    with av.open(f"file:{path}", "w") as out:
        out.metadata["title"] = title
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        if is_tagged:
            context.colorspace, context.color_range = int(matrix), color_range
        if pixel_ratio is not None:
            context.sample_aspect_ratio = pixel_ratio
        noise = np.random.default_rng(0)
        for number in range(num_frames):
            pixels = bars(width, height)
            pixels[: height // 4] = noise.integers(0, 256, (height // 4, width, 3))
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=matrix,
                dst_color_range=color_range,
                interpolation=EXACT,
            )
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def write_hdr(path: Path, signals: Sequence[float], transfer: int, num_frames: int = 5) -> Path:
    """Grey bars of these PQ or HLG ``signals`` (0..1), 10 bit, BT.2020, tagged."""
    width, height = 32 * len(signals), 64
    rgb = bars(width, height, [(round(255 * s),) * 3 for s in signals])[..., 0]
    lookup = np.zeros(256, np.uint16)
    for signal in signals:
        lookup[round(255 * signal)] = round(64 + 876 * signal)
    with av.open(f"file:{path}", "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = 9, ColorRange.MPEG
        context.color_primaries, context.color_trc = 9, transfer
        for number in range(num_frames):
            picture = av.VideoFrame(width, height, "yuv420p10le")
            planes = (lookup[rgb], *(np.full((height // 2, width // 2), 512, np.uint16),) * 2)
            for plane, values in zip(picture.planes, planes, strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
                rows[:, : values.shape[1]] = values
                plane.update(rows.tobytes())
            picture.pts, picture.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path


def with_bad_packet(source: Path, path: Path, number: int) -> Path:
    """Copy ``source`` with the picture packet of that number, from 0, overwritten by noise."""
    noise = np.random.default_rng(0)
    with av.open(f"file:{source}") as before, av.open(f"file:{path}", "w") as out:
        stream = before.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for at, packet in enumerate(before.demux(stream)):
            if packet.dts is None:
                continue
            if at == number:
                bad = av.Packet(noise.bytes(packet.size))
                bad.pts, bad.dts, bad.time_base = packet.pts, packet.dts, packet.time_base
                packet = bad
            packet.stream = copy
            out.mux(packet)
    return path


def cut_short(source: Path, path: Path, share: float) -> Path:
    """The first ``share`` (0..1) of a file's bytes, as a crash leaves it."""
    data = source.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path


def write_with_index_first(source: Path, path: Path) -> Path:
    """Copy the picture of ``source`` with its index at the front, as cameras and the web do."""
    with (
        av.open(f"file:{source}") as before,
        av.open(f"file:{path}", "w", options={"movflags": "faststart"}) as out,
    ):
        stream = before.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in before.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return path


def write_with_cover(source: Path, path: Path, size: tuple[int, int] = (300, 300)) -> Path:
    """Copy the picture of ``source`` after a still cover, which is the first picture stream."""
    width, height = size
    with av.open(f"file:{source}") as before, av.open(f"file:{path}", "w") as out:
        cover = out.add_stream("mjpeg", rate=RATE)
        cover.width, cover.height, cover.pix_fmt = width, height, "yuvj420p"
        cover.disposition = type(cover.disposition).attached_pic.value  # PyAV 17 takes no flag
        stream = before.streams.video[0]
        copy = out.add_stream_from_template(stream)
        still = av.VideoFrame.from_ndarray(bars(width, height), format="rgb24")
        out.mux(cover.encode(still.reformat(format="yuvj420p")))
        out.mux(cover.encode(None))
        for packet in before.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    return path


def write_with_sound(source: Path, path: Path, codec: str, rate: int, layout: str = "mono") -> Path:
    """Copy the picture of ``source`` beside a tone of 440 Hz, as long, in ``codec``."""
    with av.open(f"file:{source}") as before, av.open(f"file:{path}", "w") as out:
        stream = before.streams.video[0]
        copy = out.add_stream_from_template(stream)
        track = out.add_stream(codec, rate=rate, layout=layout)
        seconds = np.arange(round(rate * (before.duration or 0) / av.time_base)) / rate
        tone = (8000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)[None]
        sound = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = rate, 0, Fraction(1, rate)
        resampler = av.AudioResampler(
            track.codec_context.format, layout, rate, frame_size=track.codec_context.frame_size
        )
        for packet in before.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
        for piece in [*resampler.resample(sound), *resampler.resample(None)]:
            out.mux(track.encode(piece))
        out.mux(track.encode(None))
    return path
