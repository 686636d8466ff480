"""The video file: pacing by timestamps, loops, rotation, and files that are none."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import odd_media
import pytest
from fake_clock import Clock

from liveedit_cam.errors import SourceEnded, SourceError, UsageError
from liveedit_cam.sources.file import VideoFile, create

WriteVideo = Callable[..., Path]

QUARTER_TURN_CLOCKWISE = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
"""The display matrix a phone writes when it is held upright (ISO/IEC 14496-12, tkhd)."""
IDENTITY = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def open_at(clock: Clock, path: Path, *, loop: bool = False, realtime: bool = True) -> VideoFile:
    return VideoFile(str(path), loop=loop, realtime=realtime, now=clock.now, sleep=clock.wait)


def shade(pixels: np.ndarray) -> int:
    """Number of the picture, from the band the fixture paints 5 levels brighter each time."""
    return round(float(pixels[:4].mean()) / 5)


def read_all(source: VideoFile) -> list[tuple[float, int]]:
    shown = []
    while True:
        try:
            frame = source.read()
        except SourceEnded:
            return shown
        shown.append((frame.captured_at, shade(frame.pixels)))


def test_uneven_timestamps_are_kept(write_video: WriteVideo) -> None:
    """Catches pacing by a nominal rate: phone videos have no constant one."""
    times_ms = [0, 40, 100, 110, 300, 333]
    clock = Clock(50.0)
    shown = read_all(open_at(clock, write_video(times_ms)))
    assert [at for at, _ in shown] == pytest.approx([50 + ms / 1000 for ms in times_ms], abs=2e-3)
    assert [number for _, number in shown] == [0, 1, 2, 3, 4, 5]


def test_a_late_reader_gets_the_picture_due_now(write_video: WriteVideo) -> None:
    """Catches drift: after 400 ms elsewhere the pictures in between are left out, not shown late.

    Picture 11 is due at 440 ms; 445 ms have passed, less than one period of 40 ms late.
    """
    clock = Clock(50.0)
    source = open_at(clock, write_video(range(0, 1000, 40)))
    source.read()
    source.read()
    clock.now_s = 50.445
    late, following = source.read(), source.read()
    source.close()
    assert (shade(late.pixels), shade(following.pixels)) == (11, 12)
    assert following.captured_at == pytest.approx(50.48, abs=2e-3)
    assert (late.index, following.index) == (2, 3)


def test_a_very_late_reader_still_sees_something(write_video: WriteVideo) -> None:
    """Catches an endless chase: at most one second of video is left out in one read."""
    clock = Clock(50.0)
    source = open_at(clock, write_video(range(0, 2000, 40)))
    source.read()
    clock.now_s += 1000
    assert 25 <= shade(source.read().pixels) <= 27
    source.close()


def test_without_real_time_nothing_waits_and_nothing_is_left_out(write_video: WriteVideo) -> None:
    """Catches a benchmark that measures the pacing, and skipped pictures in an offline run."""
    clock = Clock(50.0)
    source = open_at(clock, write_video(range(0, 400, 40)), realtime=False)
    assert [number for _, number in read_all(source)] == list(range(10))
    assert clock.now_s == 50.0


def test_a_loop_goes_on_in_step(write_video: WriteVideo) -> None:
    """Catches a second round shown in a burst or after a gap, and an index that starts again.

    The seam is one mean period long, here 32 ms, because a file need not say how long its last
    picture lasts; all other gaps are the file's 40 ms.
    """
    clock = Clock(50.0)
    source = open_at(clock, write_video(range(0, 200, 40)), loop=True)
    frames = [source.read() for _ in range(12)]
    source.close()
    assert [shade(frame.pixels) for frame in frames] == [0, 1, 2, 3, 4] * 2 + [0, 1]
    assert [frame.index for frame in frames] == list(range(12))
    gaps = np.diff([frame.captured_at for frame in frames])
    assert gaps == pytest.approx([0.04] * 4 + [0.032] + [0.04] * 4 + [0.032] + [0.04], abs=2e-3)


def test_a_phone_video_stands_upright(write_video: WriteVideo) -> None:
    """Catches ignored or reversed rotation: the bright right side must come to the bottom."""
    path = write_video(range(0, 200, 40), size=(64, 32))
    data = path.read_bytes()
    track = data.index(b"tkhd")
    at = data.index(IDENTITY, track)
    path.write_bytes(data[:at] + QUARTER_TURN_CLOCKWISE + data[at + len(IDENTITY) :])
    source = create(str(path), loop=False, realtime=False)
    pixels = source.read().pixels.astype(int)
    source.close()
    assert (source.width, source.height) == (32, 64)
    assert pixels.shape == (64, 32, 3)
    assert pixels[-8:, :16].mean() > pixels[:8, :16].mean() + 80
    assert pixels[:, -4:].mean() < 20  # the dark band of the top is now on the right


def test_close_ends_a_waiting_read(write_video: WriteVideo) -> None:
    """Catches a program that hangs at its end while the next picture is an hour away."""
    source = VideoFile(
        str(write_video([0, 40])), loop=False, realtime=True, now=lambda: 0.0
    )  # a clock that stands
    source.read()
    ended: list[SourceEnded] = []

    def read() -> None:
        try:
            source.read()
        except SourceEnded as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    source.close()
    reader.join(timeout=10)
    assert ended


def write_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        for number in range(10):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            frame.rate, frame.pts, frame.time_base = 48000, number * 1024, Fraction(1, 48000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_files_that_are_no_videos_say_so(tmp_path: Path, write_video: WriteVideo) -> None:
    """Catches a traceback or one message for everything: each case has its own cause and cure."""
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is no video\n" * 100)
    cut = write_video(range(0, 400, 40), name="cut.mp4")
    cut.write_bytes(cut.read_bytes()[:300])
    write_sound(tmp_path / "song.m4a")
    said = {
        "empty.mp4": "0 bytes",
        "text.mp4": "cannot be read as a video",
        "cut.mp4": "cannot be read as a video",
        "song.m4a": "only audio",
        "absent.mp4": "There is no file",
        ".": "is a folder",
    }
    for name, words in said.items():
        with pytest.raises(SourceError, match=words):
            create(str(tmp_path / name), loop=False, realtime=False)


def test_no_path_is_a_usage_error() -> None:
    """Catches "file" alone being taken for the current folder."""
    with pytest.raises(UsageError, match="no path"):
        create("", loop=False, realtime=False)


def test_a_file_waits_for_its_first_reader(write_video: WriteVideo) -> None:
    """Catches a clock that runs from the opening: a minute of warming up would skip the film."""
    clock = Clock(50.0)
    source = open_at(clock, write_video(range(0, 400, 40)))
    clock.now_s += 60
    assert [number for _, number in read_all(source)] == list(range(10))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_damaged_file_plays_to_its_end(tmp_path: Path, suffix: str) -> None:
    """Catches an error in the middle, after which the film is opened again from the start: a
    ``--once`` that never ends (issue 15)."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=90)
    path = odd_media.with_bad_packet(whole, tmp_path / f"bad{suffix}", 40)
    source = create(str(path), loop=False, realtime=False)
    assert 85 <= len(read_all(source)) < 90


