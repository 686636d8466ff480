"""The diffusion transformer: the Wan2.1 block, with the source latent beside the noisy one.

One class at every size. Parameter names are Wan-native, so released weights load by name. It
knows neither schedule nor cache policy: how a layer attends is handed in (``SelfAttend``), which
tokens it recomputes is handed in (``Reuse``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from liveedit_cam.model.attention import SelfAttend, attend
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.features import place_features, timestep_features
from liveedit_cam.model.reuse import Reuse, attend_only, of_tokens
from liveedit_cam.model.source_encoder import Match, SourceEncoder

TextKV = tuple[Tensor, Tensor]
"""Cross-attention keys and values of one layer, each (B, L, H, D)."""


class RMSNorm(nn.Module):
    """x / rms(x) * weight over the last axis; computed in float32."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Last axis D, any shape before it; the same shape and dtype out."""
        return F.rms_norm(x.float(), x.shape[-1:], eps=self.eps).type_as(x) * self.weight


class Attention(nn.Module):
    """The four projections of an attention layer, with RMS-normalised queries and keys."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim)
        self.v = nn.Linear(config.dim, config.dim)
        self.o = nn.Linear(config.dim, config.dim)
        self.norm_q = RMSNorm(config.dim, config.eps)
        self.norm_k = RMSNorm(config.dim, config.eps)

    def query(self, x: Tensor) -> Tensor:
        """(B, N, D) to (B, N, H, D/H)."""
        return self.norm_q(self.q(x)).unflatten(-1, (self.num_heads, -1))

    def key_value(self, x: Tensor) -> TextKV:
        """(B, N, D) to two of (B, N, H, D/H)."""
        k = self.norm_k(self.k(x)).unflatten(-1, (self.num_heads, -1))
        return k, self.v(x).unflatten(-1, (self.num_heads, -1))

    def output(self, x: Tensor) -> Tensor:
        """(B, N, H, D/H) to (B, N, D)."""
        return self.o(x.flatten(-2))


Modulation = tuple[Tensor, ...]
"""Shift, scale and gate of the self-attention, then of the FFN, each (B, T, D)."""


class Block(nn.Module):
    """Self-attention, cross-attention to the text, FFN; modulated by the timestep per latent."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        dim = config.dim
        self.norm1 = nn.LayerNorm(dim, eps=config.eps, elementwise_affine=False)
        self.self_attn = Attention(config)
        self.norm3 = nn.LayerNorm(dim, eps=config.eps)
        self.cross_attn = Attention(config)
        self.norm2 = nn.LayerNorm(dim, eps=config.eps, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(dim, config.ffn_dim), nn.GELU("tanh"), nn.Linear(config.ffn_dim, dim)
        )
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / math.sqrt(dim))
        self.text_modulation = _zeros_linear(dim, 6 * dim) if config.text_modulation else None
        self.parts = PLAIN_PARTS

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        text: TextKV,
        layer: int,
        attend_self: SelfAttend,
        reuse: Reuse | None,
        *,
        only_kv: bool = False,
    ) -> Tensor:
        """One block. x (B, N, D); time (B, T, 6, D), each row for the N/T tokens of a latent.

        ``only_kv`` stops once keys and values are written: the last block of a clean-context pass.
        """
        parts = self.parts
        six = self._six(time, text)
        y = parts.enter(self, x, six)
        tokens = reuse.tokens("self_attention") if reuse else None
        q, k, v = parts.project(self, y if tokens is None else y[:, tokens])
        out = attend_self(layer, q, k, v, tokens)
        if only_kv:
            return x
        out = self.self_attn.output(out)
        if reuse:
            out = reuse.merge("self_attention", layer, tokens, out)
        x, y = parts.cross(self, x, out, six, text)
        tokens = reuse.tokens("ffn") if reuse else None
        out = parts.feed(self, y if tokens is None else y[:, tokens])
        if reuse:
            out = reuse.merge("ffn", layer, tokens, out)
        return parts.leave(x, out, six)

    def _six(self, time: Tensor, text: TextKV) -> Modulation:
        """Six of shape (B, T, D): of the timestep, and where the size has it of the instruction, by
        the value of its first row.
        """
        modulation = self.modulation.unsqueeze(1) + time
        if self.text_modulation is not None:
            summary = text[1][:, 0].flatten(1)
            modulation = modulation + self.text_modulation(summary).unflatten(-1, (1, 6, -1))
        return modulation.unbind(2)


def _enter(block: Block, x: Tensor, six: Modulation) -> Tensor:
    """What the self-attention sees of x, (B, N, D)."""
    return _modulate(block.norm1(x), six[0], six[1])


