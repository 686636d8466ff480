"""The released size put together: transformer, Wan codec or the light one, UMT5 with its cache.

A folder of it holds config.json, model.safetensors (bfloat16), vae/, text/ and prompts/, as
``liveedit-cam models pull`` leaves them; text/ may be missing where every prompt was encoded ahead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.model.conditioning import KVPolicy
from liveedit_cam.model.config import ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.latent_stream import Networks
from liveedit_cam.model.speed.compiling import compiled
from liveedit_cam.model.speed.fast import Speed, best_speed
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.wan.lora import merge_lora, parse_lora, read_lora
from liveedit_cam.model.wan.prompt_cache import CachedPrompts
from liveedit_cam.model.wan.taehv import load_taehv
from liveedit_cam.model.wan.umt5 import Umt5Encoder, pad_rows
from liveedit_cam.model.wan.vae import load_wan_vae
from liveedit_cam.model.weight_files import load_weights_to
from liveedit_cam.types import CodecChoice

SPARE_BYTES = 1 << 30
"""Beside the weights of the text encoder, for its work."""
ROOM_BYTES = 4 << 30
"""Free memory beside the text encoder from which on it stays on the device between prompts."""

_log = logging.getLogger(__name__)

FILES = ("config.json", "model.safetensors", "vae/config.json",
         "vae/diffusion_pytorch_model.safetensors")  # fmt: skip
LIGHT_CODEC_FILE = "taew2_1.safetensors"


def preset_encoder(folder: Path, config: ModelConfig, device: torch.device) -> CachedPrompts:
    """The text encoder of a folder with its cache, for encoding ahead; free it afterwards."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    encoder = Umt5Encoder(folder / "text", device, dtype, max_tokens=config.text.max_tokens)
    return CachedPrompts(encoder, folder / "prompts")


class LazyText:
    """A PromptEncoder that is on the device while it works, and stays where there is room.

    Where there never is room for it, or where memory runs out, it encodes on the processor.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        dtype: torch.dtype,
        limit: int,
        free_bytes: Callable[[torch.device], int] | None = None,
    ) -> None:
        """``folder`` of the model; ``limit`` of tokens; ``free_bytes`` of a device now."""
        self._encoder = Umt5Encoder(folder / "text", device, dtype, max_tokens=limit)
        self._cached = CachedPrompts(self._encoder, folder / "prompts")
        self._free_bytes = free_bytes or free_on
        self._may_stay = True
        self.unread = ""

    def __call__(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings (B, L, D), from disk where a prompt was met before."""
        self._choose_place()
        try:
            return self._padded(prompts)
        except torch.OutOfMemoryError:
            if self._encoder.device.type == "cpu":
                raise
            _log.warning("no room for the text encoder on %s; it goes on", self._encoder.device)
            self.to_cpu()
            return self._padded(prompts)
        finally:
            if not self._stays():
                self._cached.free()

    def _padded(self, prompts: Sequence[str]) -> Tensor:
        embeddings = self._cached.embed(prompts)
        self.unread = " ".join(one.unread for one in embeddings)
        return pad_rows(embeddings, self._encoder.max_tokens)

    def to_cpu(self) -> None:
        """Encode on the processor from now on: slower, and nothing on the device."""
        self._may_stay = False
        self._cached.free()
        self._encoder.device = torch.device("cpu")

    def let_go(self) -> bool:
        """As MovableText."""
        was_kept = self._may_stay and self._encoder.is_loaded
        self._may_stay = False
        self._cached.free()
        return was_kept

    def _choose_place(self) -> None:
        device = self._encoder.device
        if device.type == "cpu" or self._encoder.is_loaded:
            return
        if self._free_bytes(device) < self._encoder.num_bytes() + SPARE_BYTES:
            _log.info("the text encoder does not fit on %s; it encodes on the processor", device)
            self.to_cpu()

    def _stays(self) -> bool:
        device = self._encoder.device
        return device.type != "cpu" and self._may_stay and self._free_bytes(device) >= ROOM_BYTES


def free_on(device: torch.device) -> int:
    """Bytes that this process could still allocate on a CUDA device, its own reserve included."""
    free, _ = torch.cuda.mem_get_info(device)
    reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(free + reserve)


def load_wan(
    folder: Path,
    config: ModelConfig,
    device: torch.device,
    dtype: torch.dtype,
    *,
    kv_policy: KVPolicy = "keep",
    speed: Speed | None = None,
    codec: CodecChoice = "wan",
    lora: str | None = None,
) -> EditStream:
    """Load the folder's networks, not yet warmed up.

    ``codec`` "tiny" takes the light one from the start; ``lora`` is FILE or FILE:STRENGTH. Raises
    WeightsError for files that do not fit ``config``, UsageError for a GPU without bfloat16.
    """
    if device.type == "cuda" and dtype != torch.bfloat16:
        raise UsageError(
            f"got {torch.cuda.get_device_name(device)}, which has no bfloat16, for {config.name}",
            hint="Use a GPU of 2020 or later (Ampere), or --model nano.",
        )
    chosen = best_speed(device) if speed is None else speed
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # few shapes, all met while it warms up
    with torch.device("meta"):
        dit = CausalDiT(config)
    load_weights_to(dit, folder / "model.safetensors", device, dtype)
    if lora is not None:
        path, strength = parse_lora(lora)
        merge_lora(dit, read_lora(path, dit), strength)
    light = folder / LIGHT_CODEC_FILE
    if codec == "tiny" and not light.is_file():
        raise WeightsError(
            f"got codec tiny, but {LIGHT_CODEC_FILE} is not in {folder}",
            hint=f"Pull it: `liveedit-cam models pull {config.name}`, or use --codec wan.",
        )
    is_light, compiler = codec == "tiny", compiled if chosen.compiles_codec else None
    exact = partial(
        load_wan_vae,
        folder / "vae",
        is_channels_last=chosen.channels_last,
        compiler=compiler,
    )
    make_light = partial(load_taehv, light, device, dtype, compiler=compiler)
    networks = Networks(
        dit,
        make_light() if is_light else exact(device, dtype),
        LazyText(folder, device, dtype, config.text.max_tokens),
        decodes_source=is_light,  # what a light codec loses would look like an edit
        light_codec=make_light if light.is_file() and not is_light else None,
    )
    return EditStream(config, networks, device, dtype, kv_policy=kv_policy, speed=chosen)
