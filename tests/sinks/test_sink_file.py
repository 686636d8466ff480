"""The recording, read back with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from liveedit_cam.errors import SinkError, UsageError
from liveedit_cam.sinks.file import VideoFile, create
from liveedit_cam.sources import file as file_source
from liveedit_cam.types import Frame

GREEN = (30, 190, 60)


def frame(colour: tuple[int, int, int] = GREEN) -> Frame:
    pixels = np.empty((64, 96, 3), np.uint8)
    pixels[:] = colour
    return Frame(pixels=pixels, index=0, captured_at=0.0)


def record(path: Path, num_frames: int, fps: float) -> None:
    sink = create(str(path), width=96, height=64, fps=fps)
    for _ in range(num_frames):
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


def test_nothing_bears_the_name_until_it_is_complete(tmp_path: Path) -> None:
    """Catches a half-written file that another program picks up, and leftovers."""
    path = tmp_path / "out.mp4"
    sink = VideoFile(path, 96, 64, 30.0)
    sink.write(frame())
    assert not path.exists()
    sink.close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_full_disk_keeps_what_was_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches an hour that is deleted at the first failed write, and a tail under its name.

    The half plays: what reached the disk before are whole fragments.
    """
    path, part = tmp_path / "out.mp4", tmp_path / "out.mp4.part"
    sink = VideoFile(path, 96, 64, 30.0)
    for _ in range(600):
        sink.write(frame())

    class Full:
        def encode(self, picture: object) -> None:
            raise av.error.OSError(28, "No space left on device")

    monkeypatch.setattr(sink, "_stream", Full())
    with pytest.raises(SinkError, match=r"cannot be written.*What there is of it is in .*\.part"):
        sink.write(frame())
    sink.close()
    assert not path.exists()
    with av.open(str(part), format="mp4") as container:
        assert len(list(container.decode(video=0))) >= 250
    before = part.read_bytes()
    with pytest.raises(SinkError, match="cut short"):
        create(str(path), width=96, height=64, fps=30)
    assert part.read_bytes() == before


def test_a_recording_without_frames_leaves_nothing(tmp_path: Path) -> None:
    """Catches an unreadable stub of a file."""
    create(str(tmp_path / "out.mp4"), width=96, height=64, fps=30).close()
    assert list(tmp_path.iterdir()) == []


def test_a_name_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    """Catches a rename over somebody's file; the recording must survive under its other name."""
    path = tmp_path / "out.mp4"
    sink = VideoFile(path, 96, 64, 30.0)
    sink.write(frame())
    path.write_text("precious")
    with pytest.raises(SinkError, match=r"out\.mp4\.part"):
        sink.close()
    assert path.read_text() == "precious"
    assert (tmp_path / "out.mp4.part").stat().st_size > 0


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
