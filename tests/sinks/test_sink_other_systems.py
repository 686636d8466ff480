"""The cameras of Windows and macOS, by pyvirtualcam's contract: back ends registered in it.

What these systems do themselves is not tested here; their words are those of the library 0.15.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
import pyvirtualcam
from pyvirtualcam.camera import BACKENDS

from liveedit_cam.errors import SinkError
from liveedit_cam.sinks._other_systems import Choice, LibraryOutput, check, choose, open_error

OBS, UNITY = "OBS Virtual Camera", "Unity Video Capture"
NOT_INSTALLED = "OBS Virtual Camera device not found! Did you install OBS?"
NO_UNITY = "No camera registered. Did you install any camera?"
NO_SUCH_UNITY = "No camera registered with this name."
HELD = "virtual camera output could not be started"
MAC_MISSING = "OBS Virtual Camera is not installed in your system. [Device not found]"


@dataclass
class Device:
    """One camera of a computer that is made up: its name, and why it refuses."""

    name: str
    refusal: str | None = None
    unknown: str = "This backend supports only the 'OBS Virtual Camera' device."
    is_lost: bool = False
    sent: list[np.ndarray] = field(default_factory=list)
    fourccs: list[int] = field(default_factory=list)
    num_closed: int = 0

    def __call__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None
    ) -> Device:
        """Called by the library as the class of a back end."""
        if device is not None and device != self.name:
            raise ValueError(self.unknown)
        if self.refusal is not None:
            raise RuntimeError(self.refusal)
        self.fourccs.append(fourcc)
        return self

    def device(self) -> str:
        return self.name

    def native_fourcc(self) -> None:
        return None

    def send(self, frame: np.ndarray) -> None:
        if self.is_lost:
            raise RuntimeError("queue closed")
        self.sent.append(frame.copy())

    def close(self) -> None:
        self.num_closed += 1


class Computer:
    """The back ends that the library would offer there, and no others."""

    def __init__(self) -> None:
        self.obs = Device(OBS)
        self.unity = Device(UNITY, unknown=NO_SUCH_UNITY)

    def offer(self, **devices: Device) -> None:
        BACKENDS.clear()
        for name, device in devices.items():
            pyvirtualcam.register_backend(name, device)

    def open(self, target: str, size: tuple[int, int], system: str) -> LibraryOutput:
        choice = choose(target, BACKENDS)
        return LibraryOutput(pyvirtualcam.Camera, choice, *size, 30.0, system=system)


@pytest.fixture
def computer() -> Iterator[Computer]:
    before = dict(BACKENDS)
    yield Computer()
    BACKENDS.clear()
    BACKENDS.update(before)


def picture(width: int = 1280, height: int = 720) -> np.ndarray:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 200
    return pixels


@pytest.mark.parametrize(
    ("target", "opened"),
    [
        ("", OBS),
        ("obs", OBS),
        ("OBS Virtual Camera", OBS),
        ("unitycapture", UNITY),
        ("UnityCapture", UNITY),
        ("Unity Video Capture", UNITY),
    ],
)
def test_a_camera_is_chosen_by_its_name_or_its_maker(
    computer: Computer, target: str, opened: str
) -> None:
    """Catches a target that is dropped, so that the first camera is taken instead."""
    computer.offer(obs=computer.obs, unitycapture=computer.unity)
    output = computer.open(target, (1280, 720), "win32")
    assert output.title == opened
    output.close()


def test_without_a_name_the_next_camera_is_taken_where_the_first_is_held(
    computer: Computer,
) -> None:
    """Catches a start that fails beside a free camera, because OBS feeds its own."""
    computer.obs.refusal = HELD
    computer.offer(obs=computer.obs, unitycapture=computer.unity)
    output = computer.open("", (1280, 720), "win32")
    assert output.title == UNITY
    output.close()


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_frames_are_sent_as_rgb_and_unpaced(computer: Computer, system: str) -> None:
    """Catches swapped channels, and the library's own pacing: 50 frames pass without a wait."""
    computer.offer(obs=computer.obs)
    output = computer.open("", (1280, 720), system)
    for _ in range(50):
        output.write(picture())
    assert len(computer.obs.sent) == 50
    assert computer.obs.sent[0][:3].tolist() == [200, 0, 0]
    assert computer.obs.fourccs == [int.from_bytes(b"raw ", "little")]
    output.close()
    assert computer.obs.num_closed == 1


