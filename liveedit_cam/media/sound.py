"""The sound of a file on its way into an MP4: copied where it can be, else made AAC.

Both keep their times, less where the file begins. Knows nothing of the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream

from liveedit_cam.media.reading import Damage, decoded

_COPIED = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}
"""What MP4 holds and players play there; PCM is in the standard, and hardly anybody plays it."""
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)


class Sound(Protocol):
    """Takes each packet of the source's sound; what it gives is muxed as it is."""

    note: str | None
    """What the user should know; None = it is the very same sound."""

    def take(self, packet: Packet[Stream]) -> Iterable[Packet[Stream]]:
        """Packets for the output; the source's empty last one brings the rest."""


def sound_for(
    out: OutputContainer, source: AudioStream, start_s: Fraction, damage: Damage
) -> Sound:
    """Add a track to ``out`` for ``source``, whose file begins at ``start_s`` seconds.

    Raises FFmpegError.
    """
    if source.codec_context.name in _COPIED:
        return _Copied(out, source, start_s)
    return _Transcoded(out, source, start_s, damage)


class _Copied:
    def __init__(self, out: OutputContainer, source: AudioStream, start_s: Fraction) -> None:
        self._track = out.add_stream_from_template(source)
        self._start_s = start_s
        self._last_dts: int | None = None
        self.note: str | None = None

    def take(self, packet: Packet[Stream]) -> Iterable[Packet[Stream]]:
        if packet.dts is None:
            return ()
        begin = round(self._start_s / packet.time_base) if packet.time_base else 0
        dts = packet.dts - begin
        if self._last_dts is not None and dts <= self._last_dts:
            return ()  # damage: MP4 takes no packet twice, nor one from before
        self._last_dts = packet.dts = dts
        packet.pts = None if packet.pts is None else packet.pts - begin
        packet.stream = self._track
        return (packet,)


class _Transcoded:
    def __init__(
        self, out: OutputContainer, source: AudioStream, start_s: Fraction, damage: Damage
    ) -> None:
        context = source.codec_context
        rate = context.sample_rate if context.sample_rate in AAC_RATES else 48_000
        layout = "mono" if context.channels == 1 else "stereo"
        self._track = out.add_stream("aac", rate=rate, layout=layout)
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        self._start_s = start_s
        self._damage = damage
        self.note: str | None = f"the sound, {context.name}, was converted to AAC for MP4"

    def take(self, packet: Packet[Stream]) -> Iterable[Packet[Stream]]:
        made: list[Packet[Stream]] = []
        for frame in decoded(packet, av.AudioFrame, self._damage):
            if frame.pts is not None and frame.time_base:
                frame.pts -= round(self._start_s / frame.time_base)
            made += self._encoded(frame)
        if packet.size == 0:  # the last one of the stream
            made += self._encoded(None)
            made += self._track.encode(None)
        return made

    def _encoded(self, frame: av.AudioFrame | None) -> list[Packet[Stream]]:
        try:
            resampled = self._resampler.resample(frame)
        except (FFmpegError, ValueError):  # a frame of another form in the middle of a stream
            self._damage.num_packets += 1
            return []
        return [packet for piece in resampled for packet in self._track.encode(piece)]