def _project(block: Block, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Un-rotated q, k, v of the self-attention, each (B, n, H, D/H)."""
    k, v = block.self_attn.key_value(y)
    return block.self_attn.query(y), k, v


def _cross(
    block: Block, x: Tensor, out: Tensor, six: Modulation, text: TextKV
) -> tuple[Tensor, Tensor]:
    """x with self-attention and cross-attention added, and what the FFN sees; both (B, n, D)."""
    x = _add_gated(x, out, six[2])
    query = block.cross_attn.query(block.norm3(x))
    x = x + block.cross_attn.output(attend(query, *text))
    return x, _modulate(block.norm2(x), six[3], six[4])


def _feed(block: Block, y: Tensor) -> Tensor:
    """The FFN of tokens (B, n, D)."""
    return block.ffn(y)


def _leave(x: Tensor, out: Tensor, six: Modulation) -> Tensor:
    """x (B, n, D) with the FFN's output added."""
    return _add_gated(x, out, six[5])


@dataclass(frozen=True, slots=True)
class BlockParts:
    """The pure parts of a block: what lies between its self-attention and the mask cache.

    Exchangeable for faster functions of the same meaning, such as compiled ones.
    """

    enter: Callable[[Block, Tensor, Modulation], Tensor] = _enter
    project: Callable[[Block, Tensor], tuple[Tensor, Tensor, Tensor]] = _project
    cross: Callable[[Block, Tensor, Tensor, Modulation, TextKV], tuple[Tensor, Tensor]] = _cross
    feed: Callable[[Block, Tensor], Tensor] = _feed
    leave: Callable[[Tensor, Tensor, Modulation], Tensor] = _leave


PLAIN_PARTS = BlockParts()


class Head(nn.Module):
    """Last norm and projection to the latent values of a token."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, eps=config.eps, elementwise_affine=False)
        self.head = nn.Linear(config.dim, config.patch**2 * config.latent_channels)
        self.modulation = nn.Parameter(torch.randn(1, 2, config.dim) / math.sqrt(config.dim))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x (B, N, D), time (B, T, D) to (B, N, patch^2 C)."""
        shift, scale = (self.modulation.unsqueeze(1) + time.unsqueeze(2)).unbind(2)
        return self.head(_modulate(self.norm(x), shift, scale))


class CausalDiT(nn.Module):
    """Wan2.1's transformer over [noisy | source] latents, block-causal by the way it attends."""

    def __init__(self, config: ModelConfig) -> None:
        """Random weights; the head starts at zero, so an untrained model predicts 0."""
        super().__init__()
        self.config = config
        self.recomputes = False
        """Compute each block again in the backward pass instead of keeping what it needs."""
        patch = (1, config.patch, config.patch)
        self.patch_embedding = nn.Conv3d(
            2 * config.latent_channels, config.dim, kernel_size=patch, stride=patch
        )
        self.position_embedding = (
            _zeros_linear(2 * config.position_waves + 1, config.dim)
            if config.position_waves
            else None
        )
        self.source_encoder, self.match = None, None
        if (sizes := config.source_encoder) is not None:
            self.source_encoder = SourceEncoder(sizes, config.latent_channels)
            self.source_embedding = _zeros_linear(config.patch**2 * sizes.widths[0], config.dim)
            self.match = Match(sizes, config.text.width)
            self.match_embedding = _zeros_linear(config.patch**2 * sizes.num_matches, config.dim)
        self.text_embedding = nn.Sequential(
            nn.Linear(config.text.width, config.dim),
            nn.GELU("tanh"),
            nn.Linear(config.dim, config.dim),
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(config.freq_dim, config.dim), nn.SiLU(), nn.Linear(config.dim, config.dim)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(config.dim, 6 * config.dim))
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_layers))
        self.head = Head(config)
        nn.init.zeros_(self.head.head.weight)
        nn.init.zeros_(self.head.head.bias)

    def grid(self, latents: Tensor) -> tuple[int, int]:
        """Tokens (h, w) of one latent of ``latents`` (B, C, T, H, W)."""
        return latents.shape[-2] // self.config.patch, latents.shape[-1] // self.config.patch

    def text_kv(self, embeddings: Tensor) -> list[TextKV]:
        """K and V of each cross-attention, then what ``match`` seeks; embeddings (B, L, D)."""
        context = self.text_embedding(embeddings)
        blocks = cast("Iterable[Block]", self.blocks)  # ModuleList forgets what it holds
        every = [block.cross_attn.key_value(context) for block in blocks]
        return every if self.match is None else [*every, self.match.sought(embeddings)]

    def forward(
        self,
        noisy: Tensor,
        source: Tensor,
        timestep: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
        reuse: Reuse | None = None,
    ) -> Tensor:
        """Network output for ``noisy`` beside ``source``, both (B, C, T, H, W).

        timestep float (B, T), 0..1000, one per latent; returns (B, C, T, H, W). What it means is
        ``ModelConfig.prediction``.
        """
        x, embedded, time = self.embed(noisy, source, timestep, text)
        tokens = reuse.tokens("network") if reuse else None
        if tokens is not None:
            attend_self = attend_only(attend_self, tokens)
            embedded, time = (of_tokens(rows, tokens, x.shape[1]) for rows in (embedded, time))
            x = x[:, tokens]
        for layer, block in enumerate(self.blocks):
            if self.recomputes and torch.is_grad_enabled():
                x = checkpoint(
                    block, x, time, text[layer], layer, attend_self, reuse, use_reentrant=False
                )
            else:
                x = block(x, time, text[layer], layer, attend_self, reuse)
        out = self.head(x, embedded)
        if reuse:
            out = reuse.merge("network", 0, tokens, out)
        return self._unpatchify(out, self.grid(noisy))

    def write_context(
        self,
        clean: Tensor,
        source: Tensor,
        text: Sequence[TextKV],
        attend_self: SelfAttend,
    ) -> None:
        """The clean-context pass: ``clean`` and ``source`` (B, C, T, H, W) at timestep 0, run for
        its keys and values alone, which ``attend_self`` keeps.
        """
        timestep = torch.zeros(clean.shape[0], clean.shape[2], device=clean.device)
        x, _, time = self.embed(clean, source, timestep, text)
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks):
            x = block(x, time, text[layer], layer, attend_self, None, only_kv=layer == last)

    def embed(
        self, noisy: Tensor, source: Tensor, timestep: Tensor, text: Sequence[TextKV] = ()
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (B, N, D), timestep embedding (B, T, D) and its projection (B, T, 6, D).

        ``text`` is what ``text_kv`` made; without a source encoder it is not needed here. Latents
        of any float type; from here on everything is in the type of the weights.
        """
        weight = self.patch_embedding.weight
        x = self._patchify(torch.cat((noisy, source), dim=1)).to(weight.dtype)
        x = F.linear(x, weight.flatten(1), self.patch_embedding.bias)
        if self.position_embedding is not None:
            places = place_features(self.grid(noisy), self.config.position_waves, x.device).to(x)
            x = x + self.position_embedding(places).repeat(noisy.shape[2], 1)
        if self.source_encoder is not None:
            features = self.source_encoder(source.to(weight.dtype))
            x = x + self.source_embedding(self._patchify(features))
            assert self.match is not None  # they come together
            found = self.match(features, text[-1]).sigmoid()
            x = x + self.match_embedding(self._patchify(found))
        embedded = self.time_embedding(timestep_features(timestep, self.config.freq_dim).to(x))
        return x, embedded, self.time_projection(embedded).unflatten(-1, (6, -1))

    def _patchify(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, T h w, C p p): a convolution without overlap is a product."""
        p = self.config.patch
        x = x.unflatten(-1, (-1, p)).unflatten(-3, (-1, p))  # (B, C, T, h, p, w, p)
        return x.permute(0, 2, 3, 5, 1, 4, 6).flatten(4).flatten(1, 3)

    def _unpatchify(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, T h w, p p C), channel fastest, to (B, C, T, H, W)."""
        p = self.config.patch
        x = x.unflatten(-1, (p, p, -1)).unflatten(1, (-1, *grid))  # (B, T, h, w, p, p, C)
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


def _zeros_linear(inputs: int, outputs: int) -> nn.Linear:
    """A layer that adds nothing until it is trained."""
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(linear.weight)
    return linear


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """x (B, N, D) times 1 + scale plus shift, each (B, T, D) for N/T tokens."""
    latents = x.unflatten(1, (shift.shape[1], -1))
    return torch.addcmul(shift.unsqueeze(2), latents, 1 + scale.unsqueeze(2)).flatten(1, 2)


def _add_gated(x: Tensor, out: Tensor, gate: Tensor) -> Tensor:
    """x plus ``out``, both (B, N, D), times gate (B, T, D) for N/T tokens."""
    latents = (gate.shape[1], -1)
    total = torch.addcmul(x.unflatten(1, latents), out.unflatten(1, latents), gate.unsqueeze(2))
    return total.flatten(1, 2)
