"""The virtual camera of Linux against a driver with the gaps of 0.12, and what users are told."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

if sys.platform != "linux":
    pytest.skip("v4l2loopback is for Linux", allow_module_level=True)

from fake_loopback import FakeDriver, hold, tree

from liveedit_cam.errors import SinkError
from liveedit_cam.sinks import _v4l2loopback as v4l2
from liveedit_cam.sinks._loopback_output import LoopbackOutput, check
from liveedit_cam.sinks._v4l2loopback import LoopbackWriter, to_i420
from liveedit_cam.sinks.virtual_camera import VirtualCamera

PATH = "/dev/video9"


def picture(grey: int = 0) -> NDArray[np.uint8]:
    return np.full((36, 64, 3), grey, np.uint8)


class Pause:
    """Stands in for sleeping; lets ``driver`` get pictures meanwhile where another one writes."""

    def __init__(self, driver: FakeDriver | None = None) -> None:
        self._driver = driver

    def __call__(self, seconds: float) -> None:
        if self._driver is not None:
            self._driver.pictures.append(b"\x10")


def writer(driver: FakeDriver, width: int = 64, pause: Pause | None = None) -> LoopbackWriter:
    return LoopbackWriter(PATH, width, 36, 15.0, open_device=driver.open, pause=pause or Pause())


def test_size_rate_and_colours_are_declared() -> None:
    """Catches readers that guess: the driver alone says 30 a second, and no matrix."""
    driver = FakeDriver()
    writer(driver)
    _, width, height, code, _, line, size, space, mark, _, matrix, levels, _ = driver.format
    assert (width, height, code.to_bytes(4, "little")) == (64, 36, b"YU12")
    assert (line, size) == (64, 64 * 36 * 3 // 2)
    assert driver.rate == (1, 15)
    assert (space, mark, matrix, levels) == (8, 0xFEEDCAFE, 1, 2)  # sRGB, BT.601, limited range


@pytest.mark.parametrize(("fps", "rate"), [(30.0, (1, 30)), (30000 / 1001, (1001, 30000))])
def test_the_rate_is_exact(fps: float, rate: tuple[int, int]) -> None:
    """Catches 29.97 declared as 29 or 30, by which recordings drift from the sound."""
    driver = FakeDriver()
    LoopbackWriter(PATH, 64, 36, fps, open_device=driver.open, pause=Pause())
    assert driver.rate == rate


def test_pictures_arrive_in_the_matrix_that_was_declared() -> None:
    """Catches swapped planes and another matrix; 2 is what rounding to 8 bit YUV costs."""
    driver = FakeDriver()
    colour = (200, 40, 90)
    writer(driver).write(np.full((36, 64, 3), colour, np.uint8))
    yuv = np.frombuffer(driver.pictures[0], np.uint8).reshape(54, 64)
    seen = cv2.cvtColor(yuv, cv2.COLOR_YUV2RGB_I420)
    assert int(np.abs(seen.astype(int) - colour).max()) <= 2


def test_chroma_is_the_mean_of_four_pixels() -> None:
    """Catches OpenCV's own, which takes one pixel of four: edges of colour would crawl."""
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[0, 0] = (200, 0, 0)
    mean = np.full((2, 2, 3), (50, 0, 0), np.uint8)
    assert (to_i420(pixels)[2:] == to_i420(mean)[2:]).all()


def test_closing_makes_the_device_writable_again() -> None:
    """Catches a stream that is not started: the driver then forgets that it had a writer."""
    driver = FakeDriver()
    for _ in range(2):
        camera = writer(driver)
        camera.write(picture())
        camera.close()
        camera.close()
        assert driver.is_writable
    assert driver.openers == []


def test_a_device_left_mute_is_repaired() -> None:
    """Catches the lost repair: after a writer that only writes, nothing is announced."""
    driver = FakeDriver()
    driver.is_writable = False
    writer(driver).write(picture(7))
    assert len(driver.pictures) == 1


def test_another_writer_is_noticed() -> None:
    """Catches two writers whose pictures alternate, and a device left open by the refusal."""
    driver = FakeDriver()
    other = driver.open(PATH)
    other.write(b"\x10")
    with pytest.raises(v4l2.WriterBusyError):
        writer(driver, pause=Pause(driver))
    assert driver.openers == [other]


def test_a_second_run_of_ours_is_noticed_while_it_is_quiet() -> None:
    """Catches a run that is robbed because it has not written for half a second."""
    driver = FakeDriver()
    first = writer(driver)
    with pytest.raises(v4l2.WriterBusyError):
        writer(driver)
    first.close()
    writer(driver).write(picture())


def test_a_reader_that_stays_is_no_writer() -> None:
    """Catches a restart that fails as long as a call program shows the camera."""
    driver = FakeDriver()
    first = writer(driver)
    first.write(picture())
    driver.open(PATH)
    first.close()
    writer(driver).write(picture())
    with pytest.raises(v4l2.WriterBusyError):
        writer(driver)


def test_a_size_that_is_locked_is_noticed() -> None:
    """Catches a garbled picture: the driver answers a size it cannot give with the one it has."""
    driver = FakeDriver()
    first = writer(driver)
    first.write(picture())
    reader = driver.open(PATH)
    first.close()
    with pytest.raises(v4l2.FormatLockedError, match="64x36 YU12"):
        writer(driver, width=128)
    assert driver.openers == [reader]


