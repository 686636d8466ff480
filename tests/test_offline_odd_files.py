"""``process`` on the files people have: colours, damage, covers, sound, signals (issue 15, B)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import odd_media
import pytest
from av.video.reformatter import Colorspace

from liveedit_cam.media.tone import HLG, PQ, light_to_pq
from liveedit_cam.model import TextConditioning
from liveedit_cam.model.one_by_one import Picture
from liveedit_cam.offline import Processed, process


class Unchanged:
    """A model that changes nothing, four frames at a time."""

    chunk_frames = 4

    def encode_text(self, prompt: str) -> TextConditioning:
        return TextConditioning(prompt, (), ())

    def edit_each(
        self, pictures: Sequence[Picture], conditioning: TextConditioning, **how: object
    ) -> Iterator[np.ndarray]:
        assert len(pictures) == 4
        return (make() for make in pictures)


def through(source: Path, out: Path | None = None) -> Processed:
    """What ``process`` makes of a file when the model changes nothing."""
    target = out or source.with_name("out.mp4")
    return process(source, target, "make it blue", load=lambda name, device: Unchanged())


def shown(path: Path) -> list[np.ndarray]:
    """Pictures as a player shows them that knows the tags of the file and nothing else."""
    with av.open(f"file:{path}") as container:
        return [
            frame.to_ndarray(format="rgb24", interpolation=odd_media.EXACT)
            for frame in container.decode(video=0)
        ]


def tags(path: Path) -> tuple[int, int, int, int]:
    """Matrix, primaries, transfer and range."""
    with av.open(f"file:{path}") as container:
        context = container.streams.video[0].codec_context
        return (
            int(context.colorspace),
            int(context.color_primaries),
            int(context.color_trc),
            int(context.color_range),
        )


@pytest.mark.parametrize("is_full_range", [False, True])
@pytest.mark.parametrize("matrix", [Colorspace.ITU709, Colorspace.ITU601])
def test_colours_come_out_as_they_went_in(
    tmp_path: Path, matrix: Colorspace, is_full_range: bool
) -> None:
    """Catches green 60,200,60 that plays as 48,177,54. Three levels are two roundings to YUV."""
    source = odd_media.write_bars(tmp_path / "in.mp4", matrix=matrix, is_full_range=is_full_range)
    done = through(source)
    assert np.abs(odd_media.bar_colours(shown(done.path)[0]) - odd_media.COLOURS).max() <= 3
    assert tags(done.path) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("size", "matrix"), [((160, 64), Colorspace.ITU601), ((1280, 64), Colorspace.ITU709)]
)
def test_an_untagged_file_is_read_as_players_read_it(
    tmp_path: Path, size: tuple[int, int], matrix: Colorspace
) -> None:
    """Catches one matrix for all that is untagged: small is BT.601, HD is BT.709."""
    source = odd_media.write_bars(tmp_path / "in.mp4", size=size, matrix=matrix, is_tagged=False)
    done = through(source)
    assert np.abs(odd_media.bar_colours(shown(done.path)[0]) - odd_media.COLOURS).max() <= 3


@pytest.mark.parametrize(
    ("ratio", "shape"), [(Fraction(32, 27), (64, 190, 3)), (Fraction(8, 9), (72, 160, 3))]
)
def test_pixels_become_square(tmp_path: Path, ratio: Fraction, shape: tuple[int, int, int]) -> None:
    """Catches a lost display ratio; 160 * 32/27 = 189.6 and 64 * 9/8 = 72, to even numbers."""
    done = through(odd_media.write_bars(tmp_path / "in.mp4", pixel_ratio=ratio))
    picture = shown(done.path)[0]
    assert picture.shape == shape
    assert np.abs(odd_media.bar_colours(picture) - odd_media.COLOURS).max() <= 3


@pytest.mark.parametrize(
    ("transfer", "signals"),
    [
        (PQ, [float(light_to_pq(np.array(nits))) for nits in (0.0, 10.0, 50.0, 203.0, 1000.0)]),
        (HLG, [0.0, 0.2546, 0.4986, 0.75, 1.0]),
    ],
)
def test_hdr_is_mapped_to_what_any_screen_shows(
    tmp_path: Path, transfer: int, signals: list[float]
) -> None:
    """Catches a washed-out picture and HDR tags on it.

    Below the knee at 88 cd/m2 light is kept: 255 * (L / 203) ^ (1 / 2.4) is 73 at 10 and 142 at 50,
    and reference white stays below white (BT.2390), where the brightest is white. HLG's OOTF gives
    10 cd/m2 at 0.2546 and 50 at 0.4986; 0.75 is its reference white.
    """
    done = through(odd_media.write_hdr(tmp_path / "in.mkv", signals, transfer))
    grey = odd_media.bar_colours(shown(done.path)[0])
    assert np.ptp(grey, axis=1).max() <= 2
    assert grey[:, 1] == pytest.approx([0, 73, 142, 230, 255], abs=3)
    assert tags(done.path) == (1, 1, 1, 1)
    assert done.notes == ("HDR or wide colours were mapped to standard ones (BT.709)",)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_one_corrupt_packet_costs_one_packet(tmp_path: Path, suffix: str) -> None:
    """Catches 87 good frames of 90 thrown away; the decoder may hide or drop its neighbours."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=90)
    source = odd_media.with_bad_packet(whole, tmp_path / f"in{suffix}", 40)
    done = through(source)
    assert 85 <= done.num_frames == len(shown(done.path)) < 90
    assert done.notes == ("damaged packets left out: 1",)


