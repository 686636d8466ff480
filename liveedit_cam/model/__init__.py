"""The model as a library: a chunked causal video-diffusion editor, no daemon needed.

What needs torch is loaded when it is asked for: the catalogue of models and the command line read
``config`` only, and torch takes seconds, 180 MB, and its settings from the environment at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from liveedit_cam.model.config import NANO, WAN_1_3B, ModelConfig

if TYPE_CHECKING:
    from liveedit_cam.model.conditioning import TextConditioning
    from liveedit_cam.model.stream import EditStream
    from liveedit_cam.model.weights import load

__all__ = [
    "NANO",
    "WAN_1_3B",
    "EditStream",
    "ModelConfig",
    "TextConditioning",
    "load",
]

_HOMES = {"EditStream": "stream", "TextConditioning": "conditioning", "load": "weights"}
"""Name -> the module it comes from."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
