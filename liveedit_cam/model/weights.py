"""Models on disk: where they lie, what is in them, and a loaded EditStream.

A model folder holds config.json, model.safetensors, codec.safetensors, text.safetensors and
words.json. Nothing half-loaded is ever returned: names and shapes must match exactly.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from liveedit_cam.errors import UsageError, WeightsError
from liveedit_cam.model.codec import Codec, CodecStream
from liveedit_cam.model.config import PRESETS, ModelConfig
from liveedit_cam.model.dit import CausalDiT
from liveedit_cam.model.mask_cache import CacheTarget
from liveedit_cam.model.stream import EditStream, KVPolicy
from liveedit_cam.model.text import TextEncoder

FILES = ("config.json", "model.safetensors", "codec.safetensors", "text.safetensors", "words.json")

_RENEW = "Reinstall liveedit-cam or pull the model again."

_DESCRIPTIONS = {
    "nano": "small editor trained by this project, shipped with it; runs on two CPU cores",
    "liveedit-1.3b": "LiveEdit on Wan2.1-1.3B; needs a GPU and weights that are not shipped",
}


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One model, for ``liveedit-cam models list``."""

    name: str
    description: str
    path: Path
    """Its folder, whether or not it is there."""
    size_bytes: int
    """Size of its files; 0 where it is not installed."""
    is_installed: bool


def models_folder() -> Path:
    """Where model folders lie: in the installed package, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_models"
    return shipped if shipped.is_dir() else package.parent / "models"


def list_models() -> tuple[ModelInfo, ...]:
    """Every model this version knows, installed or not."""
    return tuple(_info(name) for name in PRESETS)


def _info(name: str) -> ModelInfo:
    folder = models_folder() / name
    is_installed = all((folder / file).is_file() for file in FILES)
    size = sum(p.stat().st_size for p in folder.iterdir()) if is_installed else 0
    return ModelInfo(name, _DESCRIPTIONS[name], folder, size, is_installed)


def load(
    model: str = "nano",
    device: str = "auto",
    *,
    cache_target: CacheTarget = "self_attention",
    kv_policy: KVPolicy = "keep",
) -> EditStream:
    """Load a model by name or folder. Raises UsageError (name, device) or WeightsError (files)."""
    folder = _folder(model)
    config = read_config(folder / "config.json")
    target = choose_device(device)
    dit, codec, text = CausalDiT(config), Codec(config.codec), TextEncoder(config.text)
    for network, file in ((dit, "model"), (codec, "codec"), (text, "text")):
        load_weights(network, folder / f"{file}.safetensors")
    words = read_words(folder / "words.json")
    for network in (codec, text):  # float32: rounding in the codec would look like a change
        network.to(target).float().eval().requires_grad_(False)
    return EditStream(
        config,
        dit,
        CodecStream(codec),
        text,
        words,
        target,
        fastest_dtype(target),
        cache_target=cache_target,
        kv_policy=kv_policy,
    )


def _folder(model: str) -> Path:
    folder = models_folder() / model if model in PRESETS else Path(model)
    missing = [file for file in FILES if not (folder / file).is_file()]
    if not missing:
        return folder
    if model in PRESETS:
        raise WeightsError(
            f"got model {model!r}, whose {', '.join(missing)} is not in {folder}",
            hint="Choose --model nano." if model != "nano" else "Reinstall liveedit-cam.",
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


def read_words(path: Path) -> frozenset[str]:
    """The words a model was taught. Raises WeightsError."""
    words = _read_json(path)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise WeightsError(f"got {path}, expected a list of words", hint=_RENEW)
    return frozenset(words)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"got {path}, which is no readable JSON ({error})", hint=_RENEW
        ) from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill ``network`` with exactly the tensors of a safetensors file. Raises WeightsError."""
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"got {path} ({path.stat().st_size if path.is_file() else 0} bytes), which is no "
            f"whole safetensors file ({error})",
            hint=_RENEW,
        ) from error
    problems = name_problems(network.state_dict(), tensors)
    if problems:
        raise WeightsError(f"got {path}, which does not fit the model: {problems}", hint=_RENEW)
    network.load_state_dict(tensors)


def name_problems(expected: dict[str, Tensor], got: dict[str, Tensor]) -> str:
    """What is missing, extra or of another shape, the first few each; empty when all fits."""
    shapes = [
        f"{name} is {tuple(got[name].shape)}, expected {tuple(expected[name].shape)}"
        for name in expected.keys() & got.keys()
        if got[name].shape != expected[name].shape
    ]
    groups = (
        ("missing", sorted(expected.keys() - got.keys())),
        ("extra", sorted(got.keys() - expected.keys())),
        ("wrong shape", sorted(shapes)),
    )
    return "; ".join(
        f"{len(names)} {what}: {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
        for what, names in groups
        if names
    )


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


def fastest_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where its matrix products beat float32 on this device, by a short measurement."""
    if device.type != "cpu":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return min((torch.float32, torch.bfloat16), key=_product_seconds)


def _product_seconds(dtype: torch.dtype) -> float:
    """Best of a few, so that a pause of this process does not decide."""
    a = torch.ones(256, 256, dtype=dtype)
    seconds = []
    for _ in range(8):
        began = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - began)
    return min(seconds)
