"""Pairs from JSON lines, tar files and the layouts of public sets, and latents of them."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from latent_sets import FLOW, SIZE, Words, codec, half_grey, write_set, write_video
from safetensors import safe_open
from safetensors.torch import load, load_file

from liveedit_cam.errors import SourceError, UsageError
from liveedit_cam.lab.training.wan.importers import LAYOUTS, import_pairs
from liveedit_cam.lab.training.wan.latents import LatentShards, encode_pairs, number_at
from liveedit_cam.lab.training.wan.pairs import load_video, read_pairs, write_pairs


def ditto(folder: Path) -> None:
    rows = [
        {
            "source_path": f"source/{n}.mp4",
            "instruction": f"edit {n}",
            "edited_path": f"local/{n}.mp4",
        }
        for n in range(10)
    ]
    (folder / "training_metadata").mkdir()
    (folder / "training_metadata/local.json").write_text(json.dumps(rows))
    for kind in ("source", "local"):
        (folder / "videos" / kind).mkdir(parents=True)
        for n in range(10):
            (folder / f"videos/{kind}/{n}.mp4").touch()


def ditto_for_diffsynth(folder: Path) -> None:
    (folder / "csvs_for_DiffSynth").mkdir()
    write_table(folder / "csvs_for_DiffSynth/global.csv", ("video", "prompt", "vace_video"))


def senorita(folder: Path) -> None:
    rows = [
        {
            "source_video_path": f"./obj_swap_videos/1/{n}_org.mp4",
            "target_video_path": f"./obj_swap_videos/1/{n}.mp4",
            "instruction": "Swap it",
            "enhanced_instruction": f"edit {n}",
        }
        for n in range(10)
    ]
    (folder / "updated_data_obj_swap_videos.json").write_text(json.dumps(rows))


def insvie(folder: Path) -> None:
    """Columns by place: the names are ours. An instruction of two lines is one row."""
    for kind in ("source", "edit_7"):
        (folder / kind).mkdir()
        for n in range(10):
            (folder / f"{kind}/{n}.mp4").touch()
    with (folder / "train.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("a", "b", "c", "d", "e"))
        for n in range(10):
            writer.writerow((f"{n}.mp4", "a cat,\nasleep", f"edit {n}", "a dog", "edit_7"))


def openve(folder: Path) -> None:
    write_table(folder / "local_change.csv", ("video", "prompt", "original_video"))


def openve_by_semicolons(folder: Path) -> None:
    write_table(folder / "local_add.csv", ("video", "prompt", "original_video"), ";")


def write_table(path: Path, names: tuple[str, str, str], delimiter: str = ",") -> None:
    """Ten rows: edited video, instruction, source video."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows((f"e/{n}.mp4", f"edit {n}", f"s/{n}.mp4") for n in range(10))


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("ditto-1m", ditto),
        ("ditto-1m", ditto_for_diffsynth),
        ("senorita-2m", senorita),
        ("insvie-1m", insvie),
        ("openve-3m", openve),
        ("openve-3m", openve_by_semicolons),
    ],
)
def test_ten_rows_of_each_set(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    """Catches source and edited video exchanged, rows left out, and paths that lead nowhere."""
    make(tmp_path)
    pairs = list(import_pairs(name, tmp_path))
    assert [pair.instruction for pair in pairs] == [f"edit {n}" for n in range(10)]
    for pair in pairs:
        assert isinstance(pair.source, Path)
        assert isinstance(pair.edited, Path)
        assert pair.source != pair.edited
    first = pairs[0]
    ends = {"senorita-2m": ("0_org.mp4", "0.mp4")}.get(name, ("/0.mp4", "/0.mp4"))
    assert str(first.source).endswith(ends[0])
    assert str(first.edited).endswith(ends[1])
    if make is senorita:
        assert first.source == tmp_path / "obj_swap_upload/1/0_org.mp4"
    if make is insvie:
        assert first.edited == tmp_path / "edit_7/0.mp4"
    if make is ditto:
        assert first.source == tmp_path / "videos/source/0.mp4"  # where it is, not where it is said
    count = write_pairs(tmp_path / "pairs.jsonl", pairs)
    again = list(read_pairs(tmp_path / "pairs.jsonl"))
    assert count == len(again) == 10
    assert [pair.source for pair in again] == [pair.source for pair in pairs]


def test_columns_may_be_named_by_hand(tmp_path: Path) -> None:
    """Catches a set that cannot be read for a name its release chose otherwise."""
    write_table(tmp_path / "a.csv", ("after", "words", "before"))
    with pytest.raises(UsageError, match="none of which is its source"):
        list(import_pairs("openve-3m", tmp_path))
    named = {"source": "before", "edited": "after", "instruction": "words"}
    assert len(list(import_pairs("openve-3m", tmp_path, named))) == 10


def test_a_source_in_two_folders_is_no_guess(tmp_path: Path) -> None:
    """Catches another edit taken for the source: of InsViE, the table names the edited folder."""
    insvie(tmp_path)
    (tmp_path / "edit_3").mkdir()
    (tmp_path / "edit_3/0.mp4").touch()
    with pytest.raises(UsageError, match=r"0.mp4 in 2 folders .* edit_7 left out"):
        list(import_pairs("insvie-1m", tmp_path))


def test_what_is_no_set_is_told(tmp_path: Path) -> None:
    """Catches an empty list of pairs taken for a set."""
    with pytest.raises(UsageError, match="expected one of ditto-1m"):
        list(import_pairs("ditto", tmp_path))
    for name in LAYOUTS:
        with pytest.raises(UsageError, match="which holds none of"):
            list(import_pairs(name, tmp_path))


@pytest.mark.parametrize("line", ["{", '{"source": "a"}', "[1, 2, 3]"])
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str) -> None:
    """Catches a traceback of json, and a message without the place."""
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"source": "a", "edited": "b", "instruction": "c"}\n' + line)
    with pytest.raises(UsageError, match="line 2"):
        list(read_pairs(path))


