"""Pairs to train on: a JSON line each, or webdataset shards. Knows no network.

``pairs.jsonl`` holds one object a line: ``source`` and ``edited`` (video files, relative to the
file itself or absolute), ``instruction``, and maybe ``mask`` (a video that is white where the edit
is). A shard is a tar file of ``KEY.source.mp4``, ``KEY.edited.mp4`` and ``KEY.txt``.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import torch
from torch import Tensor

from liveedit_cam.errors import SourceError, UsageError, shown

Video = Path | bytes
"""A file, or what stands in one."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoPair:
    """A source video, what became of it, and by which instruction."""

    name: str
    """Tells it from all others of its set, for messages and for resuming."""
    source: Video
    edited: Video
    instruction: str
    mask: Video | None = None


def read_pairs(path: Path) -> Iterator[VideoPair]:
    """All pairs of a JSON-lines file, a tar file or a folder of tar files, in order.

    Raises UsageError with the place of the first line or key that is no pair.
    """
    if path.is_dir():
        shards = sorted(path.glob("*.tar"))
        if not shards:
            raise UsageError(f"got {path}, which holds no *.tar, expected webdataset shards")
        for shard in shards:
            yield from _read_shard(shard)
    elif path.suffix == ".tar":
        yield from _read_shard(path)
    else:
        yield from _read_lines(path)


def _read_lines(path: Path) -> Iterator[VideoPair]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"got {path}, which cannot be read ({error}), expected lines of JSON"
        ) from (error)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            source, edited, instruction = (row[key] for key in ("source", "edited", "instruction"))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"got {path} line {number}: {shown(line)} ({error!r}), expected an object with "
                "source, edited and instruction"
            ) from error
        mask = row.get("mask")
        yield VideoPair(
            f"{path.name}:{number}",
            path.parent / source,
            path.parent / edited,
            str(instruction),
            None if mask is None else path.parent / mask,
        )


def write_pairs(path: Path, pairs: Iterable[VideoPair]) -> int:
    """Write pairs of files as JSON lines, absolute; returns their number. It appears whole."""
    partial, count = path.with_suffix(".partial"), 0
    with partial.open("w", encoding="utf-8") as file:
        for pair in pairs:
            assert isinstance(pair.source, Path), "only pairs of files can be listed"
            assert isinstance(pair.edited, Path), "only pairs of files can be listed"
            row = {
                "source": str(pair.source.absolute()),
                "edited": str(pair.edited.absolute()),
                "instruction": pair.instruction,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    partial.replace(path)
    return count


def _read_shard(path: Path) -> Iterator[VideoPair]:
    """Pairs of a tar file, whose members of one key stand together."""
    key, members = "", dict[str, bytes]()
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                name, _, kind = Path(member.name).name.partition(".")
                if name != key and members:
                    yield _of_members(path, key, members)
                    members = {}
                key = name
                content = tar.extractfile(member)
                if content is not None:
                    members[kind] = content.read()
    except (tarfile.TarError, EOFError) as error:
        raise UsageError(
            f"got {path}, which is cut or damaged after {key or 'its begin'} ({error})",
            hint="Copy that shard again; those before it are whole.",
        ) from error
    if members:
        yield _of_members(path, key, members)


def _of_members(path: Path, key: str, members: dict[str, bytes]) -> VideoPair:
    try:
        source, edited, text = (members[kind] for kind in ("source.mp4", "edited.mp4", "txt"))
    except KeyError as error:
        raise UsageError(
            f"got {path}, whose {key} has {', '.join(sorted(members))}, expected source.mp4, "
            "edited.mp4 and txt"
        ) from error
    words = text.decode("utf-8", "replace").strip()
    return VideoPair(f"{path.name}:{key}", source, edited, words, members.get("mask.mp4"))


def load_video(video: Video, num_frames: int, height: int, width: int) -> Tensor:
    """The first frames of a video, float32 (3, T, height, width) in [0, 1], squeezed to that size.

    As the paper's loader: in file order, one after another. Raises SourceError for a video that
    cannot be read or is shorter.
    """
    name = shown(str(video)) if isinstance(video, Path) else "a video in the shard"
    frames: list[Tensor] = []
    try:
        opened = io.BytesIO(video) if isinstance(video, bytes) else str(video)
        with av.open(opened, "r") as container:
            for frame in container.decode(video=0):
                pixels = frame.to_ndarray(format="rgb24")
                small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
                frames.append(torch.from_numpy(small))
                if len(frames) == num_frames:
                    return torch.stack(frames).permute(3, 0, 1, 2).float() / 255
    except (av.FFmpegError, OSError, IndexError) as error:
        raise SourceError(f"{name} cannot be read ({error})") from error
    raise SourceError(f"{name} has {len(frames)} frames, expected {num_frames}")
