"""LoRA: small differences of a network's products, read from a file, merged, applied or trained.

A layer's weight W becomes W + strength (alpha / rank) up down (Hu et al. 2021). The names that are
read are those of Wan itself (ComfyUI, DiffSynth), of diffusers and PEFT, and of kohya's scripts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from liveedit_cam.errors import UsageError, WeightsError, shown
from liveedit_cam.model.wan.checkpoint import from_diffusers

DEFAULT_LAYERS = ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o",
                  "cross_attn.q", "cross_attn.k", "cross_attn.v", "cross_attn.o",
                  "ffn.0", "ffn.2")  # fmt: skip
"""Layers of a block that a new LoRA changes."""

_ROLE = re.compile(r"\.(?:lora_(A|B|down|up)(?:\.default)?\.weight|(alpha))$")
_IS_DOWN = {"A": "down", "down": "down", "B": "up", "up": "up"}
_PREFIXES = ("base_model.model.", "diffusion_model.", "transformer.", "model.", "dit.")
_KOHYA = "lora_unet_"


@dataclass(frozen=True, slots=True, eq=False)
class LoraPair:
    """The difference of one layer."""

    down: Tensor
    """(rank, inputs)."""
    up: Tensor
    """(outputs, rank)."""
    alpha: float

    @property
    def scale(self) -> float:
        """What ``up down`` is multiplied by at strength 1."""
        return self.alpha / self.down.shape[0]

    def difference(self) -> Tensor:
        """float32 (outputs, inputs) at strength 1."""
        return self.scale * (self.up.float() @ self.down.float())


def parse_lora(spec: str) -> tuple[Path, float]:
    """``FILE`` or ``FILE:STRENGTH`` as both. Raises UsageError."""
    name, colon, strength = spec.rpartition(":")
    if not colon or not re.fullmatch(r"-?[\d.]+", strength):
        return Path(spec), 1.0
    try:
        value = float(strength)
    except ValueError:
        value = math.inf
    if not -4 <= value <= 4:
        raise UsageError(
            f"got a LoRA strength of {shown(strength)}, expected a number from -4 to 4"
        )
    return Path(name), value


def read_lora(path: Path, network: nn.Module) -> dict[str, LoraPair]:
    """The differences in ``path`` by the names of ``network``'s layers.

    Raises WeightsError for what is no whole LoRA of this network.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            f"got {path}, which is no whole safetensors file ({error})",
            hint="Give a LoRA in safetensors form.",
        ) from error
    layers = {name: module for name, module in network.named_modules() if _is_linear(module)}
    found: dict[str, dict[str, Tensor]] = {}
    strange = []
    for name, tensor in tensors.items():
        role = _ROLE.search(name)
        layer = None if role is None else _layer_name(name[: role.start()], layers)
        if role is None or layer is None:
            strange.append(name)
        else:
            found.setdefault(layer, {})[_IS_DOWN.get(role[1], "alpha")] = tensor
    if strange or not found:
        raise WeightsError(
            f"got {path}, of whose {len(tensors)} tensors {len(strange)} belong to no layer of "
            f"this model{f', such as {shown(sorted(strange)[0])}' if strange else ''}",
            hint="Give a LoRA of Wan2.1 1.3B that holds pairs of low rank alone.",
        )
    return {name: _pair(path, name, parts, layers[name]) for name, parts in found.items()}


def _pair(path: Path, name: str, parts: Mapping[str, Tensor], layer: nn.Module) -> LoraPair:
    weight = layer.weight
    assert isinstance(weight, Tensor), "a linear layer has a weight"
    outputs, inputs = weight.shape
    down, up = parts.get("down"), parts.get("up")
    if down is None or up is None:
        raise WeightsError(
            f"got {path}, whose {name} has no {'down' if down is None else 'up'} matrix",
            hint="The file is not whole: copy it again.",
        )
    rank = down.shape[0]
    if rank == 0 or tuple(down.shape) != (rank, inputs) or tuple(up.shape) != (outputs, rank):
        raise WeightsError(
            f"got {path}, whose {name} is {tuple(up.shape)} by {tuple(down.shape)}, expected "
            f"({outputs}, rank) by (rank, {inputs})",
            hint="Give a LoRA of Wan2.1 1.3B; one of 14B does not fit.",
        )
    alpha = parts.get("alpha")
    return LoraPair(down, up, float(rank if alpha is None else alpha))


def _layer_name(name: str, layers: Iterable[str]) -> str | None:
    """``name`` as the network spells it; None = it has no such layer."""
    if name.startswith(_KOHYA):
        spelt = name.removeprefix(_KOHYA)
        return next((layer for layer in layers if layer.replace(".", "_") == spelt), None)
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for candidate in (name, from_diffusers(f"{name}.").removesuffix(".")):
        if candidate in layers:
            return candidate
    return None


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


@torch.no_grad()
def merge_lora(network: nn.Module, pairs: Mapping[str, LoraPair], strength: float) -> None:
    """Add ``strength`` times the differences to the weights, in place; costs nothing afterwards."""
    for name, pair in pairs.items():
        weight = network.get_submodule(name).weight
        assert isinstance(weight, Tensor), f"{name} has no weight"
        changed = weight.float() + strength * pair.difference().to(weight.device)
        weight.copy_(changed)


class LoraLinear(nn.Module):
    """A frozen Linear with a difference of low rank beside it, which may learn."""

    def __init__(self, base: nn.Linear, pair: LoraPair, strength: float = 1.0) -> None:
        """``pair`` is copied to the place and type of ``base``."""
        super().__init__()
        self.base = base.requires_grad_(False)
        self.down = nn.Parameter(pair.down.detach().to(base.weight).clone())
        self.up = nn.Parameter(pair.up.detach().to(base.weight).clone())
        self.alpha = pair.alpha
        self.scale = strength * pair.scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        out: Tensor = self.base(x)
        return out + self.scale * F.linear(F.linear(x, self.down), self.up)


def apply_lora(network: nn.Module, pairs: Mapping[str, LoraPair], strength: float = 1.0) -> None:
    """The exact twin of ``merge_lora``: the differences stay beside the weights, in place."""
    for name, pair in pairs.items():
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Linear), f"{name} is no plain Linear"
        network.set_submodule(name, LoraLinear(layer, pair, strength))


def new_lora(network: nn.Module, rank: int, generator: torch.Generator) -> dict[str, LoraPair]:
    """Differences of zero for the products of every block, to be trained: up 0, down random."""
    pairs = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear) and name.endswith(DEFAULT_LAYERS) and "blocks." in name:
            down = torch.randn(rank, layer.in_features, generator=generator) / math.sqrt(
                layer.in_features
            )
            pairs[name] = LoraPair(down, torch.zeros(layer.out_features, rank), float(rank))
    return pairs


def save_lora(network: nn.Module, path: Path) -> None:
    """Write every LoraLinear of ``network`` under Wan's names; the file appears whole."""
    tensors: dict[str, Tensor] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, LoraLinear):
            outer = f"diffusion_model.{name}"
            tensors[f"{outer}.lora_down.weight"] = layer.down.detach().cpu().float().contiguous()
            tensors[f"{outer}.lora_up.weight"] = layer.up.detach().cpu().float().contiguous()
            tensors[f"{outer}.alpha"] = torch.tensor(layer.alpha)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial)
    partial.replace(path)
