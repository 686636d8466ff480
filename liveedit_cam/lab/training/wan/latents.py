"""Latents and text rows of pairs, computed ahead into shards: one safetensors file a few pairs.

A folder holds ``settings.json`` (what the latents were made with), the shards, and ``skipped.txt``
(pairs that could not be read, with why). Encoding goes on where it was cut: a shard appears whole.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from liveedit_cam.errors import SourceError, UsageError
from liveedit_cam.lab.training.batches import LatentBatch
from liveedit_cam.lab.training.wan.pairs import VideoPair, load_video
from liveedit_cam.model.stream_codec import StreamCodec

LATENTS_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class EncodingSettings:
    """What latents depend on; a folder holds those of one."""

    height: int = 480
    width: int = 832
    num_latents: int = 21
    pairs_per_shard: int = 16


class TextRows(Protocol):
    """What embeds instructions."""

    def __call__(self, prompts: list[str]) -> Tensor:
        """Embeddings (B, L, D)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """What became of a set."""

    num_pairs: int
    """In the folder now."""
    num_skipped: int
    num_shards: int


def encode_pairs(
    pairs: Iterable[VideoPair],
    codec: StreamCodec,
    text: TextRows,
    out: Path,
    settings: EncodingSettings,
    progress: Callable[[int], None] = lambda count: None,
) -> Encoded:
    """Encode ``pairs`` into shards of ``out``; those that are there already are not done again.

    ``text`` also embeds "", which stands for an instruction that was left out. ``progress`` hears
    how many pairs are done. Raises UsageError where ``out`` holds latents of other settings.
    """
    _begin(out, settings)
    if not (out / "no-text.safetensors").is_file():
        _write(out / "no-text.safetensors", {"text": text([""])[0]}, [])
    done = 0
    source = iter(pairs)
    for number in itertools.count():
        group = list(itertools.islice(source, settings.pairs_per_shard))
        if not group:
            break
        path = out / f"shard-{number:06d}.safetensors"
        if _names(path) is None:
            _encode_shard(group, codec, text, path, settings)
        done += len(group)
        progress(done)
    shards = _shards(out)
    told = [line for shard in shards for line in _skipped(shard)]
    (out / "skipped.txt").write_text("".join(f"{line}\n" for line in told))
    count = sum(len(_names(shard) or ()) for shard in shards)
    return Encoded(count, len(told), len(shards))


def _begin(out: Path, settings: EncodingSettings) -> None:
    out.mkdir(parents=True, exist_ok=True)
    about = out / "settings.json"
    wanted = asdict(settings)
    if about.is_file():
        before = json.loads(about.read_text())
        if before != wanted:
            raise UsageError(
                f"got {out}, whose latents were made with {before}, not {wanted}",
                hint="Encode with the same settings, or into another folder.",
            )
    about.write_text(json.dumps(wanted))


def _encode_shard(
    group: list[VideoPair],
    codec: StreamCodec,
    text: TextRows,
    path: Path,
    settings: EncodingSettings,
) -> None:
    tensors: dict[str, Tensor] = {}
    names: list[dict[str, str]] = []
    skipped: list[str] = []
    for pair in group:
        codec.reset()
        size = (codec.frames_for(settings.num_latents), settings.height, settings.width)
        try:
            videos = torch.stack([load_video(v, *size) for v in (pair.source, pair.edited)])
            mask = None if pair.mask is None else load_video(pair.mask, *size)
        except SourceError as error:
            skipped.append(f"{pair.name}: {error}")
            continue
        source, target = _encode(videos, codec, settings.num_latents).half().cpu()
        place = len(names)
        tensors |= {f"{place}.source": source.clone(), f"{place}.target": target.clone()}
        tensors[f"{place}.text"] = _rows(text([pair.instruction])[0])
        if mask is not None:
            cells = F.adaptive_avg_pool3d(mask.mean(0)[None, None], source.shape[1:])
            tensors[f"{place}.mask"] = cells[0, 0].half()
        names.append({"name": pair.name, "instruction": pair.instruction})
    _write(path, tensors or {"none": torch.zeros(1)}, names, skipped)


