"""An image-editing pipeline of diffusers as an editor: one small frame at a time becomes a field.

``liveedit-cam run --editor diffusers:FOLDER_OR_NAME "make it snow"``. The pipeline may take a
second or more: the camera's picture goes on at its full rate and size, carried by the newest field.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import torch
from diffusers import AutoPipelineForImage2Image, DiffusionPipeline
from PIL import Image

from liveedit_cam.errors import EditorError, InstructionError, UsageError, WeightsError
from liveedit_cam.model.field import fields_of
from liveedit_cam.protocols import Conditioning, EditorOptions, EditorReport
from liveedit_cam.types import EditField, EditInstruction, ModelFrame, ModelSize

if TYPE_CHECKING:
    from liveedit_cam.types import Pixels

PREFIX = "LIVEEDIT_DIFFUSERS_"
"""Of the variables that change how a pipeline is called: SIZE, STEPS, TEMPLATE, OPTIONS."""
DEFAULT_SIZE = 512
"""Side of the square whose pixels a frame has as many as."""
TOKEN_PX = 16
"""Sides of a frame are multiples of this: of every known pipeline's own step, mostly 8 or 16."""
GENERIC = "{}"
"""Template of the prompt: the instruction itself."""


class Pipeline(Protocol):
    """What is needed of a pipeline."""

    def __call__(self, **arguments: Any) -> Any:
        """Pictures of pictures and a prompt."""
        ...


def describe() -> str:
    """One line of help."""
    return (
        "diffusers: a pipeline that edits pictures; diffusers:FOLDER or diffusers:NAME on the hub"
    )


def create(options: EditorOptions) -> DiffusersEditor:
    """Load the pipeline that the target names. Raises UsageError or WeightsError."""
    if not options.target:
        raise UsageError(
            "got the editor diffusers without a pipeline, expected diffusers:FOLDER_OR_NAME",
            hint="Such as diffusers:timbrooks/instruct-pix2pix.",
        )
    device = _device(options.device)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    pipeline = load_pipeline(options.target, dtype)
    if hasattr(pipeline, "set_progress_bar_config"):
        pipeline.set_progress_bar_config(disable=True)
    pipeline = cast("Any", pipeline).to(device)
    return DiffusersEditor(pipeline, device, options.num_steps, Settings.of(os.environ))


def load_pipeline(target: str, dtype: torch.dtype) -> Pipeline:
    """The pipeline in a folder or of a name on the hub, as one that takes a picture.

    Raises WeightsError for what is none, UsageError for one that takes no picture.
    """
    try:
        pipeline = DiffusionPipeline.from_pretrained(target, torch_dtype=dtype)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise WeightsError(
            f"got {target!r}, which diffusers cannot load as a pipeline ({reason})",
            hint="Give a folder with model_index.json, or a name on the hub.",
        ) from error
    if "image" not in _parameters(pipeline):
        try:  # a text-to-image model: the same weights from a picture on
            pipeline = AutoPipelineForImage2Image.from_pipe(pipeline)
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(
                f"got {target!r}, a {type(pipeline).__name__}, which takes no picture; expected a "
                "pipeline that edits pictures",
                hint="Such as instruct-pix2pix, Kontext or Qwen-Image-Edit.",
            ) from error
    return cast("Pipeline", pipeline)


class Settings:
    """How a pipeline is called, from variables of the environment."""

    def __init__(
        self,
        size: int = DEFAULT_SIZE,
        num_steps: int | None = None,
        template: str = GENERIC,
        options: dict[str, float] | None = None,
    ) -> None:
        """``options`` are further numbers of the call; ``template`` holds one pair of braces."""
        self.size = size
        self.num_steps = num_steps
        self.template = template
        self.options = options or {}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Settings:
        """Of the variables. Raises UsageError for a value that cannot be."""
        options = {}
        for part in filter(None, environ.get(f"{PREFIX}OPTIONS", "").split(",")):
            name, _, value = part.partition("=")
            if not re.fullmatch(r"-?\d+(\.\d+)?", value.strip()):
                raise UsageError(f"got {PREFIX}OPTIONS with {part!r}, expected name=number,...")
            options[name.strip()] = float(value)
        template = environ.get(f"{PREFIX}TEMPLATE", GENERIC)
        if template.count("{}") != 1:
            raise UsageError(f"got {PREFIX}TEMPLATE = {template!r}, expected one {{}} in it")
        size = _whole(environ, "SIZE", 64, 2048) or DEFAULT_SIZE
        return cls(size, _whole(environ, "STEPS", 1, 200), template, options)