def write_shard(path: Path, video: bytes, keys: int = 3) -> None:
    with tarfile.open(path, "w") as tar:
        for key in range(keys):
            members = {"source.mp4": video, "edited.mp4": video, "txt": b"edit it\n"}
            for kind, content in members.items():
                info = tarfile.TarInfo(f"{key:04d}.{kind}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def test_webdataset_shards(tmp_path: Path) -> None:
    """Catches members of two keys mixed, and a video that is written to disk to be read."""
    video = write_video(tmp_path / "a.mp4").read_bytes()
    write_shard(tmp_path / "set-0.tar", video)
    write_shard(tmp_path / "set-1.tar", video, keys=1)
    pairs = list(read_pairs(tmp_path))
    assert [pair.name for pair in pairs] == [
        "set-0.tar:0000", "set-0.tar:0001", "set-0.tar:0002", "set-1.tar:0000",
    ]  # fmt: skip
    assert pairs[0].instruction == "edit it"
    assert load_video(pairs[0].source, 9, 32, 48).shape == (3, 9, 32, 48)


def test_a_shard_cut_in_the_middle_is_named(tmp_path: Path) -> None:
    """Catches half a set taken for the whole."""
    write_shard(tmp_path / "set.tar", write_video(tmp_path / "a.mp4").read_bytes())
    whole = (tmp_path / "set.tar").read_bytes()
    (tmp_path / "set.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"set.tar, which is cut or damaged after 000"):
        list(read_pairs(tmp_path / "set.tar"))


def test_a_video_keeps_its_order_and_is_squeezed(tmp_path: Path) -> None:
    """Catches frames resampled or cropped, and a short video that is padded."""
    path = write_video(tmp_path / "a.mp4", num_frames=12)
    video = load_video(path, 12, 32, 48)
    assert video.shape == (3, 12, 32, 48)
    assert float(video.min()) >= 0.0
    assert float(video.max()) <= 1.0
    assert float((video[:, 1:] - video[:, :-1]).abs().mean()) > 0.001
    with pytest.raises(SourceError, match="has 12 frames, expected 13"):
        load_video(path, 13, 32, 48)


def test_encoding_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    """Catches shards encoded twice, a cut one kept, and pairs lost between two runs."""
    pairs, out = write_set(tmp_path / "videos"), tmp_path / "latents"
    first = Words()
    done = encode_pairs(read_pairs(pairs), codec(), first, out, SIZE)
    assert (done.num_pairs, done.num_skipped, done.num_shards) == (8, 0, 3)
    assert first.num_called == 9  # one is no instruction
    shard = out / "shard-000001.safetensors"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"shard-000001.*no whole safetensors file"):
        LatentShards(out, FLOW.text.max_tokens)
    again = Words()
    assert encode_pairs(read_pairs(pairs), codec(), again, out, SIZE) == done
    assert again.num_called == 3
    assert_same(load(whole), load_file(shard))
    with pytest.raises(UsageError, match="whose latents were made with"):
        encode_pairs(read_pairs(pairs), codec(), again, out, replace(SIZE, num_latents=3))


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_videos_that_cannot_be_read_are_skipped_named_and_counted(tmp_path: Path) -> None:
    """Catches one broken file that ends a night of encoding, or vanishes without a word."""
    pairs = write_set(tmp_path / "videos")
    half_grey(tmp_path / "videos/2-edited.mp4")
    write_video(tmp_path / "videos/5.mp4", num_frames=7)
    (tmp_path / "videos/7.mp4").unlink()
    done = encode_pairs(read_pairs(pairs), codec(), Words(), tmp_path / "latents", SIZE)
    assert (done.num_pairs, done.num_skipped) == (5, 3)
    told = (tmp_path / "latents/skipped.txt").read_text().splitlines()
    assert [line.split(": ")[0] for line in told] == [f"pairs.jsonl:{n}" for n in (3, 6, 8)]
    assert "has 7 frames, expected 24" in told[1]


def test_latents_are_those_of_the_codec(tmp_path: Path) -> None:
    """Catches source and target exchanged, parts of a clip in another order, half the text."""
    pairs = write_set(tmp_path / "videos", 3)
    encode_pairs(read_pairs(pairs), codec(), Words(), tmp_path / "latents", SIZE)
    shards = LatentShards(tmp_path / "latents", FLOW.text.max_tokens)
    batch = shards.batch([1])
    pair = list(read_pairs(pairs))[1]
    for video, latents in ((pair.source, batch.source), (pair.edited, batch.target)):
        whole = codec().encode(load_video(video, 24, 32, 48)[None])
        assert torch.allclose(latents, whole, atol=5e-3)  # kept in 16 bits
    assert torch.allclose(shards.text(batch.prompts), Words()(["edit 1"]), atol=5e-3)
    assert torch.allclose(shards.text([""]), Words()([""]), atol=5e-3)
    with safe_open(tmp_path / "latents/shard-000000.safetensors", framework="pt") as file:
        assert file.get_tensor("0.source").shape == (16, 6, 4, 6)


def test_every_pair_once_an_epoch() -> None:
    """Catches an order that depends on the number of processes, and pairs never drawn."""
    epochs = [[number_at(8 * epoch + place, 8, 5) for place in range(8)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(8))
    assert epochs[0] != epochs[1]
