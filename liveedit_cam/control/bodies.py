"""Bodies of the requests, checked by pydantic; what a prompt may hold the Controller decides."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from liveedit_cam.limits import Seed, Strength, is_inside
from liveedit_cam.types import MAX_TRANSITION_S, Choice, Fit, LatencyMode, Mode, Region


class RegionBody(BaseModel):
    """A rectangle as shares of the picture."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    width: float = Field(gt=0, le=1)
    height: float = Field(gt=0, le=1)

    @model_validator(mode="after")
    def stay_inside(self) -> RegionBody:
        """Refuse a rectangle that reaches beyond the picture."""
        if not is_inside(Region(self.x, self.y, self.width, self.height)):
            raise PydanticCustomError("region", "The region reaches beyond the picture")
        return self


class InstructionBody(BaseModel):
    """Body of ``POST /api/instruction``; what the prompt may hold the Controller decides."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    prompt: str
    strength: Strength = 1.0
    region: RegionBody | None = None
    seed: Seed = 0
    transition_s: float = Field(0.0, ge=0, le=MAX_TRANSITION_S)


class ModeBody(BaseModel):
    """Body of ``POST /api/mode``."""

    model_config = ConfigDict(extra="forbid")
    mode: Mode


class LatencyBody(BaseModel):
    """Body of ``POST /api/latency``."""

    model_config = ConfigDict(extra="forbid")
    latency: LatencyMode


class PictureBody(BaseModel):
    """Body of ``POST /api/picture``; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    fit: Fit | None = None
    mirror: bool | None = None


class ChoiceBody(BaseModel):
    """Body of ``POST /api/choice``; a trial changes nothing."""

    model_config = ConfigDict(extra="forbid")
    what: Choice
    value: Annotated[str, Field(min_length=1, max_length=2000)]
    is_trial: bool = False


class CheckBody(BaseModel):
    """Body of ``POST /api/check``: an instruction somebody is typing."""

    model_config = ConfigDict(extra="forbid")
    prompt: str


class RecordBody(BaseModel):
    """Body of ``POST /api/recording``: begin one, with sound where a microphone is named."""

    model_config = ConfigDict(extra="forbid")
    path: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    with_source: bool = False
    badge: bool = False
    microphone: Annotated[str, Field(max_length=200)] | None = None


class ApplyBody(BaseModel):
    """Body of ``POST /api/preset``."""

    model_config = ConfigDict(extra="forbid")
    name: str


class PresetBody(BaseModel):
    """Body of ``PUT /api/presets``; its values are checked as those of the file are."""

    model_config = ConfigDict(extra="forbid")
    preset: dict[str, Any]
