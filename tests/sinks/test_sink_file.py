"""The recording, read back with PyAV."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from liveedit_cam.errors import SinkError, SourceEnded, UsageError
from liveedit_cam.protocols import Sink
from liveedit_cam.sinks.file import VideoFile, create
from liveedit_cam.sources import file as file_source
from liveedit_cam.types import Frame

GREEN = (30, 190, 60)


def frame(colour: tuple[int, int, int] = GREEN) -> Frame:
    pixels = np.empty((64, 96, 3), np.uint8)
    pixels[:] = colour
    return Frame(pixels=pixels, index=0, captured_at=0.0)


def record(path: Path, count: int, fps: float) -> None:
    sink = create(str(path), width=96, height=64, fps=fps)
    for _ in range(count):
        sink.write(frame())
    sink.close()


@pytest.mark.parametrize(("fps", "rate"), [(30.0, Fraction(30)), (29.97, Fraction(30000, 1001))])
def test_the_recording_has_every_frame_at_a_constant_rate(
    tmp_path: Path, fps: float, rate: Fraction
) -> None:
    """Catches lost last frames (an encoder not flushed) and times taken from a clock."""
    record(tmp_path / "out.mp4", 7, fps)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        times = [picture.time for picture in container.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
    assert times == pytest.approx([number / float(rate) for number in range(7)], abs=1e-3)


def test_colours_are_bt709_and_tagged_so(tmp_path: Path) -> None:
    """Catches BT.601 numbers under a BT.709 tag, which players show with a green cast.

    BT.709 gives this green a luma of 16 + 219 * (0.2126 * 30 + 0.7152 * 190 + 0.0722 * 60) / 255
    = 142; BT.601 would give 124. The encoder may be off by 3.
    """
    record(tmp_path / "out.mp4", 3, 30)
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        luma = next(container.decode(video=0)).to_ndarray()[32, 48]
    assert tags == (1, 1, 1)
    assert context.color_range == 1
    assert abs(int(luma) - 142) <= 3


def test_our_own_source_reads_the_same_colours(tmp_path: Path) -> None:
    """Catches a source that ignores the tag; 6 levels are what 8-bit YUV and crf 20 cost."""
    record(tmp_path / "out.mp4", 3, 30)
    source = file_source.create(str(tmp_path / "out.mp4"), loop=False, realtime=False)
    pixels = source.read().pixels.astype(int)
    source.close()
    assert np.abs(pixels - GREEN).max() <= 6


def noise(number: int) -> Frame:
    """A picture that no encoder makes small."""
    pixels = np.random.default_rng(number).integers(0, 256, (64, 96, 3), np.uint8)
    return Frame(pixels=pixels, index=number, captured_at=0.0)


def num_frames(path: Path) -> int:
    """As a player counts them: a packet that was cut in two shows nothing."""
    source = file_source.create(str(path), loop=False, realtime=False)
    count = 0
    with suppress(SourceEnded):
        while source.read():
            count += 1
    return count


def write_all(sink: Sink, numbers: Iterator[int]) -> None:
    for number in numbers:
        sink.write(noise(number))


@contextmanager
def full_disk(at_bytes: int) -> Iterator[None]:
    """No file may grow beyond ``at_bytes``; a write that would, fails."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_killed_program_leaves_a_recording_that_plays(tmp_path: Path) -> None:
    """Catches a file without an index until its end: at most the last second is lost.

    Issue 15. 90 frames are three seconds.
    """
    path = tmp_path / "out.mp4"
    program = (
        "import os, signal, numpy as np\n"
        "from liveedit_cam.sinks.file import create\n"
        "from liveedit_cam.types import Frame\n"
        f"sink = create({str(path)!r}, width=96, height=64, fps=30)\n"
        "for n in range(90):\n"
        "    sink.write(Frame(np.full((64, 96, 3), n, np.uint8), n, 0.0))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert 60 <= num_frames(path) < 90


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such rights")
def test_only_the_owner_reads_a_recording(tmp_path: Path) -> None:
    """Catches a camera's picture that every user of the computer may open (issue 15)."""
    record(tmp_path / "out.mp4", 3, 30)
    assert stat.S_IMODE((tmp_path / "out.mp4").stat().st_mode) == 0o600


def test_a_finished_recording_is_an_ordinary_mp4(tmp_path: Path) -> None:
    """Catches fragments left in a whole file, of which many players show no length."""
    record(tmp_path / "out.mp4", 90, 30)
    assert b"moof" not in (tmp_path / "out.mp4").read_bytes()[:1000]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.duration == pytest.approx(3_000_000, abs=40_000)
        assert container.streams.video[0].frames == 90


def test_a_full_disk_keeps_what_was_recorded_and_goes_on_beside_it(tmp_path: Path) -> None:
    """Catches an hour that is deleted at the first failed write, a wrong reason, and a recording
    that stays refused because its own first half is there (issue 15)."""
    path = tmp_path / "out.mp4"
    (tmp_path / "out-2.mp4").write_text("precious")
    sink = create(str(path), width=96, height=64, fps=30)
    written = iter(range(1000))
    with (
        full_disk(at_bytes=400_000),
        pytest.raises(SinkError, match=r"out\.mp4 cannot be written: File too large\. What there"),
    ):
        write_all(sink, written)
    sink.close()
    assert 0 < next(written) - num_frames(path) <= 45  # a fragment, and what the encoder held
    before = path.read_bytes()
    again = create(str(path), width=96, height=64, fps=30)
    again.write(frame())
    again.close()
    assert again.name.startswith("file:out-3.mp4")
    assert num_frames(tmp_path / "out-3.mp4") == 1
    assert path.read_bytes() == before
    assert (tmp_path / "out-2.mp4").read_text() == "precious"
    with pytest.raises(SinkError, match="never overwritten"):  # that recording ended well
        create(str(path), width=96, height=64, fps=30)


def test_a_disk_without_room_is_told_before_the_camera_starts(tmp_path: Path) -> None:
    """Catches a recording that fails a second after it began, and an empty file that stays."""
    with pytest.raises(SinkError, match=r"is full: less than 64 MB are free"):
        VideoFile(tmp_path / "out.mp4", 96, 64, 30.0, free_bytes=lambda folder: 1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no folder that nobody can write")
def test_a_folder_that_cannot_be_written_is_refused_at_once() -> None:
    """Catches a camera that runs for ever and names a file that does not exist (issue 15)."""
    with pytest.raises(SinkError, match=r"/proc/out\.mp4 cannot be started: "):
        create("/proc/out.mp4", width=96, height=64, fps=30)


def test_a_name_with_a_colon_is_a_name(tmp_path: Path) -> None:
    """Catches a name taken for a protocol: "Protocol not found" (issue 15)."""
    path = tmp_path / "tcp:show 20:15.mp4"
    record(path, 3, 30)
    assert num_frames(path) == 3


def test_a_recording_without_frames_leaves_nothing(tmp_path: Path) -> None:
    """Catches an unreadable stub of a file."""
    create(str(tmp_path / "out.mp4"), width=96, height=64, fps=30).close()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_recorded_is_refused_at_once(tmp_path: Path) -> None:
    """Catches an hour of recording that fails at its end, and an overwritten file."""
    (tmp_path / "there.mp4").write_text("precious")
    with pytest.raises(SinkError, match="never overwritten"):
        create(str(tmp_path / "there.mp4"), width=96, height=64, fps=30)
    with pytest.raises(SinkError, match=r"even width and height, got 95x64.*94x64"):
        create(str(tmp_path / "out.mp4"), width=95, height=64, fps=30)
    with pytest.raises(SinkError, match="no folder"):
        create(str(tmp_path / "nowhere" / "out.mp4"), width=96, height=64, fps=30)
    for target in ("", "out", "out.avi"):
        with pytest.raises(UsageError, match=r"ends in \.mp4"):
            create(target, width=96, height=64, fps=30)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.mp4"]


@pytest.mark.parametrize(("rate_hz", "kept_hz"), [(44_100, 44_100), (192_000, 48_000)])
def test_sound_is_as_long_as_it_was_given(tmp_path: Path, rate_hz: int, kept_hz: int) -> None:
    """Catches a rate that AAC does not have, and the last samples left in the encoder."""
    sink = VideoFile(tmp_path / "out.mp4", 96, 64, 30.0)
    sink.begin_sound(rate_hz, 2)
    for _ in range(30):
        sink.write(frame())
        sink.write_sound(np.zeros((rate_hz // 30, 2), np.float32))
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        pieces = list(container.decode(audio=0))
    assert {one.sample_rate for one in pieces} == {kept_hz}
    num_samples = sum(one.samples for one in pieces)
    assert num_samples == pytest.approx(kept_hz, abs=2 * 1024)  # AAC's frames are of 1024


def test_a_file_without_sound_takes_none(tmp_path: Path) -> None:
    """Catches samples that vanish without a word."""
    sink = VideoFile(tmp_path / "out.mp4", 96, 64, 30.0)
    with pytest.raises(SinkError, match="takes no sound"):
        sink.write_sound(np.zeros((480, 1), np.float32))
    sink.close()
