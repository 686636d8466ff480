"""Microphones by name, from a library of the test in place of sounddevice."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_clock import Clock

from liveedit_cam.errors import DeviceError
from liveedit_cam.microphone import open_microphone
from liveedit_cam.types import SoundBlock


class PortAudioError(Exception):
    """As sounddevice's."""


class Library:
    """Three devices, of which one only plays."""

    PortAudioError = PortAudioError
    default = SimpleNamespace(device=[2, 0])

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.is_busy = False
        self.is_closed = False
        self.has_devices = True

    def query_devices(self) -> list[dict[str, Any]]:
        several = [("Speakers", 0), ("USB Mic", 1), ("Array", 4)]
        return [
            {
                "name": name,
                "index": number,
                "max_input_channels": channels,
                "default_samplerate": 44100.0,
            }
            for number, (name, channels) in enumerate(several)
            if self.has_devices
        ]

    def InputStream(self, **options: Any) -> Library:
        self.opened.append(options)
        return self

    def start(self) -> None:
        if self.is_busy:
            raise PortAudioError("Device unavailable [PaErrorCode -9985]")

    def close(self) -> None:
        self.is_closed = True

    @property
    def callback(self) -> Callable[..., None]:
        found: Callable[..., None] = self.opened[-1]["callback"]
        return found


@pytest.mark.parametrize(("wanted", "index", "channels"), [("", 2, 2), ("usb", 1, 1)])
def test_one_is_found_by_a_part_of_its_name(wanted: str, index: int, channels: int) -> None:
    """Catches speakers taken for a microphone, and four channels in a file of two."""
    library = Library()
    found = open_microphone(wanted, library=library)
    assert (found.num_channels, found.rate_hz) == (channels, 44100)
    assert library.opened[0]["device"] == index
    assert library.opened[0]["channels"] == channels


def test_one_that_is_not_there_is_a_sentence_with_those_that_are() -> None:
    """Issue 20: catches a traceback of a library nobody knows."""
    library = Library()
    with pytest.raises(DeviceError, match="no microphone 'blue'; there are: USB Mic, Array"):
        open_microphone("blue", library=library)
    library.has_devices = False
    with pytest.raises(DeviceError, match=r"There is no microphone\."):
        open_microphone("", library=library)
    library.has_devices, library.is_busy = True, True
    with pytest.raises(DeviceError, match="USB Mic cannot be used: Device unavailable"):
        open_microphone("usb", library=library).begin(lambda block: None)


def test_a_block_knows_when_it_was_heard() -> None:
    """Catches the time of its last sample, and a buffer that the library writes over."""
    library, clock, heard = Library(), Clock(100.0), list[SoundBlock]()
    microphone = open_microphone("usb", library=library, now=clock.now)
    buffer = np.full((441, 1), 0.5, np.float32)
    library.callback(buffer, 441, SimpleNamespace(currentTime=7.0, inputBufferAdcTime=6.97), None)
    assert heard == []  # not begun
    microphone.begin(heard.append)
    for adc_time in (6.97, 0.0):  # some systems tell no time: then it ends now
        times = SimpleNamespace(currentTime=7.0, inputBufferAdcTime=adc_time)
        library.callback(buffer, 441, times, None)
        buffer[:] = 0
    assert [one.captured_at for one in heard] == pytest.approx([99.97, 99.99])
    assert heard[0].samples.max() == 0.5
    microphone.close()
    assert library.is_closed
