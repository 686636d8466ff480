"""The questions to Linux, answered by bytes as the kernel lays them out."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from liveedit_cam.sources import _v4l2

CAPTURE, OUTPUT, META, HAS_DEVICE_CAPS = 0x1, 0x2, 0x00800000, 0x80000000
MJPG, YUYV = 0x47504A4D, 0x56595559


class FakeDriver:
    """Answers the questions from lists, offsets as in videodev2.h."""

    def __init__(
        self,
        *,
        driver: bytes = b"uvcvideo",
        caps: int = CAPTURE,
        device_caps: int = CAPTURE,
        sizes: dict[int, Sequence[bytes]] | None = None,
        intervals: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._intervals = intervals
        self._driver = driver
        self._caps, self._device_caps = caps, device_caps
        self._sizes = sizes or {}

    def __call__(self, request: int, buffer: bytearray) -> bool:
        if request == _v4l2.QUERYCAP:
            assert len(buffer) == 104
            buffer[0 : len(self._driver)] = self._driver
            buffer[16:25] = b"HD Webcam"
            buffer[84:92] = struct.pack("=II", self._caps, self._device_caps)
            return True
        index, second = struct.unpack("=II", buffer[:8])
        if request == _v4l2.ENUM_FMT:
            assert len(buffer) == 64
            formats = list(self._sizes) if second == 1 else []
            if index >= len(formats):
                return False
            buffer[44:48] = struct.pack("=I", formats[index])
            return True
        if request == _v4l2.ENUM_FRAMEINTERVALS:
            assert len(buffer) == 52
            if index >= len(self._intervals):
                return False
            buffer[16:28] = struct.pack("=III", 1, *self._intervals[index])
            return True
        assert request == _v4l2.ENUM_FRAMESIZES
        assert len(buffer) == 44
        if index >= len(self._sizes[second]):
            return False
        answer = self._sizes[second][index]
        buffer[8 : 8 + len(answer)] = answer
        return True


def discrete(width: int, height: int) -> bytes:
    return struct.pack("=III", 1, width, height)


def test_sizes_of_all_formats_are_joined_largest_first() -> None:
    """Catches wrong offsets and sizes that appear once for every format."""
    driver = FakeDriver(
        sizes={
            YUYV: [discrete(640, 480)],
            MJPG: [discrete(640, 480), discrete(1920, 1080), discrete(1280, 720)],
        }
    )
    node = _v4l2.query(driver)
    assert node.name == "HD Webcam"
    assert node.sizes == ((1920, 1080), (1280, 720), (640, 480))
    assert node.formats == ("YUYV", "MJPG")
    assert node.is_capture
    assert not node.is_virtual


def test_the_rate_of_each_format_is_that_of_the_nearest_size() -> None:
    """Catches seconds per frame taken for frames per second, and the rate of another size."""
    driver = FakeDriver(
        sizes={YUYV: [discrete(640, 480)], MJPG: [discrete(1920, 1080), discrete(1280, 720)]},
        intervals=[(1, 15), (1, 30), (2, 15)],
    )
    assert _v4l2.rates(driver, 1280, 720) == (
        _v4l2.Rate("YUYV", 640, 480, 30.0),
        _v4l2.Rate("MJPG", 1280, 720, 30.0),
    )


def test_a_big_endian_format_has_a_name() -> None:
    """Catches a highest bit that is printed as a letter nobody can read."""
    y16 = int.from_bytes(b"Y16 ", "little")
    driver = FakeDriver(sizes={y16: [discrete(640, 480)], y16 | 1 << 31: [discrete(640, 480)]})
    assert _v4l2.query(driver).formats == ("Y16", "Y16-BE")


def test_a_range_of_sizes_gives_its_largest() -> None:
    """Catches the six numbers of a stepwise range read as two."""
    stepwise = struct.pack("=I6I", 3, 48, 3840, 8, 32, 2160, 4)
    assert _v4l2.query(FakeDriver(sizes={YUYV: [stepwise]})).sizes == ((3840, 2160),)


def test_a_metadata_node_is_no_camera() -> None:
    """Catches the second node of every UVC camera: the device as a whole can capture, it cannot."""
    node = _v4l2.query(FakeDriver(caps=CAPTURE | HAS_DEVICE_CAPS, device_caps=META))
    assert not node.is_capture
    assert node.sizes == ()


def test_an_output_node_is_no_camera() -> None:
    """Catches an idle virtual camera taken for a lens."""
    assert not _v4l2.query(FakeDriver(caps=OUTPUT)).is_capture


def test_a_loopback_is_marked() -> None:
    """Catches our own output chosen as a source, which would edit itself."""
    assert _v4l2.query(FakeDriver(driver=b"v4l2 loopback")).is_virtual


def test_a_driver_whose_list_never_ends_is_left() -> None:
    """Catches an endless loop over a broken driver."""

    def endless(request: int, buffer: bytearray) -> bool:
        if request == _v4l2.QUERYCAP:
            buffer[84:88] = struct.pack("=I", CAPTURE)
        elif request == _v4l2.ENUM_FRAMESIZES:
            buffer[8:20] = discrete(640, 480)
        return True

    assert _v4l2.query(endless).sizes == ((640, 480),)


def test_paths_come_by_number(tmp_path: Path) -> None:
    """Catches video10 before video2, and nodes of other kinds in the list."""
    for node, name in (("video10", "B\n"), ("video2", "A\n"), ("v4l-subdev0", "C\n")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "name").write_text(name)
    (tmp_path / "video3").mkdir()
    paths = _v4l2.device_paths(tmp_path)
    assert paths == ("/dev/video2", "/dev/video3", "/dev/video10")
    assert [_v4l2.device_name(path, tmp_path) for path in paths] == ["A", "", "B"]


def test_a_file_that_is_no_device_is_an_os_error(tmp_path: Path) -> None:
    """Catches a crash of the list; the real ioctl is asked here."""
    plain = tmp_path / "video0"
    plain.touch()
    with pytest.raises(OSError, match="not a video device"):
        _v4l2.query_path(str(plain))
