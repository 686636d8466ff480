"""UMT5-XXL as Wan2.1 uses it: prompts to embeddings of up to 512 tokens.

The network is transformers' UMT5EncoderModel, read on first use and given back by ``free``; it
takes 11 GB in bfloat16. The tokenizer is read from its own ``tokenizer.json``. Knows nothing of the
cache on disk (``prompt_cache.py``) nor of the DiT.
"""

from __future__ import annotations

import gc
import hashlib
import html
import importlib
import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from liveedit_cam.errors import MissingDependencyError, WeightsError, shown

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import UMT5EncoderModel

MAX_TOKENS = 512
"""Rows Wan's cross-attention sees, whatever the length of the prompt."""

_SAMPLE_BYTES = 1 << 16
"""Read from the end of each weight file to tell it from others of the same shapes."""

_UNREADABLE = (OSError, ValueError, KeyError, SafetensorError)
"""What transformers and safetensors raise for files that are not what they should be."""

_RENEW = "Pull the model again: `liveedit-cam models pull liveedit-1.3b`."


@dataclass(frozen=True, slots=True, eq=False)
class PromptEmbedding:
    """What an encoder makes of one prompt."""

    rows: Tensor
    """(n, D), one row per token, the end token included; 1 <= n <= the encoder's most."""
    num_cut: int = 0
    """Tokens at the prompt's end that did not fit and have no row."""
    unread: str = ""
    """Their text."""

    @property
    def notice(self) -> str | None:
        """What the user should know; None = nothing."""
        if self.num_cut == 0:
            return None
        return (
            f"The instruction is {self.num_cut} tokens longer than the {len(self.rows)} the model "
            f"reads; its end is ignored."
        )


def pad_rows(embeddings: Sequence[PromptEmbedding], max_tokens: int) -> Tensor:
    """Stack to (B, max_tokens, D), rows past the length of a prompt zero; B >= 1."""
    first = embeddings[0].rows
    out = first.new_zeros(len(embeddings), max_tokens, first.shape[1])
    for row, embedding in zip(out, embeddings, strict=True):
        row[: len(embedding.rows)] = embedding.rows
    return out


def clean_prompt(prompt: str) -> str:
    """A prompt as Wan cleans it: text repaired, HTML unescaped twice, white space collapsed.

    The repair is ftfy's, where that is installed (the extra ``wan`` brings it). Without it,
    typographic quotes stay as they are instead of becoming ' and ", and so do full-width letters,
    ligatures and text decoded wrongly (Ã© for é): other tokens than Wan was trained with. Plain
    text comes out the same.
    """
    if importlib.util.find_spec("ftfy") is not None:
        prompt = importlib.import_module("ftfy").fix_text(prompt)
    return " ".join(html.unescape(html.unescape(prompt)).split())


