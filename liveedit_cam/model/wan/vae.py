"""The Wan2.1 autoencoder as a stream: groups of frames to latents and back, with memory.

The networks are those of diffusers' AutoencoderKLWan; what is kept between groups is ours, one list
of features per direction and stream, so that several streams can share one set of weights. LiveEdit
feeds pixels in [0, 1] to it as they are (its script's ``wo_scale``), not mapped to [-1, 1].
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from liveedit_cam.errors import MissingDependencyError, WeightsError
from liveedit_cam.model.speed.compiling import Compiler
from liveedit_cam.model.stream_codec import check_frames, check_latents
from liveedit_cam.model.wan.vae_blocks import PLAIN_CODEC_PARTS, Feature, compiled_codec_parts, fuse
from liveedit_cam.model.weight_files import load_weights

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

FRAMES_PER_LATENT = 4

_RENEW = "Pull the model again: `liveedit-cam models pull liveedit-1.3b`."


@dataclass(slots=True)
class _Memory:
    """What one direction keeps of a stream."""

    features: list[Feature] = field(default_factory=list)
    """One per causal layer, in the order diffusers visits them."""
    shape: tuple[int, ...] | None = None
    """Of the newest call's input; None = nothing came yet."""


def channels_last(vae: nn.Module, *, is_last: bool = True) -> None:
    """Lay out the weights of its convolutions as tensor cores read them. Exact but for rounding.

    ``is_last`` False lays them out as they were.
    """
    for module in vae.modules():
        if isinstance(module, nn.Conv3d | nn.Conv2d):
            last = torch.channels_last_3d if isinstance(module, nn.Conv3d) else torch.channels_last
            form = last if is_last else torch.contiguous_format
            module.weight.data = module.weight.data.contiguous(memory_format=form)


class WanCodec:
    """One stream through an AutoencoderKLWan; a StreamCodec. One thread owns it.

    The first call encodes frame 0 alone, then the others; the first decodes latent 0 alone. So a
    stream encoded as 9, 12, 12 frames (1 | 8 | 12 | 12) and decoded 3 latents at a time (1 | 2 | 3
    | 3) gives what the whole clip at once gives, and holds one group.
    """

    one_by_one = False
    """As FrugalCodec: the widest layers hold 4 frames at a time instead of 12."""

    def __init__(self, vae: AutoencoderKLWan) -> None:
        """Use ``vae`` on its device and in its dtype; another stream may use it too."""
        self.vae = vae
        statistics = [vae.config["latents_mean"], vae.config["latents_std"]]
        self._mean, self._std = torch.tensor(statistics, device=vae.device).view(2, 1, -1, 1, 1, 1)
        self.reset()

    @property
    def latent_channels(self) -> int:
        return int(self.vae.config["z_dim"])

    @property
    def spatial_stride(self) -> int:
        return 1 << (len(self.vae.config["dim_mult"]) - 1)  # halved between levels

    @property
    def num_bytes(self) -> int:
        """Memory that the stream keeps between calls, weights not counted."""
        kept = [*self._encoded.features, *self._decoded.features]
        return sum(x.numel() * x.element_size() for x in kept if isinstance(x, Tensor))

    def reset(self) -> None:
        self._encoded = _Memory(_no_features(self.vae.encoder))
        self._decoded = _Memory(_no_features(self.vae.decoder))

    def frames_for(self, num_latents: int) -> int:
        is_first = self._encoded.shape is None
        return FRAMES_PER_LATENT * num_latents - (FRAMES_PER_LATENT - 1 if is_first else 0)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Normalised means (not samples) of the next frames; shapes as StreamCodec says."""
        is_first = self._encoded.shape is None
        check_frames(frames, self._encoded.shape, FRAMES_PER_LATENT, self.spatial_stride)
        self._encoded.shape = tuple(frames.shape)
        pixels = self._laid_out(frames.to(self.vae.device, self.vae.dtype))
        size = FRAMES_PER_LATENT if self.one_by_one else pixels.shape[2]
        groups = [
            self.vae.quant_conv(self._run(self.vae.encoder, group, self._encoded))
            for group in _groups(pixels, size, split_first=is_first)
        ]
        means = torch.cat(groups, dim=2)[:, : self.latent_channels]
        return (means.float() - self._mean) / self._std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """The next frames, clamped to [0, 1]; shapes as StreamCodec says."""
        check_latents(latents, self._decoded.shape, self.latent_channels)
        is_first = self._decoded.shape is None
        self._decoded.shape = tuple(latents.shape)
        z = latents.to(self.vae.device).float() * self._std + self._mean
        z = self.vae.post_quant_conv(self._laid_out(z.to(self.vae.dtype)))
        size = 1 if self.one_by_one else z.shape[2]
        groups = [
            self._run(self.vae.decoder, group, self._decoded).float().clamp(0, 1)
            for group in _groups(z, size, split_first=is_first)
        ]
        return groups[0] if len(groups) == 1 else torch.cat(groups, dim=2)

    def _laid_out(self, x: Tensor) -> Tensor:
        """Channels last where the weights are.

        On a processor 9 of the decoder's 48 convolutions still see it so; what it gives on a GPU
        is for ``benchmarks/wan.py`` to say.
        """
        weight = self.vae.post_quant_conv.weight
        is_last = weight.is_contiguous(memory_format=torch.channels_last_3d)
        return x.contiguous(memory_format=torch.channels_last_3d) if is_last else x

    @staticmethod
    def _run(network: Callable[..., Tensor], group: Tensor, memory: _Memory) -> Tensor:
        """One call of diffusers' encoder or decoder, which renews ``memory.features`` in place."""
        return network(group, feat_cache=memory.features, feat_idx=[0])