def _encode(videos: Tensor, codec: StreamCodec, num_latents: int) -> Tensor:
    """Latents (B, C, T, h, w) of a whole clip, a few at a time: memory for one group."""
    parts, start = [], 0
    while num_latents > 0:
        count = min(LATENTS_AT_ONCE, num_latents)
        end = start + codec.frames_for(count)
        parts.append(codec.encode(videos[:, :, start:end]))
        start, num_latents = end, num_latents - count
    return torch.cat(parts, dim=2)


def _rows(embedding: Tensor) -> Tensor:
    """Rows up to the last that is not zero; at least one."""
    used = embedding.abs().amax(1).nonzero()
    count = int(used[-1]) + 1 if len(used) else 1
    return embedding[:count].half().cpu().clone()


def _write(
    path: Path,
    tensors: dict[str, Tensor],
    names: list[dict[str, str]],
    skipped: Iterable[str] = (),
) -> None:
    partial = path.with_suffix(".partial")
    tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, partial, {"pairs": json.dumps(names), "skipped": json.dumps([*skipped])})
    partial.replace(path)


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("shard-*.safetensors"))


def _metadata(path: Path) -> dict[str, str] | None:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return None


def _names(path: Path) -> list[dict[str, str]] | None:
    """Pairs of a shard; None where it is not there or not whole."""
    about = _metadata(path)
    if about is None or "pairs" not in about:
        return None
    names: list[dict[str, str]] = json.loads(about["pairs"])
    return names


def _skipped(path: Path) -> list[str]:
    about = _metadata(path) or {}
    found: list[str] = json.loads(about.get("skipped", "[]"))
    return found


class LatentShards:
    """Pairs in a folder of ``encode_pairs``, by number, and the text of their instructions."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        """Read what there is, no tensor. Raises UsageError for a shard that is cut, or none."""
        self.folder = folder
        self.max_tokens = max_tokens
        self._places: list[tuple[Path, int]] = []
        for shard in _shards(folder):
            names = _names(shard)
            if names is None:
                raise UsageError(
                    f"got {shard}, which is no whole safetensors file",
                    hint="Delete it and encode again: only it is made anew.",
                )
            self._places += [(shard, place) for place in range(len(names))]
        if not self._places:
            raise UsageError(
                f"got {folder}, which holds no pairs",
                hint="Run `liveedit-cam train encode-pairs` first.",
            )
        self._texts: dict[str, Tensor] = {}
        with safe_open(folder / "no-text.safetensors", framework="pt") as file:
            self._texts[""] = self._padded(file.get_tensor("text"))

    def __len__(self) -> int:
        return len(self._places)

    def batch(self, numbers: Iterable[int]) -> LatentBatch:
        """Some pairs; ``prompts`` of the batch are keys for ``text``."""
        sources, targets, prompts = [], [], []
        for number in numbers:
            path, place = self._places[number]
            with safe_open(path, framework="pt") as file:
                sources.append(file.get_tensor(f"{place}.source").float())
                targets.append(file.get_tensor(f"{place}.target").float())
                key = f"{path.name}/{place}"
                self._texts = {"": self._texts[""]} if len(self._texts) > 4096 else self._texts
                self._texts[key] = self._padded(file.get_tensor(f"{place}.text"))
            prompts.append(key)
        source = torch.stack(sources)
        subject = torch.zeros(len(source), *source.shape[2:])
        has_subject = torch.zeros(len(source), dtype=torch.bool)
        return LatentBatch(source, torch.stack(targets), subject, has_subject, tuple(prompts))

    def text(self, prompts: Iterable[str]) -> Tensor:
        """Embeddings (B, L, D) of prompts of batches made here; "" = no instruction."""
        return torch.stack([self._texts[prompt] for prompt in prompts])

    def _padded(self, rows: Tensor) -> Tensor:
        rows = rows.float()[: self.max_tokens]
        return F.pad(rows, (0, 0, 0, self.max_tokens - len(rows)))


def number_at(position: int, count: int, seed: int) -> int:
    """Which of ``count`` pairs stands at ``position`` of an endless row of shuffled epochs."""
    return _order(count, seed + position // count)[position % count]


@lru_cache(2)
def _order(count: int, seed: int) -> tuple[int, ...]:
    drawn = torch.Generator().manual_seed(seed)
    return tuple(torch.randperm(count, generator=drawn).tolist())