class Umt5Encoder:
    """Prompts to embeddings, by the encoder in a folder; a PromptEncoder. One thread owns it.

    The folder holds config.json, safetensors (one file, or shards with their index) and
    tokenizer.json, as in Wan2.1's diffusers release (``text_encoder`` and ``tokenizer``).
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        *,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        """Read nothing yet."""
        self.folder = folder
        self.device = device
        self.dtype = dtype
        self.max_tokens = max_tokens
        self._loaded: tuple[UMT5EncoderModel, Tokenizer] | None = None
        self._identity: str | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the network is in memory."""
        return self._loaded is not None

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (B, max_tokens, D) in the encoder's dtype, on its device, zero-padded.

        Raises what ``embed`` raises.
        """
        return pad_rows(self.embed(prompts), self.max_tokens)

    @torch.no_grad()
    def embed(self, prompts: Sequence[str]) -> list[PromptEmbedding]:
        """Rows of each prompt and how much of it was cut. Reads the network on first use.

        One prompt at a time and without padding: the mask would hide it, and so the rows of a
        prompt do not depend on its neighbours. Raises MissingDependencyError and WeightsError.
        """
        model, tokenizer = self._load()
        embeddings = []
        for prompt in prompts:
            clean = clean_prompt(prompt)
            encoding = tokenizer.encode(clean)
            ids, unread = encoding.ids, ""
            num_cut = max(0, len(ids) - self.max_tokens)
            if num_cut:
                start = encoding.offsets[self.max_tokens - 1][0]
                unread = clean[clean.rfind(" ", 0, start + 1) + 1 :]  # from a whole word on
                ids = ids[: self.max_tokens - 1] + ids[-1:]  # the end token stays
            rows = model(input_ids=torch.tensor([ids], device=model.device)).last_hidden_state
            embeddings.append(PromptEmbedding(rows[0].to(self.dtype), num_cut, unread))
        return embeddings

    def free(self) -> None:
        """Give the memory back; the next ``embed`` reads the network again."""
        self._loaded = None
        gc.collect()  # a network holds itself in cycles
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def num_bytes(self) -> int:
        """Memory the network takes, from the headers of its files; 0 where they are not whole."""
        numbers = 0
        for path in self.folder.glob("*.safetensors"):
            if not _is_whole(path):
                return 0  # reading it says what is wrong
            with safe_open(path, framework="pt") as file:
                shapes = (file.get_slice(name).get_shape() for name in sorted(file.keys()))
                numbers += sum(math.prod(shape) for shape in shapes)
        return numbers * self.dtype.itemsize

    def identity(self) -> str | None:
        """Tells this encoder's embeddings from another's; None = the folder has no encoder.

        A hash of config.json, tokenizer.json and, per weight file, its size, its safetensors
        header and a sample; not of dates, so that a copy is the same. Fast, also for 11 GB.
        """
        if self._identity is None:
            weights = sorted(self.folder.glob("*.safetensors"))
            described = [self.folder / "config.json", self.folder / "tokenizer.json"]
            if not weights or not all(path.is_file() for path in described):
                return None
            digest = hashlib.sha256()
            for path in described:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            for path in weights:
                digest.update(_fingerprint(path))
            self._identity = digest.hexdigest()
        return self._identity

    def _load(self) -> tuple[UMT5EncoderModel, Tokenizer]:
        if self._loaded is None:
            self._check_folder()
            tokenizer = _read_tokenizer(self.folder / "tokenizer.json")
            model = self._read_model()
            _check_tokenizer(tokenizer, model.config, self.folder)
            self._loaded = model, tokenizer
        return self._loaded

    def _check_folder(self) -> None:
        if self.identity() is None:
            raise WeightsError(
                f"got text encoder folder {self.folder}, expected config.json, tokenizer.json and "
                f"*.safetensors in it",
                hint=_RENEW,
            )

    def _read_model(self) -> UMT5EncoderModel:
        """The network, ready to run; nothing in it is left at random."""
        try:
            from transformers import UMT5EncoderModel
        except ImportError as error:
            raise _missing("The text encoder UMT5", "transformers", error) from error
        from_pretrained: Any = UMT5EncoderModel.from_pretrained  # two results, typed as one
        try:
            model, report = from_pretrained(
                str(self.folder),
                dtype=self.dtype,
                local_files_only=True,
                use_safetensors=True,
                ignore_mismatched_sizes=True,  # reported below, with the missing ones
                output_loading_info=True,
            )
        except _UNREADABLE as error:
            raise WeightsError(
                f"got text encoder folder {self.folder}, which transformers cannot read "
                f"({type(error).__name__}: {shown(str(error))})",
                hint=_RENEW,
            ) from error
        wrong = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
        if wrong:
            raise WeightsError(
                f"got text encoder folder {self.folder}, which lacks {len(wrong)} tensors of its "
                f"config.json or has them in another shape, such as {shown(wrong[0])}",
                hint=_RENEW,
            )
        loaded: UMT5EncoderModel = model.to(self.device).eval().requires_grad_(False)
        return loaded


def _is_whole(path: Path) -> bool:
    try:
        with safe_open(path, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False


def _fingerprint(path: Path) -> bytes:
    """Hash of a safetensors file's size, header and end."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest = hashlib.sha256(f"{path.name} {size} ".encode() + file.read())
        file.seek(0)
        header_bytes = int.from_bytes(file.read(8), "little")
        digest.update(file.read(min(header_bytes, size)))
    return digest.digest()


def _read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer as published, without the padding and the cut its file may ask for."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing("The tokenizer of UMT5", "tokenizers", error) from error
    try:
        tokenizer = Tokenizer.from_str(path.read_text("utf-8"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise WeightsError(f"got {path}, which is no tokenizer ({error})", hint=_RENEW) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _check_tokenizer(tokenizer: Tokenizer, config: Any, folder: Path) -> None:
    """Raise WeightsError for a tokenizer of another model than the network beside it."""
    last = tokenizer.encode("a").ids[-1:]
    if tokenizer.get_vocab_size() > config.vocab_size or last != [config.eos_token_id]:
        raise WeightsError(
            f"got {folder}/tokenizer.json with {tokenizer.get_vocab_size()} words that ends a text "
            f"with {last}, expected at most {config.vocab_size} and [{config.eos_token_id}]",
            hint=_RENEW,
        )


def _missing(what: str, package: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(
        f"{what} needs {package}, which cannot be imported: {error}.",
        hint="Install it: pip install 'liveedit-cam[wan]'",
    )