def test_a_camera_is_not_written_to() -> None:
    """Catches a webcam taken for a virtual camera."""
    with pytest.raises(v4l2.NotLoopbackError, match="uvcvideo"):
        writer(FakeDriver(driver="uvcvideo"))


def test_a_picture_taken_in_part_is_an_error() -> None:
    """Catches a picture cut short, which the driver reports by a number only."""
    driver = FakeDriver()
    camera = writer(driver)
    driver.num_bytes_taken = 100
    with pytest.raises(OSError, match="100 of 3456 bytes"):
        camera.write(picture())


def output(root: Path, driver: FakeDriver, target: str = "", width: int = 64) -> LoopbackOutput:
    return LoopbackOutput(
        target, width, 36, 15.0, root=root, open_device=driver.open, pause=Pause()
    )


def test_a_picture_goes_to_the_device_of_that_label(tmp_path: Path) -> None:
    """Catches a title without label and path, by which a user finds it in a call program."""
    driver = FakeDriver()
    camera = output(tree(tmp_path), driver, "LiveEdit")
    camera.write(picture(9))
    assert camera.title == "LiveEdit on /dev/video9"
    assert len(driver.pictures) == 1
    camera.close()


def test_a_busy_device_names_the_program(tmp_path: Path) -> None:
    """Catches "resource busy" without the program to stop."""
    driver = FakeDriver()
    writer(driver)
    hold(tree(tmp_path), 77, "obs", "/dev/video9")
    with pytest.raises(SinkError, match=r"/dev/video9 already; it is held by obs \(77\)"):
        output(tmp_path, driver, "LiveEdit")


def test_a_locked_size_names_both_sizes_and_the_reader(tmp_path: Path) -> None:
    """Catches a message without the size at which it would work."""
    driver = FakeDriver()
    first = writer(driver)
    first.write(picture())
    driver.open(PATH)
    first.close()
    hold(tree(tmp_path), 78, "zoom", "/dev/video9")
    with pytest.raises(SinkError, match=r"at 64x36 YU12.*expected 128x36.*zoom \(78\).*--width"):
        output(tmp_path, driver, "LiveEdit", width=128)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, r"This user may not write.*sudo usermod -aG \w+ "),
        (errno.ENOENT, r"no device /dev/video9; there are: Dummy.*LiveEdit \(/dev/video9\)"),
        (errno.ENODEV, r"has disappeared.*modprobe v4l2loopback"),
        (errno.EBUSY, r"already; it is held by a program of another user"),
        (errno.ENOTTY, r"is no virtual camera"),
        (errno.EIO, r"failed: Input/output error.*dmesg"),
    ],
)
def test_a_refused_device_says_what_to_do(tmp_path: Path, number: int, said: str) -> None:
    """Catches OSError in front of a user, and one advice for six causes."""
    driver = FakeDriver()
    driver.refusal = OSError(number, "Input/output error")
    with pytest.raises(SinkError, match=said) as caught:
        output(tree(tmp_path), driver, "LiveEdit")
    assert caught.value.__cause__ is driver.refusal


def test_a_write_that_fails_is_a_sink_error(tmp_path: Path) -> None:
    """Catches a dead device that looks well, as it does where errors are only printed."""
    driver = FakeDriver()
    camera = output(tree(tmp_path), driver, "LiveEdit")
    driver.refusal = OSError(errno.ENODEV, "No such device")
    with pytest.raises(SinkError, match="has disappeared"):
        camera.write(picture())


def test_a_computer_without_a_device_says_so(tmp_path: Path) -> None:
    """Catches a search that goes on to open nodes where the driver has none."""
    driver = FakeDriver()
    with pytest.raises(SinkError, match="not loaded"):
        output(tree(tmp_path, ()), driver, "LiveEdit")
    assert driver.num_opened == 0


def test_odd_sizes_are_refused_before_anything_is_opened() -> None:
    """Catches a garbled picture: colour has half the size."""
    with pytest.raises(SinkError, match="even width"):
        VirtualCamera("", 63, 36, 30.0)


def test_only_one_file_imports_pyvirtualcam() -> None:
    """Catches the GPL library spreading into a second module."""
    package = Path(__file__).parents[2] / "liveedit_cam"
    users = [
        path.name for path in package.rglob("*.py") if "import pyvirtualcam" in path.read_text()
    ]
    assert users == ["virtual_camera.py"]


def test_a_flipped_picture_is_read_as_it_is_seen() -> None:
    """Catches a picture read as it lies in memory: a flipped one is not contiguous."""
    pixels = np.arange(64 * 36 * 3, dtype=np.uint32).astype(np.uint8).reshape(36, 64, 3)
    flipped = pixels[:, ::-1]
    assert (to_i420(flipped) == to_i420(np.ascontiguousarray(flipped))).all()


def test_looking_for_a_virtual_camera_starts_no_stream(tmp_path: Path) -> None:
    """Catches a list of devices that writes into a camera, which programs then show (issue 17)."""
    driver = FakeDriver()
    check(tree(tmp_path), driver.open)
    assert driver.num_opened == 1
    assert (driver.format, driver.pictures, driver.is_readable) == ((), [], False)
    driver.refusal = PermissionError(errno.EACCES, "denied")
    with pytest.raises(SinkError, match="may not write"):
        check(tree(tmp_path / "other"), driver.open)
    with pytest.raises(SinkError, match="makes virtual cameras"):
        check(tmp_path / "nothing", driver.open)
