"""Editing a whole file: every frame, the same sound, and nothing left where it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tiny_model import TINY, moving_frames, write_folder

from liveedit_cam.errors import (
    InstructionError,
    LiveEditError,
    SinkError,
    SourceError,
    UsageError,
    WeightsError,
)
from liveedit_cam.model import TextConditioning
from liveedit_cam.model.one_by_one import Picture
from liveedit_cam.offline import Processed, process
from liveedit_cam.presets.timeline import Cue

NUM_FRAMES = 10
"""Two chunks of four and half a one."""
RATE = 48_000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model's folder."""
    return str(write_folder(tmp_path_factory.mktemp("models") / "tiny", TINY))


def write_clip(
    path: Path, *, has_video: bool = True, has_audio: bool = True, size: tuple[int, int] = (64, 96)
) -> Path:
    """A moving picture at 25 frames a second with a tone."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=25) if has_video else None
        audio = out.add_stream("aac", rate=RATE, layout="mono") if has_audio else None
        if video:
            video.width, video.height, video.pix_fmt = size[1], size[0], "yuv420p"
            for pixels in moving_frames(NUM_FRAMES, *size):
                out.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            out.mux(video.encode())
        if audio:
            seconds = np.arange(RATE * NUM_FRAMES // 25, dtype=np.float32) / RATE
            tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)[None]
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
            out.mux(audio.encode(sound))
            out.mux(audio.encode())
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A small whole video with sound."""
    return write_clip(tmp_path / "clip.mp4")


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def sound_packets(path: Path) -> list[tuple[bytes, float]]:
    """Bytes and time in seconds of each audio packet."""
    with av.open(str(path)) as container:
        return [
            (bytes(packet), float(packet.pts * packet.time_base))
            for packet in container.demux(audio=0)
            if packet.pts is not None
        ]


def test_every_frame_is_edited_and_the_sound_copied(clip: Path, model: str) -> None:
    """Catches a lost last chunk, frames of its padding, a re-encoded or shifted sound."""
    out = clip.with_name("out.mp4")
    told: list[tuple[int, int | None]] = []
    done = process(
        clip,
        out,
        "make it zebra blue",
        model=model,
        device="cpu",
        progress=lambda *n: told.append(n),
    )
    assert done == Processed(out, NUM_FRAMES, ("zebra",), ())
    assert told == [(4, 10), (8, 10), (10, 10)]
    before, after = pictures(clip), pictures(out)
    assert len(after) == NUM_FRAMES
    assert after[0].shape == before[0].shape
    assert all(np.abs(a.astype(int) - b).mean() > 5 for a, b in zip(before, after, strict=True))
    got, expected = sound_packets(out), sound_packets(clip)
    assert len(expected) > 10
    assert [data for data, _ in got] == [data for data, _ in expected]
    assert [at for _, at in got] == pytest.approx([at for _, at in expected], abs=1e-3)
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mp4", "out.mp4"]


def test_what_is_not_understood_changes_nothing(clip: Path, model: str) -> None:
    """Catches a film edited by a guess; H.264 moves a level by about two (issue 15)."""
    out = clip.with_name("out.mp4")
    done = process(clip, out, "make it zebra", model=model, device="cpu")
    told = '"make it zebra" asks for nothing that this model can do: nothing is changed'
    assert done.notes == (told,)
    for a, b in zip(pictures(clip), pictures(out), strict=True):
        assert np.abs(a.astype(int) - b).mean() < 3


def test_rate_is_kept(clip: Path, model: str) -> None:
    """Catches a film that runs at 30 because nobody passed the rate on."""
    out = clip.with_name("out.mp4")
    process(clip, out, "make it blue", model=model, device="cpu")
    with av.open(str(out)) as container:
        assert container.streams.video[0].average_rate == 25
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    assert times == pytest.approx([n / 25 for n in range(NUM_FRAMES)], abs=1e-3)


