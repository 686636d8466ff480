"""A small text encoder: hashed words and character n-grams, then a transformer.

Trained here, shipped with nano. A word it was never taught still gets an embedding from its
n-grams (so a typo stays close), and is reported by ``unknown_words``. It knows no grammar.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from liveedit_cam.model.config import TextConfig

MAX_GRAMS = 24
_WORD = re.compile(r"[a-z0-9']+")
_ANY_WORD = re.compile(r"(?:[^\W_]|')+")


def split_words(prompt: str) -> list[str]:
    """Lower-case words of ``prompt``; punctuation and hyphens separate."""
    return _WORD.findall(prompt.lower().replace("’", "'"))


def unknown_words(prompt: str, known: Collection[str]) -> tuple[str, ...]:
    """Words of ``prompt`` outside ``known``, in order, each once; of any script, though the model
    reads only a to z.
    """
    words = _ANY_WORD.findall(prompt.lower().replace("’", "'"))
    return tuple(dict.fromkeys(word for word in words if word not in known))


@lru_cache(maxsize=4096)
def bucket_ids(word: str, num_buckets: int) -> tuple[int, ...]:
    """Buckets 1..num_buckets-1 of a word and its 3- and 4-grams; CRC-32, so stable."""
    padded = f"<{word}>"
    grams = [padded[i : i + n] for n in (3, 4) for i in range(len(padded) - n + 1)]
    pieces = [padded, *grams[: MAX_GRAMS - 1]]
    return tuple(1 + zlib.crc32(piece.encode()) % (num_buckets - 1) for piece in pieces)


class TextEncoder(nn.Module):
    """Prompts to embeddings (B, L, D): a summary row first, then one row per word, then zeros."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.num_buckets, config.width, padding_idx=0)
        self.summary = nn.Parameter(torch.randn(config.width) * 0.02)
        self.position = nn.Parameter(torch.randn(config.max_tokens, config.width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            config.width,
            config.num_heads,
            2 * config.width,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, config.num_layers, norm=nn.LayerNorm(config.width), enable_nested_tensor=False
        )

    def forward(self, prompts: Sequence[str]) -> Tensor:
        """Embed ``prompts``; float (B, L, D), rows past a prompt's length are zero.

        Words past the ``max_tokens - 1`` first are cut.
        """
        words = [split_words(prompt)[: self.config.max_tokens - 1] for prompt in prompts]
        length = 1 + max((len(w) for w in words), default=0)
        ids = torch.zeros(len(words), length, MAX_GRAMS, dtype=torch.long)
        for row, sequence in enumerate(words):
            for column, word in enumerate(sequence, start=1):
                buckets = bucket_ids(word, self.config.num_buckets)
                ids[row, column, : len(buckets)] = torch.tensor(buckets)
        ids = ids.to(self.position.device)
        rows = self.table(ids)
        counts = (ids > 0).sum(-1, keepdim=True).clamp_min(1)
        x = rows.sum(dim=2) / counts.sqrt()
        x = torch.cat((self.summary.expand(len(words), 1, -1), x[:, 1:]), dim=1)
        is_padding = ids[:, :, 0] == 0
        is_padding[:, 0] = False
        x = self.layers(x + self.position[:length], src_key_padding_mask=is_padding)
        out = x.new_zeros(len(words), self.config.max_tokens, self.config.width)
        out[:, :length] = x.masked_fill(is_padding.unsqueeze(-1), 0.0)
        return out