def test_a_camera_that_fails_later_is_a_sink_error(computer: Computer) -> None:
    """Catches a foreign exception that names no camera."""
    computer.offer(obs=computer.obs)
    output = computer.open("", (1280, 720), "win32")
    computer.obs.is_lost = True
    with pytest.raises(SinkError, match=r"OBS Virtual Camera does not take .* queue closed"):
        output.write(picture())
    output.close()


@pytest.mark.parametrize("size", [(640, 480), (1280, 718), (854, 480), (1920, 1088)])
def test_a_size_that_macos_would_garble_is_refused(
    computer: Computer, size: tuple[int, int]
) -> None:
    """Catches unfilled pictures: with padded rows the library prints a line and goes on."""
    computer.offer(obs=computer.obs)
    with pytest.raises(SinkError, match=r"1280x720 and 1920x1080.*--width 1280 --height 720"):
        computer.open("", size, "darwin")
    computer.open("", size, "win32").close()


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080)])
def test_the_two_sizes_of_macos_are_taken(computer: Computer, size: tuple[int, int]) -> None:
    """Catches a check that refuses everything."""
    computer.offer(obs=computer.obs)
    computer.open("", size, "darwin").close()


@pytest.mark.parametrize(
    ("obs", "unity", "target", "system", "said"),
    [
        (NOT_INSTALLED, NO_UNITY, "", "win32", "Install OBS Studio 26 or newer, or Unity"),
        (HELD, NO_UNITY, "", "win32", "Stop Virtual Camera in OBS.*install Unity Capture"),
        (None, None, "Zoom", "win32", '"OBS Virtual Camera" or "Unity Video Capture"'),
        (MAC_MISSING, None, "", "darwin", "OBS Studio 30.*System Settings"),
        ("Couldn't start stream", None, "", "darwin", "Stop Virtual Camera.*restart the Mac"),
        ("Multiple cameras are not supported", None, "", "darwin", "Stop Virtual Camera"),
        (None, None, "Unity Video Capture", "darwin", 'such as "OBS Virtual Camera". Install'),
    ],
)
def test_each_lack_is_told_with_its_way_out(
    computer: Computer, obs: str | None, unity: str | None, target: str, system: str, said: str
) -> None:
    """Catches one message for all causes, and advice for Windows on a Mac."""
    computer.obs.refusal, computer.unity.refusal = obs, unity
    if system == "darwin":
        computer.offer(obs=computer.obs)
    else:
        computer.offer(obs=computer.obs, unitycapture=computer.unity)
    with pytest.raises(SinkError, match=said) as caught:
        computer.open(target, (1280, 720), system)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert ("Unity" in str(caught.value.hint)) == (system == "win32")


def test_a_backend_that_is_not_there_is_taken_for_a_device() -> None:
    """Catches the library's KeyError: Unity Capture exists on Windows only."""
    assert choose("unitycapture", ["obs"]) == Choice(device="unitycapture", backend=None)


def test_the_reason_stays_on_one_line() -> None:
    """Catches a message over several lines, one for each back end."""
    error = open_error("", "'obs' backend: a\n'unitycapture' backend: b", "win32")
    assert (
        error.message == "Cannot open a virtual camera: 'obs' backend: a 'unitycapture' backend: b"
    )


def test_a_camera_is_looked_for_by_name() -> None:
    """Catches a list of devices that opens OBS's camera, and so shows a picture on it."""
    check(["FaceTime HD Camera", OBS], "darwin")
    check(["unity video capture"], "win32")
    with pytest.raises(SinkError, match="Install OBS Studio 26"):
        check(["HD Webcam"], "win32")
