"""The released size put together: transformer, Wan codec or the light one, UMT5 with its cache.

A folder of it holds config.json, model.safetensors (bfloat16), vae/, text/ and prompts/, as
``liveedit-cam models pull`` leaves them; text/ may be missing where every prompt was encoded ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from liveedit_cam.model.conditioning import KVPolicy
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.speed.fast import Speed
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.wan.prompt_cache import CachedPrompts
from liveedit_cam.model.wan.taehv import load_taehv
from liveedit_cam.model.wan.umt5 import Umt5Encoder
from liveedit_cam.model.wan.vae import load_wan_vae
from liveedit_cam.model.weight_files import load_weights_to

FILES = ("config.json", "model.safetensors", "vae/config.json",
         "vae/diffusion_pytorch_model.safetensors")  # fmt: skip
LIGHT_CODEC_FILE = "taew2_1.safetensors"


def preset_encoder(folder: Path, config: ModelConfig, device: torch.device) -> CachedPrompts:
    """The text encoder of a folder with its cache, for encoding ahead; free it afterwards."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    encoder = Umt5Encoder(folder / "text", device, dtype, max_tokens=config.text.max_tokens)
    return CachedPrompts(encoder, folder / "prompts")


class LazyText:
    """A PromptEncoder that is on the device only while it works."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, limit: int) -> None:
        """``folder`` of the model; ``limit`` of tokens."""
        self._encoder = Umt5Encoder(folder / "text", device, dtype, max_tokens=limit)
        self._cached = CachedPrompts(self._encoder, folder / "prompts")

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (B, L, D), from disk where a prompt was met before."""
        try:
            return self._cached(prompts)
        finally:
            self._cached.free()

    def to_cpu(self) -> None:
        """Encode on the processor from now on: slower, and nothing on the device."""
        self._encoder.device = torch.device("cpu")


def is_wan_folder(folder: Path) -> bool:
    """Whether a model folder is of this kind."""
    return (folder / "vae").is_dir()


def load_wan(
    folder: Path,
    config: ModelConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    kv_policy: KVPolicy = "keep",
    speed: Speed | None = None,
) -> EditStream:
    """Load the folder's networks. Raises WeightsError for files that do not fit ``config``."""
    with torch.device("meta"):
        dit = CausalDiT(config)
    load_weights_to(dit, folder / "model.safetensors", device, dtype)
    light = folder / LIGHT_CODEC_FILE
    stream = EditStream(
        config,
        dit,
        load_wan_vae(folder / "vae", device, dtype),
        LazyText(folder, device, dtype, config.text.max_tokens),
        None,
        device,
        dtype,
        decodes_source=False,
        light_codec=(lambda: load_taehv(light, device, dtype)) if light.is_file() else None,
        kv_policy=kv_policy,
        speed=speed,
    )
    stream.warm_up()
    return stream