def test_a_recording_cut_short_keeps_what_there_is(tmp_path: Path) -> None:
    """Catches an output thrown away at the end of its source, and an end that nobody tells."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=90)
    first = odd_media.write_with_index_first(whole, tmp_path / "first.mp4")
    done = through(odd_media.cut_short(first, tmp_path / "in.mp4", 0.6))
    assert 40 <= done.num_frames == len(shown(done.path)) <= 60
    assert any("its picture ends after" in note and "of 3.6 s" in note for note in done.notes)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_is_not_the_film(tmp_path: Path, suffix: str) -> None:
    """Catches "wrote": one frame of 300x300. Matroska keeps the cover first and unmarked."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=9)
    done = through(odd_media.write_with_cover(whole, tmp_path / f"in{suffix}"))
    assert [picture.shape for picture in shown(done.path)] == [(64, 160, 3)] * 9


@pytest.mark.parametrize(
    ("codec", "rate", "suffix"),
    [
        ("pcm_alaw", 8000, ".mov"),
        ("pcm_mulaw", 8000, ".mov"),
        ("adpcm_ima_qt", 22050, ".mov"),
        ("pcm_s16le", 44100, ".mkv"),
    ],
)
def test_sound_that_mp4_does_not_play_becomes_aac(
    tmp_path: Path, codec: str, rate: int, suffix: str
) -> None:
    """Catches a traceback of 43 lines, silence, and sound that is out of step: 2 s of 440 Hz."""
    whole = odd_media.write_bars(tmp_path / "whole.mp4", num_frames=50)
    source = odd_media.write_with_sound(whole, tmp_path / f"in{suffix}", codec, rate)
    done = through(source)
    assert done.notes == (f"the sound, {codec}, was converted to AAC for MP4",)
    with av.open(str(done.path)) as container:
        track = container.streams.audio[0]
        assert track.codec_context.name == "aac"
        frames = list(container.decode(track))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert len(samples) / rate == pytest.approx(2, abs=0.2)
    middle = samples[len(samples) // 4 : len(samples) // 4 * 3]
    peak = np.abs(np.fft.rfft(middle)).argmax() * rate / len(middle)
    assert peak == pytest.approx(440, abs=2)


def test_names_with_a_colon_are_names(tmp_path: Path) -> None:
    """Catches "Protocol not found"."""
    source = odd_media.write_bars(tmp_path / "http:show 20:15.mp4")
    done = through(source, tmp_path / "out:2.mp4")
    assert len(shown(done.path)) == done.num_frames == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["http:show 20:15.mp4", "out:2.mp4"]


def test_two_at_once_to_one_name_stay_apart(tmp_path: Path) -> None:
    """Catches one partial file for both, and the first one's result overwritten by the second."""
    source, out = odd_media.write_bars(tmp_path / "in.mp4", num_frames=9), tmp_path / "out.mp4"
    inner: list[Processed] = []

    def start_another(done: int, _: int | None) -> None:
        if not inner:
            inner.append(through(source, out))

    outer = process(
        source, out, "make it blue", load=lambda name, device: Unchanged(), progress=start_another
    )
    assert inner[0].path == out
    assert outer.path == tmp_path / "out-2.mp4"
    assert outer.notes == ("out.mp4 was taken meanwhile; the result is out-2.mp4",)
    assert len(shown(out)) == len(shown(outer.path)) == 9
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows ends a program without asking it")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_partial_file(tmp_path: Path, number: signal.Signals) -> None:
    """Catches a partial file left by a kill or a closed terminal; the signal comes in mid-file."""
    source = odd_media.write_bars(tmp_path / "in.mp4", num_frames=9)
    program = (
        "import os, signal, sys\n"
        f"signal.signal({int(number)}, signal.SIG_DFL)\n"  # under nohup it would be ignored
        "from pathlib import Path\n"
        "from test_offline_odd_files import Unchanged\n"
        "from liveedit_cam.commands.tools import exit_on_signals\n"
        "from liveedit_cam.offline import process\n"
        "source = Path(sys.argv[1])\n"
        "def stop(done, total):\n"
        "    assert list(source.parent.glob('.out.*'))\n"
        f"    os.kill(os.getpid(), {int(number)})\n"
        "with exit_on_signals():\n"
        "    process(source, source.with_name('out.mp4'), 'make it blue',\n"
        "            load=lambda name, device: Unchanged(), progress=stop)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(source)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert ended.returncode == 128 + number
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]
