"""A model of a few thousand parameters with random weights, for tests of everything around it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from liveedit_cam.model import EditStream, ModelConfig
from liveedit_cam.model.attention import attend, rotate, rotation_table
from liveedit_cam.model.codec import Codec, CodecStream
from liveedit_cam.model.conditioning import KVPolicy
from liveedit_cam.model.config import CodecConfig, TextConfig
from liveedit_cam.model.dit import CausalDiT, TextKV
from liveedit_cam.model.latent_stream import Networks
from liveedit_cam.model.text import TextEncoder

TINY = ModelConfig(
    name="tiny",
    dim=48,
    ffn_dim=96,
    num_layers=2,
    num_heads=2,
    codec=CodecConfig(latent_channels=8, decoder_width=8, decoder_blocks=1),
    text=TextConfig(width=16, max_tokens=6, num_layers=1, num_heads=2, num_buckets=64),
    prediction="source_change",
    height=64,
    width=96,
    chunk_latents=1,
    window_latents=4,
    num_sink_latents=1,
    freq_dim=32,
)
"""24 tokens a latent at its own picture size; sink, two of history, the current one."""

PAIRED = replace(TINY, chunk_latents=2, window_latents=8, num_sink_latents=2)
"""The same with chunks of two latents: positions inside a chunk matter."""

WORDS = ("make", "it", "blue", "black", "and", "white")

CPU = torch.device("cpu")


def tiny_dit(config: ModelConfig = TINY, seed: int = 0) -> CausalDiT:
    """A DiT whose zero head is drawn anew, so that its output is not trivially 0."""
    torch.manual_seed(seed)
    dit = CausalDiT(config)
    nn.init.normal_(dit.head.head.weight, std=0.1)
    nn.init.normal_(dit.head.head.bias, std=0.1)
    return dit.eval().requires_grad_(False)


def tiny_codec(config: CodecConfig = TINY.codec, residual_std: float = 0.02) -> Codec:
    """A codec with orthonormal axes, the first three the mean of a colour; 0 = no residual."""
    torch.manual_seed(0)
    codec = Codec(config)
    means = torch.eye(3).repeat_interleave(codec.block_values // 3, dim=1)
    axes = torch.cat((means, torch.randn(config.latent_channels - 3, codec.block_values)))
    codec.basis.copy_(torch.linalg.qr(axes.T).Q.T)
    codec.mean.fill_(0.5)
    codec.scale.fill_(4.0)
    nn.init.normal_(codec.residual.weight, std=residual_std)
    return codec.eval().requires_grad_(False)


def tiny_text(config: TextConfig = TINY.text, seed: int = 0) -> TextEncoder:
    """A text encoder with random weights."""
    torch.manual_seed(seed)
    return TextEncoder(config).eval().requires_grad_(False)


def tiny_stream(
    config: ModelConfig = TINY,
    *,
    kv_policy: KVPolicy = "keep",
    residual_std: float = 0.02,
    dit: CausalDiT | None = None,
    dtype: torch.dtype = torch.float32,
) -> EditStream:
    """An EditStream on the CPU; two of one config hold the same weights."""
    codec = CodecStream(tiny_codec(config.codec, residual_std))
    networks = Networks(dit or tiny_dit(config), codec, tiny_text(config.text), frozenset(WORDS))
    return EditStream(config, networks, CPU, dtype, kv_policy=kv_policy)


def write_folder(folder: Path, config: ModelConfig = TINY) -> Path:
    """Write a whole model folder, as training exports it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    (folder / "words.json").write_text(json.dumps(WORDS))
    (folder / "knows.txt").write_text("black and white,\nblue")
    networks = (
        ("model", tiny_dit(config)),
        ("codec", tiny_codec(config.codec)),
        ("text", tiny_text(config.text)),
    )
    for name, network in networks:
        save_file(network.state_dict(), folder / f"{name}.safetensors")
    return folder


def tiny_text_kv(dit: CausalDiT, seed: int = 1) -> list[TextKV]:
    """Cross-attention K and V of a random text."""
    drawn = torch.Generator().manual_seed(seed)
    width = dit.config.text.width
    dtype = dit.head.head.bias.dtype
    return dit.text_kv(torch.randn(1, 5, width, generator=drawn).to(dtype))


def draw_latents(config: ModelConfig, num_latents: int, seed: int) -> torch.Tensor:
    """Random latents float32 (1, C, T, h, w) at the model's own picture size."""
    drawn = torch.Generator().manual_seed(seed)
    stride = config.codec.spatial_stride
    size = (config.height // stride, config.width // stride)
    return torch.randn(1, config.latent_channels, num_latents, *size, generator=drawn)


def moving_frames(num_frames: int, height: int = 64, width: int = 96, seed: int = 0) -> np.ndarray:
    """A smooth picture that drifts to the right; uint8 (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, 3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    frames = [
        np.stack(
            [127 + 100 * np.sin((x - 2 * t) / 17 + y / 23 * (c + 1) + phase[c]) for c in range(3)],
            axis=-1,
        )
        for t in range(num_frames)
    ]
    return np.stack(frames).round().astype(np.uint8)


class NaiveCache:
    """The slow twin of KVCache: a list of K and V per latent, everything rotated anew each call."""

    def __init__(self, config: ModelConfig, grid: tuple[int, int]) -> None:
        self.config = config
        self.grid = grid
        self.latents: list[list[tuple[torch.Tensor, torch.Tensor]]] = []
        """Per committed latent and layer, un-rotated K and V (B, N, H, D)."""
        self.current: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def make_room(self) -> None:
        """Drop the oldest latents after the sinks until the chunk fits."""
        config = self.config
        while len(self.latents) + config.chunk_latents > config.window_latents:
            del self.latents[config.num_sink_latents]

    def commit(self) -> None:
        """Split the current chunk into its latents and append them."""
        n = self.grid[0] * self.grid[1]
        for i in range(self.config.chunk_latents):
            part = slice(i * n, (i + 1) * n)
            layers = range(self.config.num_layers)
            self.latents.append(
                [(self.current[m][0][:, part], self.current[m][1][:, part]) for m in layers]
            )

    def __call__(
        self,
        layer: int,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        tokens: torch.Tensor | None,
    ) -> torch.Tensor:
        """Attend over the latents kept and the whole current chunk."""
        if tokens is None:
            self.current[layer] = (k, v)
        else:
            old_k, old_v = (old.clone() for old in self.current[layer])
            old_k[:, tokens], old_v[:, tokens] = k, v
            self.current[layer] = (old_k, old_v)
        keys = torch.cat([*(kept[layer][0] for kept in self.latents), self.current[layer][0]], 1)
        values = torch.cat([*(kept[layer][1] for kept in self.latents), self.current[layer][1]], 1)
        shown = len(self.latents) + self.config.chunk_latents
        rotation = rotation_table(range(shown), self.grid, self.config.head_dim)
        first = len(self.latents) * self.grid[0] * self.grid[1]
        own = rotation[slice(first, None)]
        own = own if tokens is None else own[tokens]
        return attend(rotate(q, own), rotate(keys, rotation), values)