def test_uneven_times_stay_with_their_sound(tmp_path: Path, model: str) -> None:
    """Catches a phone's film renumbered at a constant rate, whose lips leave the sound behind."""
    uneven = [0, 33, 90, 140, 400, 433, 470, 900, 950, 1000]
    source, out = tmp_path / "phone.mkv", tmp_path / "out.mp4"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        for at, pixels in zip(uneven, moving_frames(NUM_FRAMES), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    process(source, out, "make it blue", model=model, device="cpu")
    with av.open(str(out)) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
    assert times == pytest.approx([at / 1000 for at in uneven], abs=2e-3)


def test_a_late_beginning_is_cut_from_picture_and_sound_alike(clip: Path, model: str) -> None:
    """Catches sound that is late by the 1.4 s at which broadcast streams begin."""
    stream, out = clip.with_name("clip.ts"), clip.with_name("out.mp4")
    with av.open(str(clip)) as source, av.open(str(stream), "w") as container:
        copies = {s.index: container.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.pts is not None and packet.time_base is not None:
                late = round(2 / packet.time_base)
                packet.dts, packet.pts = packet.dts + late, packet.pts + late
                packet.stream = copies[packet.stream.index]
                container.mux(packet)
    with av.open(str(stream)) as container:
        assert (container.start_time or 0) > 1_000_000  # what the test is about, in microseconds
        picture_s = float(next(container.decode(video=0)).time or 0)
    apart = sound_packets(stream)[0][1] - picture_s
    process(stream, out, "make it blue", model=model, device="cpu")
    with av.open(str(out)) as container:
        began_s = float(next(container.decode(video=0)).time or 0)
    assert began_s < 0.1
    assert sound_packets(out)[0][1] - began_s == pytest.approx(apart, abs=0.03)


def test_chunks_of_the_size_the_model_wants_next(clip: Path) -> None:
    """Catches the large model's second chunk at the size of its first, which is shorter."""

    class Growing:
        chunk_frames = 3

        def encode_text(self, prompt: str) -> TextConditioning:
            return TextConditioning(prompt, (), ())

        def edit_each(
            self, pictures: Sequence[Picture], conditioning: TextConditioning, **how: object
        ) -> list[np.ndarray]:
            assert len(pictures) == self.chunk_frames
            self.chunk_frames = 4
            return [255 - make() for make in pictures]

    out = clip.with_name("out.mp4")
    process(clip, out, "make it blue", load=lambda name, device: Growing())
    assert len(pictures(out)) == NUM_FRAMES


def test_a_picture_that_changes_its_size_is_fitted_to_the_first(tmp_path: Path, model: str) -> None:
    """Catches the traceback of a recorded call whose resolution drops in the middle."""
    parts = [tmp_path / "large.ts", tmp_path / "small.ts"]
    for path, size in zip(parts, ((64, 96), (32, 48)), strict=True):
        write_clip(path, has_audio=False, size=size)
    source = tmp_path / "call.ts"
    source.write_bytes(b"".join(path.read_bytes() for path in parts))
    out = tmp_path / "out.mp4"
    process(source, out, "make it blue", model=model, device="cpu")
    shapes = {picture.shape for picture in pictures(out)}
    assert shapes == {(64, 96, 3)}
    assert len(pictures(out)) == 2 * NUM_FRAMES


def test_silent_and_odd_sized(tmp_path: Path, model: str) -> None:
    """Catches the need of a sound, and a picture of odd size, which H.264 refuses."""
    silent = write_clip(tmp_path / "silent.mkv", has_audio=False, size=(66, 98))
    raw = tmp_path / "odd.mkv"
    with av.open(str(silent)) as source, av.open(str(raw), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 97, 65, "bgr0"
        for frame in source.decode(video=0):
            cropped = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[:65, :97])
            picture = av.VideoFrame.from_ndarray(cropped, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="bgr0")))
        container.mux(stream.encode())
    out = tmp_path / "out.mp4"
    process(raw, out, "make it blue", model=model, device="cpu")
    after = pictures(out)
    assert len(after) == NUM_FRAMES
    assert after[0].shape == (64, 96, 3)


def test_a_failure_leaves_the_old_file_and_no_partial(clip: Path, model: str) -> None:
    """Catches an output that is opened in place, and a partial file that stays behind."""
    out = clip.with_name("out.mp4")
    out.write_bytes(b"the old one")

    class Stop(Exception):
        pass

    def stop(done: int, _: int | None) -> None:
        assert len(list(clip.parent.glob(".out.*.partial.mp4"))) == 1
        if done == 8:
            raise Stop

    with pytest.raises(Stop):
        process(clip, out, "make it blue", model=model, device="cpu", overwrite=True, progress=stop)
    assert out.read_bytes() == b"the old one"
    assert sorted(p.name for p in clip.parent.iterdir()) == ["clip.mp4", "out.mp4"]
    process(clip, out, "make it blue", model=model, device="cpu", overwrite=True)
    assert len(pictures(out)) == NUM_FRAMES


def test_a_file_cut_short_leaves_nothing(clip: Path, model: str) -> None:
    """Catches a partial output after a source without its index."""
    clip.write_bytes(clip.read_bytes()[:2000])
    out = clip.with_name("out.mp4")
    with pytest.raises(SourceError, match=r"cannot be read as a video.*may lack its index"):
        process(clip, out, "make it blue", model=model, device="cpu")
    assert [p.name for p in clip.parent.iterdir()] == ["clip.mp4"]


def refused(
    kind: type[LiveEditError], source: Path, out: Path, model: str, prompt: str = "make it blue"
) -> str:
    """The message of a refusal of exactly this class; asserts that nothing was written."""
    before = {p: p.read_bytes() for p in out.parent.iterdir()} if out.parent.is_dir() else {}
    with pytest.raises(kind) as caught:
        process(source, out, prompt, model=model, device="cpu", overwrite=out == source)
    assert type(caught.value) is kind
    assert caught.value.hint
    if out.parent.is_dir():
        assert {p: p.read_bytes() for p in out.parent.iterdir()} == before
    return str(caught.value)


