"""A microphone of this computer, in blocks that know when they were heard. Owns sounddevice.

Knows no recording; what it gives is a ``Microphone`` of the protocols.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from liveedit_cam.errors import DeviceError, MissingDependencyError
from liveedit_cam.types import SoundBlock

MAX_AGE_S = 2.0
"""A block that claims to be older than this comes from a clock that is not kept."""

_log = logging.getLogger(__name__)


def open_microphone(
    wanted: str, *, library: Any = None, now: Callable[[], float] = time.monotonic
) -> InputStream:
    """The first input whose name holds ``wanted``, "" = the system's own choice.

    ``library`` is sounddevice, None = the one installed; ``now`` the clock of the pictures. Raises
    DeviceError, which names those there are; MissingDependencyError.
    """
    library = library or _sounddevice()
    try:
        inputs = [one for one in library.query_devices() if one["max_input_channels"] > 0]
        usual = library.default.device[0]
    except library.PortAudioError as error:
        raise DeviceError(f"The sound devices cannot be listed: {error}.") from error
    if wanted:
        fitting = [one for one in inputs if wanted.lower() in one["name"].lower()]
    else:
        fitting = sorted(inputs, key=lambda one: one["index"] != usual)
    if not fitting:
        names = ", ".join(one["name"] for one in inputs) or "none"
        raise DeviceError(
            f"There is no microphone {wanted!r}; there are: {names}."
            if wanted
            else "There is no microphone.",
            hint="Plug it in, or record without sound.",
        )
    return InputStream(fitting[0], library, now)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise MissingDependencyError(
            "A microphone needs the package sounddevice, which is not installed.",
            hint="Install it: pip install 'liveedit-cam[microphone]'",
        ) from error
    except OSError as error:  # the package is there, the library it calls is not
        raise MissingDependencyError(
            "A microphone needs the library PortAudio, which is not installed.",
            hint="Install it: sudo apt install libportaudio2",
        ) from error
    return sounddevice


class InputStream:
    """One open input of PortAudio."""

    def __init__(self, device: dict[str, Any], library: Any, now: Callable[[], float]) -> None:
        """Open it at its own rate; it is silent until ``begin``. Raises DeviceError."""
        self.name = str(device["name"])
        self.num_channels = min(2, int(device["max_input_channels"]))
        self.rate_hz = round(device["default_samplerate"])
        self._library = library
        self._now = now
        self._take: Callable[[SoundBlock], None] | None = None
        try:
            self._stream = library.InputStream(
                device=device["index"],
                samplerate=self.rate_hz,
                channels=self.num_channels,
                dtype="float32",
                callback=self._heard,
            )
        except library.PortAudioError as error:
            raise self._unusable(error) from error

    def begin(self, take: Callable[[SoundBlock], None]) -> None:
        """Give each block to ``take`` from now on. Raises DeviceError."""
        self._take = take
        try:
            self._stream.start()
        except self._library.PortAudioError as error:
            raise self._unusable(error) from error

    def close(self) -> None:
        """Give nothing more and free it. May be called twice."""
        try:
            self._stream.close()
        except self._library.PortAudioError as error:  # such as one that was pulled out
            _log.debug("the microphone %s did not close: %s", self.name, error)

    def _heard(self, samples: Any, num_samples: int, times: Any, flags: Any) -> None:
        """PortAudio's callback: its own thread, and a buffer that is its own, too."""
        if self._take is None:
            return
        age_s = times.currentTime - times.inputBufferAdcTime
        if not num_samples / self.rate_hz <= age_s <= MAX_AGE_S:  # some systems tell no time
            age_s = num_samples / self.rate_hz
        self._take(SoundBlock(samples.copy(), self._now() - age_s))

    def _unusable(self, error: Exception) -> DeviceError:
        return DeviceError(
            f"The microphone {self.name} cannot be used: {error}.",
            hint="Close the program that uses it, name another one, or record without sound.",
        )
