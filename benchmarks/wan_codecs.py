"""Codecs of liveedit-1.3b with random weights, for ``wan.py``: ours, and as diffusers runs them."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch import nn

from liveedit_cam.model.speed.compiling import compiled
from liveedit_cam.model.speed.fast import Speed
from liveedit_cam.model.stream_codec import StreamCodec
from liveedit_cam.model.wan.taehv import TAEHV, TaehvCodec
from liveedit_cam.model.wan.vae import WanCodec, channels_last
from liveedit_cam.model.wan.vae_blocks import (
    PLAIN_CODEC_PARTS,
    compiled_codec_parts,
    fuse,
)
from liveedit_cam.model.weights import fast_dtype


class Codecs:
    """Both codecs, one set of weights for all variants of ours."""

    def __init__(self, device: torch.device, base_dim: int) -> None:
        """``base_dim`` 96 = the exact codec's true width."""
        self._device, self._base_dim = device, base_dim
        self._vae = self._new_vae()
        fuse(self._vae)
        with torch.device(device):
            self._tae = TAEHV().to(fast_dtype(device)).eval().requires_grad_(False)

    def _new_vae(self) -> AutoencoderKLWan:
        with torch.device(self._device):
            vae = AutoencoderKLWan(base_dim=self._base_dim)
        nn.Module.to(vae, fast_dtype(self._device))  # theirs would warn
        return vae.eval().requires_grad_(False)

    def of(self, speed: Speed, *, is_light: bool, is_plain: bool) -> StreamCodec:
        """A new stream as ``speed`` has it; ``is_plain`` has diffusers' own blocks."""
        compiler = compiled if speed.compiles_codec else None
        if is_light:
            return TaehvCodec(self._tae, compiler)
        if is_plain:
            return WanCodec(self._new_vae())
        parts = PLAIN_CODEC_PARTS if compiler is None else compiled_codec_parts(compiler)
        fuse(self._vae, parts)
        channels_last(self._vae, is_last=speed.channels_last)
        return WanCodec(self._vae)
