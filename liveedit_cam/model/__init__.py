"""The model as a library: a chunked causal video-diffusion editor, no daemon needed."""

from liveedit_cam.model.conditioning import TextConditioning
from liveedit_cam.model.config import NANO, WAN_1_3B, ModelConfig
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
