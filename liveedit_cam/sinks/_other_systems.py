"""The cameras of Windows and macOS, through pyvirtualcam. Knows that library by its contract only.

It gets RGB and converts by itself: its libyuv takes 0.3 to 0.5 ms for a picture of 1280x720, while
making each camera's native format here takes longer (OpenCV 3.0 ms for the NV12 of OBS on Windows,
2.6 ms for the UYVY of macOS) or saves nothing (0.15 ms for Unity Capture's RGBA, which is then
still copied).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Protocol

from liveedit_cam.errors import SinkError
from liveedit_cam.types import Pixels

MACOS_SIZES = ((1280, 720), (1920, 1080))
"""Where rows are padded the library only prints "Pixel buffer size mismatch" and sends garbage."""

_INSTALL_WINDOWS = "Install OBS Studio 26 or newer, or Unity Capture, and start this program again."
_INSTALL_MACOS = (
    "Install OBS Studio 30 or newer, click Start Virtual Camera in it once, approve its camera "
    "extension in System Settings, click Stop Virtual Camera; sometimes the Mac must be restarted."
)
_HELD_WINDOWS = (
    "Click Stop Virtual Camera in OBS: only one program at a time can feed that camera. Or install "
    "Unity Capture, a second one."
)
_HELD_MACOS = (
    "Click Stop Virtual Camera in OBS, and end other programs that feed its camera; where there is "
    "none, restart the Mac."
)

_HELD = ("could not be started", "Couldn't start stream", "Multiple cameras are not supported")
_NO_SUCH_NAME = ("No camera registered with this name", "supports only the")
"""Words of the library where somebody else feeds the camera, and where no camera has the name."""


_FED = frozenset({"obs virtual camera", "unity video capture"})
"""Names of the cameras that the library writes to, in small letters; one of Unity Capture that was
given another name is not recognised, though it can be named as a sink."""


class LibraryCamera(Protocol):
    """What is used of ``pyvirtualcam.Camera``."""

    @property
    def device(self) -> str:
        """The camera's name, as programs list it."""

    def send(self, frame: Pixels) -> None:
        """Show uint8 (H, W, 3) RGB."""

    def close(self) -> None:
        """Give the camera back."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a target asks of the library; None leaves it to the library."""

    device: str | None
    backend: str | None


class LibraryOutput:
    """One camera of the library. All methods from one thread."""

    def __init__(
        self,
        open_camera: Callable[..., LibraryCamera],
        choice: Choice,
        width: int,
        height: int,
        fps: float,
        *,
        system: str,
    ) -> None:
        """``open_camera`` is ``pyvirtualcam.Camera``; ``system`` as in ``sys.platform``.

        Raises SinkError with what to install or to change on that system.
        """
        if system == "darwin":
            check_macos_size(width, height)
        options: dict[str, Any] = {"device": choice.device, "backend": choice.backend}
        try:
            self._camera = open_camera(width, height, fps, **options)
        except RuntimeError as error:
            asked = choice.device or choice.backend or ""
            raise open_error(asked, str(error), system) from error
        self.title = str(self._camera.device)

    def write(self, pixels: Pixels) -> None:
        """Send uint8 (H, W, 3) RGB, contiguous. Raises SinkError."""
        try:
            self._camera.send(pixels)
        except (RuntimeError, OSError, ValueError) as error:
            raise SinkError(f"{self.title} does not take frames any more: {error}.") from error

    def has_reader(self) -> bool:
        """True: the library does not tell."""
        return True

    def close(self) -> None:
        """Give the camera back."""
        self._camera.close()


def check(names: Collection[str], system: str) -> None:
    """Raise SinkError where none of the cameras ``names`` is one that the library can feed.

    ``system`` as in ``sys.platform``. Opens none: a camera that is opened starts a stream.
    """
    if not any(camera.lower() in _FED for camera in names):
        raise open_error("", "no camera of OBS or Unity Capture is installed.", system)


def choose(target: str, backends: Collection[str]) -> Choice:
    """Read a target: nothing, one of the library's ``backends``, or the name of a device.

    "virtual-camera:obs" and "virtual-camera:unitycapture" are backends, in any case of letters;
    "virtual-camera:Unity Video Capture" is a device.
    """
    if target.lower() in backends:
        return Choice(device=None, backend=target.lower())
    return Choice(device=target or None, backend=None)


def check_macos_size(width: int, height: int) -> None:
    """Raise SinkError for a picture that is not known to reach OBS's camera extension whole."""
    if (width, height) not in MACOS_SIZES:
        raise SinkError(
            f"The virtual camera of macOS shows 1280x720 and 1920x1080, got {width}x{height}.",
            hint="Run with --width 1280 --height 720; another shape of source gets black borders.",
        )


def open_error(target: str, reason: str, system: str) -> SinkError:
    """Turn the library's ``reason`` into what happened and what to do.

    ``target`` is the device or backend asked for, "" for any; ``system`` as in ``sys.platform``.
    The library joins the reasons of all its backends; the one with a way out comes first here.
    """
    message = f"Cannot open {target or 'a virtual camera'}: {' '.join(reason.split())}"
    is_mac = system == "darwin"
    install = _INSTALL_MACOS if is_mac else _INSTALL_WINDOWS
    if any(words in reason for words in _HELD):
        hint = _HELD_MACOS if is_mac else _HELD_WINDOWS
    elif any(words in reason for words in _NO_SUCH_NAME):
        names = '"OBS Virtual Camera"' + ("" if is_mac else ' or "Unity Video Capture"')
        hint = f"Name it as other programs list it, such as {names}. {install}"
    else:
        hint = install
    return SinkError(message, hint=hint)