def _whole(environ: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = environ.get(PREFIX + name)
    if text is None:
        return None
    if not text.isdecimal() or not low <= int(text) <= high:
        raise UsageError(f"got {PREFIX}{name} = {text!r}, expected a number from {low} to {high}")
    return int(text)


class DiffusersEditor:
    """One frame, one call of the pipeline, one field."""

    chunk_frames = 1

    def __init__(
        self, pipeline: Pipeline, device: str, num_steps: int | None, settings: Settings
    ) -> None:
        """``num_steps`` of --steps wins over that of ``settings``; None = the pipeline's own.

        Raises UsageError for an option that the pipeline does not have.
        """
        self._pipeline = pipeline
        self._device = device
        self._settings = settings
        self._num_steps = num_steps or settings.num_steps
        known = _parameters(pipeline)
        strange = sorted(settings.options.keys() - known)
        if strange:
            raise UsageError(
                f"got {PREFIX}OPTIONS with {strange[0]!r}, which {type(pipeline).__name__} does "
                "not have",
                hint=f"It has {', '.join(sorted(known))}.",
            )
        self._known = known
        self.name = type(pipeline).__name__
        self.size = ModelSize(TOKEN_PX, max(4, (settings.size // TOKEN_PX) ** 2))

    def encode(self, instruction: EditInstruction) -> Conditioning:
        """The prompt, in its template: pipelines encode it themselves. Raises InstructionError."""
        if not instruction.prompt.strip():
            raise InstructionError("got an empty instruction, expected words")
        return Conditioning(instruction, self._settings.template.format(instruction.prompt))

    def edit(
        self, frames: Sequence[ModelFrame], conditioning: Conditioning, *, every_frame: bool
    ) -> list[EditField]:
        """One field a frame. The same seed for each: other noise would flicker."""
        instruction = conditioning.instruction
        pictures = np.stack(
            [
                self._picture(frame.pixels, conditioning.payload, instruction.seed)
                for frame in frames
            ]
        )
        return fields_of(
            frames,
            pictures,
            instruction.revision,
            strength=instruction.strength,
            region=instruction.region,
        )

    def _picture(self, pixels: Pixels, prompt: str, seed: int) -> Pixels:
        """What the pipeline makes of uint8 (h, w, 3), in the same size."""
        height, width = pixels.shape[:2]
        arguments: dict[str, Any] = {
            "image": Image.fromarray(np.ascontiguousarray(pixels)),
            "prompt": prompt,
            "generator": torch.Generator("cpu").manual_seed(seed),
            "output_type": "pil",
            **self._settings.options,
        }
        optional = {
            "height": height,
            "width": width,
            "max_area": height * width,  # Kontext enlarges to a megapixel otherwise
            "num_inference_steps": self._num_steps,
        }
        arguments |= {
            name: value
            for name, value in optional.items()
            if value is not None and name in self._known
        }
        with torch.inference_mode():
            made = self._pipeline(**arguments)
        picture = made.images[0]
        if not isinstance(picture, Image.Image):
            raise EditorError(
                f"got a {type(picture).__name__} of {self.name}, expected a picture",
                hint="Choose a pipeline that edits pictures.",
            )
        if picture.size != (width, height):  # some have sizes of their own
            picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        return np.asarray(picture.convert("RGB"), np.uint8)

    def report(self) -> EditorReport:
        """Where it runs and how many steps it takes."""
        return EditorReport(device=self._device, num_steps=self._num_steps or 0)

    def reset(self) -> None:
        """No frame is remembered."""

    def close(self) -> None:
        """Let the pipeline go."""
        self._pipeline = _closed


def _closed(**arguments: Any) -> Any:
    raise EditorError("The editor was closed, expected no more edits.")


def _parameters(pipeline: object) -> set[str]:
    """Names of the arguments of its call."""
    return set(inspect.signature(type(pipeline).__call__).parameters) - {"self"}


def _device(device: str) -> str:
    if device != "auto":
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