def _groups(x: Tensor, size: int, *, split_first: bool) -> tuple[Tensor, ...]:
    """Parts of ``x`` of ``size`` along time that go through a network in one call each."""
    if not split_first or x.shape[2] == 1:
        return x.split(size, dim=2)
    return x[:, :, :1], *x[:, :, 1:].split(size, dim=2)


def _no_features(network: nn.Module) -> list[Feature]:
    """Room for every causal layer; those without time leave theirs unused."""
    return [None] * sum(isinstance(module, nn.Conv3d) for module in network.modules())


def load_wan_vae(
    folder: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    is_channels_last: bool = False,
    compiler: Compiler | None = None,
) -> WanCodec:
    """The codec in ``folder`` (config.json and safetensors of AutoencoderKLWan), as a new stream.

    Raises MissingDependencyError (no diffusers) and WeightsError (not readable, weights missing or
    of another shape, or an autoencoder of another kind, such as Wan2.2's).
    """
    try:
        from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    except ImportError as error:
        raise MissingDependencyError(
            f"The Wan codec cannot be loaded: {error}.", hint="Install it: pip install diffusers"
        ) from error

    config = _read_config(folder / "config.json")
    vae = AutoencoderKLWan.from_config(config)
    load_weights(vae, folder / "diffusion_pytorch_model.safetensors")
    nn.Module.to(vae, device, dtype)  # diffusers' own would warn of nothing: "[]"
    fuse(vae, PLAIN_CODEC_PARTS if compiler is None else compiled_codec_parts(compiler))
    if is_channels_last:
        channels_last(vae)
    return WanCodec(vae.eval().requires_grad_(False))


def _read_config(path: Path) -> dict[str, Any]:
    """What diffusers builds the autoencoder from. Raises WeightsError."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"got {path}, which is no readable JSON ({error})", hint=_RENEW
        ) from error
    if not isinstance(config, dict) or config.get("_class_name") != "AutoencoderKLWan":
        raise WeightsError(f"got {path}, which is not of an AutoencoderKLWan", hint=_RENEW)
    if config.get("is_residual") or config.get("patch_size"):
        raise WeightsError(f"got {path} of Wan2.2's autoencoder, expected Wan2.1's", hint=_RENEW)
    return config