def test_sources_that_are_no_video(tmp_path: Path, model: str) -> None:
    """Catches ffmpeg's words, or a traceback, for a wrong file; each says what it got."""
    out = tmp_path / "out.mp4"
    missing, empty, text = (tmp_path / name for name in ("none.mp4", "empty.mp4", "text.mp4"))
    empty.touch()
    text.write_text("no video at all\n" * 100)
    sound = write_clip(tmp_path / "sound.m4a", has_video=False)
    for path, words in (
        (missing, f"got {missing}, which is no file"),
        (empty, f"got {empty}, which is empty"),
        (text, f"{text} cannot be read as a video"),
        (sound, f"{sound} has no video track, only audio"),
    ):
        assert words in refused(SourceError, path, out, model)
    with pytest.raises(SourceError, match="which is no file"):
        process(tmp_path, out, "make it blue", model=model, device="cpu")


def test_outputs_that_cannot_be(clip: Path, model: str) -> None:
    """Catches an overwritten file, the source above all, and a suffix that is quietly ignored."""
    folder = clip.parent
    there = folder / "there.mp4"
    there.write_bytes(b"mine")
    message = refused(SinkError, clip, there, model)
    assert f"got the output {there}, which exists already" in message
    assert "--overwrite" in message
    assert "never onto the source itself" in refused(SinkError, clip, clip, model)
    message = refused(SinkError, clip, folder / "out.avi", model)
    assert "got the output out.avi, expected a name that ends in .mp4" in message
    assert "Write to out.mp4." in message
    nowhere = folder / "nowhere" / "out.mp4"
    assert f"got the output folder {nowhere.parent}" in refused(SinkError, clip, nowhere, model)


def test_the_source_by_another_name_is_still_the_source(clip: Path, model: str) -> None:
    """Catches a comparison of names: a hard link would be overwritten while it is read."""
    link = clip.with_name("link.mp4")
    os.link(clip, link)
    with pytest.raises(SinkError, match="never onto the source itself"):
        process(clip, link, "make it blue", model=model, device="cpu", overwrite=True)
    assert len(pictures(clip)) == NUM_FRAMES


@pytest.mark.parametrize("prompt", ["", "   ", "blue " * 500, "🌙"])
def test_instructions_that_cannot_be(clip: Path, model: str, prompt: str) -> None:
    """Catches an edit of nothing, and a text no text encoder can hold."""
    message = refused(InstructionError, clip, clip.with_name("out.mp4"), model, prompt)
    assert message.lower().startswith("got ")
    assert "expected" in message


def test_model_and_device_are_checked_before_anything_is_written(clip: Path, model: str) -> None:
    """Catches an output folder with a partial file because the model was misspelt."""
    out = clip.with_name("out.mp4")
    refused(UsageError, clip, out, "nanno")
    refused(WeightsError, clip, out, str(clip.parent))


def test_the_command_line_loads_no_torch_before_it_is_needed() -> None:
    """Catches settings made too late: libgomp reads how long to spin when torch is loaded, and
    spinning threads doubled what ``process`` took beside another program."""
    code = "import sys, liveedit_cam.commands.app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_cues_take_effect_in_time_and_the_same_way_twice(
    clip: Path, model: str, tmp_path: Path
) -> None:
    """Issue 20: a show rendered again must be the same; catches a cue that comes a chunk early."""
    cues = (Cue(0.0, "leave it as it is", strength=0.0), Cue(0.16, "make it blue"))
    outs = [tmp_path / name for name in ("plain.mp4", "one.mp4", "two.mp4")]
    process(clip, outs[0], [cues[0]], model=model, device="cpu")
    for out in outs[1:]:
        process(clip, out, cues, model=model, device="cpu")
    plain, one, two = map(pictures, outs)
    assert len(one) == NUM_FRAMES
    assert all((a == b).all() for a, b in zip(one, two, strict=True))
    apart = [float(np.abs(a.astype(int) - b).mean()) for a, b in zip(plain, one, strict=True)]
    differs = [difference > 3 for difference in apart]  # the encoder looks ahead, a little
    assert differs == [False] * 4 + [True] * 6


def test_the_same_timeline_twice_gives_the_same_bytes(tmp_path: Path, model: str) -> None:
    """Issue 20: catches a clock or a thread that finds its way into a show rendered again."""
    clip = write_clip(tmp_path / "in.mp4")
    cues = (Cue(0.0, "make it night"), Cue(0.2, "make the subject red", 0.5))
    packets = []
    for name in ("one.mp4", "two.mp4"):
        process(clip, tmp_path / name, cues, model=model, device="cpu")
        with av.open(str(tmp_path / name)) as result:
            packets.append([(one.pts, bytes(one)) for one in result.demux(video=0)])
    assert packets[0] == packets[1]
    assert len(packets[0]) >= NUM_FRAMES