def test_a_title_in_another_encoding_is_no_fault(tmp_path: Path) -> None:
    """Catches a film of an old camera or shop that is refused for its name."""
    path = odd_media.write_bars(tmp_path / "old.mkv", title="Groesse!")
    whole = path.read_bytes()
    assert whole.count(b"Groesse!") == 1
    path.write_bytes(whole.replace(b"Groesse!", "Gr\u00f6\u00dfe 12".encode("latin-1")))
    assert len(read_all(open_at(Clock(50.0), path))) == 5


def test_a_file_cut_short_ends_where_it_ends(tmp_path: Path) -> None:
    """Catches a recording of a crashed program that fails at its end instead of ending."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=90)
    first = odd_media.write_with_index_first(whole, tmp_path / "first.mp4")
    source = create(
        str(odd_media.cut_short(first, tmp_path / "cut.mp4", 0.6)), loop=False, realtime=False
    )
    assert 40 <= len(read_all(source)) <= 60


def test_a_damaged_file_loops(tmp_path: Path) -> None:
    """Catches damage that ends a loop."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=20)
    path = odd_media.with_bad_packet(whole, tmp_path / "bad.mp4", 10)
    source = create(str(path), loop=True, realtime=False)
    assert [source.read().index for _ in range(50)] == list(range(50))
    source.close()


def test_square_pixels_the_film_and_its_colours(tmp_path: Path) -> None:
    """Catches a lost display ratio, a cover taken for the film, and a matrix that is ignored."""
    film = odd_media.write_bars(tmp_path / "film.mp4", pixel_ratio=Fraction(3, 2))
    path = odd_media.write_with_cover(film, tmp_path / "in:1.mkv")
    source = create(str(path), loop=False, realtime=False)
    picture = source.read().pixels
    source.close()
    assert (source.width, source.height) == (240, 64)
    assert np.abs(odd_media.bar_colours(picture) - odd_media.COLOURS).max() <= 3
