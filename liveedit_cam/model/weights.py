"""Models on disk: where they lie, what is in them, and a loaded EditStream.

A model folder holds config.json, model.safetensors, codec.safetensors, text.safetensors and
words.json. Nothing half-loaded is ever returned: names and shapes must match exactly.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.folders import shipped_models, user_models
from liveedit_cam.model.codec import Codec, CodecStream
from liveedit_cam.model.conditioning import KVPolicy
from liveedit_cam.model.config import NANO, PRESETS, ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.latent_stream import Networks
from liveedit_cam.model.speed.fast import Speed, best_speed
from liveedit_cam.model.stream import EditStream
from liveedit_cam.model.text import TextEncoder
from liveedit_cam.model.wan.load import FILES as WAN_FILES
from liveedit_cam.model.wan.load import load_wan
from liveedit_cam.model.weight_files import RENEW, load_weights
from liveedit_cam.types import CodecChoice

FILES = ("config.json", "model.safetensors", "codec.safetensors", "text.safetensors", "words.json")


def load(
    model: str = "nano",
    device: str = "auto",
    *,
    kv_policy: KVPolicy | None = None,
    speed: Speed | None = None,
    uses_fp8: bool = False,
    codec: CodecChoice = "wan",
    lora: str | None = None,
    warms_up: bool = True,
) -> EditStream:
    """Load a model by name or folder. Raises UsageError (name, device) or WeightsError (files).

    ``kv_policy`` None = reset for models like nano (kept, the last edit shows for a while: 5.6 dB
    are lacking in the first chunk, docs/paper.md), keep for released weights. ``speed`` None =
    the best for the device, with 8-bit products where ``uses_fp8``. ``codec`` "tiny" and ``lora``,
    FILE or FILE:STRENGTH, are for models like the released. What it compiles is compiled here,
    unless ``warms_up`` is False.
    """
    folder = _folder(model)
    config = read_config(folder / "config.json")
    target = choose_device(device)
    if uses_fp8:
        speed = replace(speed or best_speed(target), uses_fp8=True)
    if config.codec.kind == "wan":
        stream = load_wan(
            folder,
            config,
            target,
            fast_dtype(target),
            kv_policy=kv_policy or "keep",
            speed=speed,
            codec=codec,
            lora=lora,
        )
        if warms_up:
            stream.warm_up()
        return stream
    if codec != "wan" or lora is not None:
        raise UsageError(
            f"got {'a LoRA' if lora else f'codec {codec}'} for {config.name}, which takes none",
            hint="Choose --model liveedit-1.3b.",
        )
    stream = _load_small(folder, config, target, kv_policy or "reset", speed)
    if warms_up:
        stream.warm_up()
    return stream


def _load_small(
    folder: Path,
    config: ModelConfig,
    target: torch.device,
    kv_policy: KVPolicy,
    speed: Speed | None,
) -> EditStream:
    """A model like nano, whose codec and text encoder are its own."""
    dit, codec, text = CausalDiT(config), Codec(config.codec), TextEncoder(config.text)
    for network, file in ((dit, "model"), (codec, "codec"), (text, "text")):
        load_weights(network, folder / f"{file}.safetensors")
    words = read_words(folder / "words.json")
    for network in (codec, text):  # float32: rounding in the codec would look like a change
        network.to(target).float().eval().requires_grad_(False)
    networks = Networks(dit, CodecStream(codec), text, words)
    dtype = fast_dtype(target)
    return EditStream(config, networks, target, dtype, kv_policy=kv_policy, speed=speed)


def named_folder(name: str) -> Path:
    """Where the model of that name lies or would lie: shipped, or pulled by this user."""
    shipped = shipped_models() / name
    is_shipped = (shipped / "model.safetensors").is_file()
    return shipped if is_shipped else user_models(os.environ) / name


def _folder(model: str) -> Path:
    folder = named_folder(model) if model in PRESETS else Path(model)
    path = folder / "config.json"
    config = read_config(path) if path.is_file() else PRESETS.get(model, NANO)
    needed = WAN_FILES if config.codec.kind == "wan" else FILES
    missing = [file for file in needed if not (folder / file).is_file()]
    if not missing:
        return folder
    if model in PRESETS:
        raise WeightsError(
            f"got model {model!r}, whose {', '.join(missing)} is not in {folder}",
            hint=f"Pull it: `liveedit-cam models pull {model}`, or choose --model nano."
            if model != NANO.name
            else "Reinstall liveedit-cam.",
        )
    if not folder.is_dir():
        raise UsageError(
            f"got model {model!r}, expected one of {', '.join(PRESETS)} or a model folder",
            hint="See `liveedit-cam models list`.",
        )
    raise WeightsError(
        f"got model folder {folder} without {', '.join(missing)}",
        hint="Give a folder that holds " + ", ".join(FILES) + ".",
    )


def read_config(path: Path) -> ModelConfig:
    """ModelConfig of a model folder. Raises WeightsError."""
    return ModelConfig.from_dict(_read_json(path))


def what_it_knows(model: str) -> str:
    """What instructions a model knows, for people: the text of its ``knows.txt``; "" = none."""
    path = _folder(model) / "knows.txt"
    try:
        return " ".join(path.read_text("utf-8").split())
    except FileNotFoundError:
        return ""


def read_words(path: Path) -> frozenset[str]:
    """The words a model was taught. Raises WeightsError."""
    words = _read_json(path)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise WeightsError(f"got {path}, expected a list of words", hint=RENEW)
    return frozenset(words)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"got {path}, which is no readable JSON ({error})", hint=RENEW
        ) from error


def choose_device(device: str) -> torch.device:
    """The torch device of "auto", "cpu", "cuda", "cuda:N", "mps". Raises UsageError."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    try:
        chosen = torch.device(device)
        count = counts[chosen.type]
    except (RuntimeError, KeyError) as error:
        raise UsageError(
            f"got device {device!r}, expected auto, cpu, cuda, cuda:N or mps"
        ) from error
    if (chosen.index or 0) >= count:
        raise UsageError(
            f"got device {device!r}, but this machine has {count} {chosen.type} devices usable by "
            f"torch {torch.__version__}",
            hint="Use --device cpu, or install a torch built for that device.",
        )
    return chosen


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the device multiplies matrices of it faster than of float32, else float32.

    The same on every start: what the device has decides, not a measurement.
    """
    if device.type == "cuda":
        is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        is_fast = device.type == "cpu" and _has_bfloat16_products(cpu_capabilities())
    return torch.bfloat16 if is_fast else torch.float32


def cpu_capabilities() -> Mapping[str, object]:
    """What torch says that the processor can do; nothing where torch is too old to say."""
    say = getattr(torch.cpu, "get_capabilities", None)
    return {} if say is None else say()


def _has_bfloat16_products(can: Mapping[str, object]) -> bool:
    """Whether oneDNN has such products here: AVX-512 or AMX, or those of ARM on Linux."""
    if can.get("architecture") == "x86_64":
        return bool(can.get("avx512_bf16") or can.get("amx_bf16"))
    return bool(can.get("bf16")) and sys.platform == "linux"
