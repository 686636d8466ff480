"""Embeddings of prompts on disk, so that a prompt met before needs no text encoder.

One safetensors file per prompt and encoder, with the rows up to the prompt's length. What the
folder holds is bounded; the least recently used goes first. Two processes may share it. Knows no
network: what embeds a new prompt is handed in.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from liveedit_cam.errors import WeightsError, shown
from liveedit_cam.model.wan.umt5 import PromptEmbedding, clean_prompt, pad_rows

_log = logging.getLogger(__name__)

MAX_ENTRIES = 2000
MAX_BYTES = 512 * 2**20

ENCODER_FILE = "encoder.txt"
"""Identity of the encoder that filled the folder last, for a machine that has no encoder."""

PRESETS_FILE = Path(__file__).with_name("presets.txt")


class RowEncoder(Protocol):
    """What embeds a prompt that is not in the cache."""

    @property
    def max_tokens(self) -> int:
        """L of the embeddings."""

    def identity(self) -> str | None:
        """Tells this encoder's embeddings from another's; None = it is not on this machine."""

    def embed(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        """Rows of each prompt. May take seconds."""

    def free(self) -> None:
        """Give back its memory."""


@dataclass(frozen=True, slots=True)
class EncodedPreset:
    """One step of ``encode_presets``."""

    prompt: str
    was_cached: bool
    notice: str | None
    """What the user should know, such as an end that was cut; None = nothing."""


def read_presets(path: Path = PRESETS_FILE) -> tuple[str, ...]:
    """The instructions in a file, one a line; blank lines and those that begin with # are none."""
    lines = (line.strip() for line in path.read_text("utf-8").splitlines())
    return tuple(line for line in lines if line and not line.startswith("#"))


class CachedPrompts:
    """A PromptEncoder that asks ``encoder`` only for prompts it has not met. One thread owns it.

    An entry that is damaged is dropped with a warning in the log and made anew. A folder that
    cannot be written costs the cache, not the edit.
    """

    def __init__(
        self,
        encoder: RowEncoder,
        folder: Path,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``folder`` need not exist; ``clock`` gives seconds since 1970."""
        self.encoder = encoder
        self.folder = folder
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._clock = clock

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (B, L, D), rows past the length of a prompt zero. Raises as ``embed``."""
        return pad_rows(self.embed(prompts), self.encoder.max_tokens)

    def embed(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        """Rows of each prompt, from disk where it was met before.

        Rows from disk are on the CPU, new ones where the encoder left them. Raises WeightsError for
        a new prompt without an encoder, and what the encoder raises.
        """
        return [self._embed(prompt) for prompt in prompts]

    def encode_presets(self, prompts: Iterable[str]) -> Iterator[EncodedPreset]:
        """Encode ``prompts`` ahead, one a step; the caller frees the encoder after.

        Afterwards these prompts need no encoder, also on a machine the folder is copied to.
        """
        for prompt in prompts:
            was_cached = self._read(prompt) is not None
            yield EncodedPreset(prompt, was_cached, self._embed(prompt).notice)

    def free(self) -> None:
        """Give back the encoder's memory; cached prompts go on working."""
        self.encoder.free()

    def _embed(self, prompt: str) -> PromptEmbedding:
        found = self._read(prompt)
        if found is not None:
            return found
        identity = self.encoder.identity()
        if identity is None:
            raise WeightsError(
                f"got the new instruction {shown(prompt)}, but the text encoder is not on this "
                f"machine and {self.folder} has no embedding of it",
                hint="Use one encoded before, or pull the encoder: "
                "`liveedit-cam models pull liveedit-1.3b`.",
            )
        (made,) = self.encoder.embed([prompt])
        self._write(identity, prompt, made)
        return made

    def _path(self, identity: str, prompt: str) -> Path:
        key = hashlib.sha256(f"{identity}\0{clean_prompt(prompt)}".encode()).hexdigest()
        return self.folder / f"{key}.safetensors"

    def _read(self, prompt: str) -> PromptEmbedding | None:
        """The entry of ``prompt``, now the newest; None where there is none that is whole."""
        identity = self.encoder.identity() or self._recorded_identity()
        if identity is None:
            return None
        path = self._path(identity, prompt)
        try:
            found = _read_entry(path, clean_prompt(prompt), self.encoder.max_tokens)
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError) as error:
            _log.warning("dropped the cached embedding %s of %r: %s", path.name, prompt, error)
            path.unlink(missing_ok=True)
            return None
        now = self._clock()
        try:
            os.utime(path, (now, now))
        except OSError as error:  # a read-only folder still answers
            _log.debug("%s keeps its date: %s", path, error)
        return found

    def _recorded_identity(self) -> str | None:
        """Of the encoder that filled the folder last, here or on another machine."""
        recorded = self.folder / ENCODER_FILE
        return recorded.read_text("utf-8").strip() if recorded.is_file() else None

    def _write(self, identity: str, prompt: str, embedding: PromptEmbedding) -> None:
        now = self._clock()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            entry = _entry_bytes(clean_prompt(prompt), embedding)
            _replace(self._path(identity, prompt), entry, now)
            _replace(self.folder / ENCODER_FILE, f"{identity}\n".encode(), now)
            self._trim()
        except OSError as error:
            _log.warning("the cache of embeddings cannot be written: %s", error)

    def _trim(self) -> None:
        """Delete the least recently used until the folder is within its bounds."""
        entries = sorted(self._entries())
        num_bytes = sum(size for _, _, size in entries)
        num_entries = len(entries)
        for _, path, size in entries:
            if num_entries <= self.max_entries and num_bytes <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            num_entries -= 1
            num_bytes -= size

    def _entries(self) -> Iterator[tuple[float, Path, int]]:
        """Date, path and size of every entry, and of what a process left that died writing."""
        for path in self.folder.iterdir():
            if path.suffix in (".safetensors", ".part"):
                with suppress(FileNotFoundError):  # another process was quicker
                    stat = path.stat()
                    yield stat.st_mtime, path, stat.st_size


def _entry_bytes(prompt: str, embedding: PromptEmbedding) -> bytes:
    rows = embedding.rows.detach().cpu().contiguous()
    about = {
        "prompt": prompt,
        "num_cut": str(embedding.num_cut),
        "unread": embedding.unread,
        "sha256": _hash(rows),
    }
    return save({"rows": rows}, about)


def _read_entry(path: Path, prompt: str, max_tokens: int) -> PromptEmbedding:
    """What a file holds. Raises SafetensorError, OSError or ValueError unless it is whole."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata() or {}
        if list(file.keys()) != ["rows"]:
            raise ValueError(f"got tensors {list(file.keys())}, expected rows")
        rows = file.get_tensor("rows")
    if rows.ndim != 2 or not 1 <= len(rows) <= max_tokens:
        raise ValueError(f"got rows of shape {tuple(rows.shape)}, expected (1..{max_tokens}, D)")
    if about.get("prompt") != prompt or about.get("sha256") != _hash(rows):
        raise ValueError("its prompt or its checksum is another one")
    return PromptEmbedding(rows, int(about.get("num_cut", "")), about.get("unread", ""))


def _hash(rows: Tensor) -> str:
    return hashlib.sha256(rows.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def _replace(path: Path, content: bytes, now: float) -> None:
    """Write a file that appears whole or not at all, dated ``now``."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        file.write(content)
    os.utime(file.name, (now, now))
    os.replace(file.name, path)
