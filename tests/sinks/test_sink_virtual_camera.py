"""The virtual camera, through a backend registered in pyvirtualcam itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvirtualcam
from pyvirtualcam.camera import BACKENDS

from liveedit_cam.errors import SinkError
from liveedit_cam.sinks.virtual_camera import VirtualCamera, install_command, open_error
from liveedit_cam.types import Frame


class FakeBackend:
    """What a driver sees; class fields tell it how to behave."""

    opened: FakeBackend | None = None
    refusal: str | None = None
    device_name = "Fake Camera"

    def __init__(
        self, *, width: int, height: int, fps: float, fourcc: int, device: str | None
    ) -> None:
        if FakeBackend.refusal is not None:
            raise RuntimeError(FakeBackend.refusal)
        self.size, self.fps = (width, height), fps
        self.sent: list[np.ndarray] = []
        self.num_closed = 0
        self._device = device or FakeBackend.device_name
        self.is_broken = False
        FakeBackend.opened = self

    def device(self) -> str:
        return self._device

    def native_fourcc(self) -> None:
        return None

    def send(self, frame: np.ndarray) -> None:
        if self.is_broken:
            raise RuntimeError("device lost")
        self.sent.append(frame.copy())

    def close(self) -> None:
        self.num_closed += 1


@pytest.fixture(autouse=True)
def fake_backend() -> Iterator[None]:
    pyvirtualcam.register_backend("fake", FakeBackend)
    yield
    del BACKENDS["fake"]
    FakeBackend.opened, FakeBackend.refusal = None, None


def frame(red: int = 200) -> Frame:
    pixels = np.zeros((36, 64, 3), np.uint8)
    pixels[..., 0] = red
    return Frame(pixels=pixels, index=0, captured_at=0.0)


def open_fake(target: str = "") -> tuple[VirtualCamera, FakeBackend]:
    camera = VirtualCamera(target, 64, 36, 30.0, backend="fake")
    assert FakeBackend.opened is not None
    return camera, FakeBackend.opened


def test_frames_reach_the_device_as_rgb_unpaced() -> None:
    """Catches a colour swap, and the library's own pacing: 100 frames pass without a wait."""
    camera, backend = open_fake()
    for _ in range(100):
        camera.write(frame())
    assert len(backend.sent) == 100
    assert tuple(backend.sent[0].reshape(36, 64, 3)[0, 0]) == (200, 0, 0)
    assert (backend.size, backend.fps) == ((64, 36), 30.0)
    assert "Fake Camera" in camera.name
    camera.close()


def test_the_device_asked_for_is_the_one_opened() -> None:
    """Catches a target that is dropped, so that the first free device is taken instead."""
    camera, backend = open_fake("Second Camera")
    assert backend.device() == "Second Camera"
    camera.close()


def test_a_failing_device_is_a_sink_error() -> None:
    """Catches a foreign exception that would end the present loop."""
    camera, backend = open_fake()
    backend.is_broken = True
    with pytest.raises(SinkError, match="device lost"):
        camera.write(frame())
    camera.close()


def test_close_frees_the_device_once() -> None:
    """Catches a device given back twice, and writes after that."""
    camera, backend = open_fake()
    camera.close()
    camera.close()
    assert backend.num_closed == 1
    with pytest.raises(SinkError, match="closed"):
        camera.write(frame())


def test_sizes_are_checked_on_opening_and_writing() -> None:
    """Catches odd sizes, which become a garbled picture in halved colour, and a changed size."""
    with pytest.raises(SinkError, match="even width"):
        VirtualCamera("", 63, 36, 30.0, backend="fake")
    camera, _ = open_fake()
    with pytest.raises(SinkError, match="expected"):
        camera.write(Frame(pixels=np.zeros((32, 64, 3), np.uint8), index=0, captured_at=0.0))
    camera.close()


def test_a_vanished_node_is_noticed_within_a_second_of_frames(tmp_path: Path) -> None:
    """Catches a dead device that looks well: on Linux the library only prints failing writes."""
    node = tmp_path / "video9"
    node.touch()
    camera, backend = open_fake(str(node))
    camera.write(frame())
    node.unlink()
    with pytest.raises(SinkError, match="has disappeared"):  # noqa: PT012 - which write is free
        for _ in range(30):
            camera.write(frame())
    assert len(backend.sent) <= 30
    camera.close()


def test_a_refusal_on_opening_is_translated() -> None:
    """Catches the library's RuntimeError in front of a user."""
    FakeBackend.refusal = "due to missing permissions"
    with pytest.raises(SinkError) as caught:
        VirtualCamera("", 64, 36, 30.0, backend="fake")
    assert caught.value.hint
    assert isinstance(caught.value.__cause__, RuntimeError)


LINUX = "'v4l2loopback' backend: "
NONE_FOUND = LINUX + "No v4l2 loopback device found at /dev/video[0-99]. Did you run 'modprobe'?"


@pytest.mark.parametrize(
    ("target", "reason", "system", "loaded", "said"),
    [
        ("", NONE_FOUND, "linux", False, "modprobe v4l2loopback exclusive_caps=1"),
        ("", NONE_FOUND, "linux", True, "has a writer already.*v4l2loopback-ctl"),
        ("/dev/video4", LINUX + "Device /dev/video4 does not exist.", "linux", True, "no device"),
        ("/dev/video4", LINUX + "... due to missing permissions.", "linux", True, "group 'video'"),
        ("", "'obs' backend: virtual camera output could not be started", "win32", False, "Stop"),
        ("", "'obs' backend: not registered", "win32", False, "Install OBS Studio"),
        ("", "'obs' backend: not installed", "darwin", False, "System Settings"),
    ],
)
def test_each_system_is_told_what_to_do(
    target: str, reason: str, system: str, loaded: bool, said: str
) -> None:
    """Catches Linux commands for Windows users, and one message for four causes."""
    error = open_error(target, reason, system, loaded)
    assert error.hint
    with pytest.raises(SinkError, match=said):
        raise error


@pytest.mark.parametrize(
    ("os_release", "command"),
    [
        ('ID=ubuntu\nID_LIKE="debian"\n', "apt install v4l2loopback-dkms"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "apt install v4l2loopback-dkms"),
        ("ID=fedora\n", "akmod-v4l2loopback"),
        ('NAME="Endeavour"\nID=endeavouros\nID_LIKE=arch\n', "pacman -S v4l2loopback-dkms"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "zypper"),
        ("", "of your distribution"),
    ],
)
def test_the_command_fits_the_distribution(os_release: str, command: str) -> None:
    """Catches apt on Fedora, and quotes of the file left in a name."""
    assert command in install_command(os_release)


def test_only_this_file_imports_pyvirtualcam() -> None:
    """Catches the GPL library spreading into a second module."""
    package = Path(__file__).parents[2] / "liveedit_cam"
    users = [
        path.name for path in package.rglob("*.py") if "import pyvirtualcam" in path.read_text()
    ]
    assert users == ["virtual_camera.py"]
