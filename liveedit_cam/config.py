"""One validated ``Config``, built once from file, environment and flags, then passed down.

Later layers win: the TOML file, then ``LIVEEDIT_CAM_*`` variables, then the command line. A name
nobody knows is an error in each of them. Knows no backend: a source is a string here.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)
from pydantic_core import ErrorDetails

from liveedit_cam.errors import ConfigError, did_you_mean, shown
from liveedit_cam.folders import user_folder
from liveedit_cam.limits import Seed, Strength
from liveedit_cam.prompt import LEAVE
from liveedit_cam.protocols import EditorOptions
from liveedit_cam.types import MAX_PROMPT_CHARS, Fit, LatencyMode, Mode, OnFailure

PREFIX = "LIVEEDIT_CAM_"
NOT_CONFIG = frozenset({"LIVEEDIT_CAM_RUNTIME_DIR", "LIVEEDIT_CAM_MODELS_DIR"})
"""Variables with our prefix that are read elsewhere: see ``control.state`` and ``folders``."""
SECRETS = frozenset({"obs_password", "remote_token"})
"""Settings whose value no message may show."""

Text = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]


RENAMED = {"target_fps": "max_field_age_ms"}
"""Settings of earlier versions, and what does their work now."""


def _number(value: object) -> object:
    """A variable's text as a number, where it is one."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class Config(BaseModel):
    """Everything a run needs to know; the same names in file, environment and flags."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    source: Text = "auto"
    """where frames come from, as kind or kind:target"""
    sinks: Annotated[tuple[Text, ...], Field(min_length=1)] = ("auto",)
    """where frames go, one or more, as kind or kind:target"""
    prompt: Text = LEAVE
    """the first instruction, 1 to 2000 characters"""
    strength: Strength = 1.0
    """how much of the edit is shown, 0 (nothing) to 1 (all)"""
    mode: Mode = Mode.EDIT
    """what the sinks show at first: edit, bypass or slate"""
    seed: Seed = 0
    """start of the random numbers, a whole number from 0"""
    editor: Text = "diffusion"
    """what edits, as kind or kind:target: diffusion, remote:wss://HOST:PORT, or a plugin's"""
    remote_token: SecretStr | None = None
    """token of a remote editor's server, better given as a variable"""
    remote_certificate: Path | None = None
    """PEM file a remote editor's server is checked by; left out = the system's authorities"""
    model: Text = "nano"
    """name of the model, see `liveedit-cam models list`"""
    device: Text = "auto"
    """where the model runs: auto, cpu, cuda, cuda:1, mps"""
    width: int = Field(1280, ge=64, le=3840, multiple_of=2)
    """width of the sinks in pixels, even, 64 to 3840"""
    height: int = Field(720, ge=64, le=2160, multiple_of=2)
    """height of the sinks in pixels, even, 64 to 2160"""
    fps: float = Field(30.0, ge=1, le=60)
    """frames per second of the sinks, 1 to 60"""
    fit: Fit = Fit.BARS
    """how a picture of another shape fills the sinks: bars, crop or stretch"""
    mirror: bool = False
    """whether left and right are exchanged, true or false"""
    port: int = Field(8642, ge=0, le=65535)
    """port of the control page on 127.0.0.1, 0 takes any free one"""
    on_failure: OnFailure = OnFailure.SLATE
    """what is shown while there is no edited picture: slate, or raw (the camera itself)"""
    hold_s: float = Field(2.0, ge=0, le=3600)
    """seconds the last edited picture is held before on_failure applies, 0 to 3600"""
    loop: bool = True
    """whether a video file starts again at its end, true or false"""
    realtime: bool = True
    """whether a video file plays at its own speed, true or false"""
    latency: LatencyMode = LatencyMode.LIVE
    """live (edit every frame at once) or exact (each frame waits for its own edit)"""
    steps: Annotated[Literal[1, 2, 4] | None, BeforeValidator(_number)] = None
    """denoising steps of an edit, 1, 2 or 4; left out = the model's own, fewer on a slow machine"""
    codec: Literal["wan", "tiny"] = "wan"
    """codec of liveedit-1.3b: wan (exact), or tiny (faster, less memory, softer)"""
    window: Annotated[Literal[6, 9, 12, 21] | None, BeforeValidator(_number)] = None
    """latents that liveedit-1.3b sees, 6, 9, 12 or 21; left out = 12"""
    paper_mode: bool = False
    """run liveedit-1.3b as the paper's code: 21 latents, no sinks, pictures squeezed to 832x480"""
    fp8: bool = False
    """products of liveedit-1.3b in 8-bit floats, on GPUs that have them; costs accuracy"""
    lora: Text | None = None
    """LoRA file for liveedit-1.3b, as FILE or FILE:STRENGTH"""
    max_field_age_ms: float | None = Field(250.0, gt=0, le=10_000)
    """age in milliseconds that fewer steps keep an edit younger than, up to 10000"""
    edit_timeout_s: float = Field(20.0, gt=0, le=3600)
    """seconds one edit may take before the engine is started again, up to 3600"""
    delay_ms: float | None = Field(None, ge=0, le=10_000)
    """fixed delay of the exact picture in milliseconds, 0 to 10000; left out = found by itself"""
    on_demand: Literal["off", "camera", "all"] = "off"
    """what rests while nobody watches: off (nothing), camera, or all (camera and engine)"""
    engine_rest_s: float = Field(600.0, ge=0, le=86_400)
    """seconds nobody must watch before on_demand = "all" frees the engine, too, 0 to 86400"""
    on_lock: Literal["keep", "release"] = "keep"
    """what becomes of the camera while the screen is locked: keep, or release (Linux)"""
    record_folder: Path | None = None
    """folder of recordings made beside a run; left out = Videos in your home"""
    obs: Literal["auto", "on", "off"] = "auto"
    """whether OBS may change the instruction: auto (if there is a rule file), on or off"""
    obs_host: Text = "127.0.0.1"
    """computer that OBS runs on"""
    obs_port: int = Field(4455, ge=1, le=65535)
    """port of OBS's web socket, 1 to 65535"""
    obs_password: SecretStr | None = None
    """password of OBS's web socket, better given as a variable; left out = looked up"""
    obs_rules: Path | None = None
    """rule file; left out = obs.toml beside the user's configuration"""
    osc_port: int | None = Field(None, ge=1, le=65535)
    """UDP port of 127.0.0.1 that takes OSC messages, 1 to 65535; left out = none"""
    midi: str | None = Field(None, max_length=200)
    """part of the name of a MIDI device, "" = the first one; left out = none"""
    hotkeys: bool = False
    """whether Ctrl+Alt and a preset's key work in every program, true or false"""

    @property
    def editor_options(self) -> EditorOptions:
        """What this run asks of its editor; ``doctor`` tries the same one."""
        return EditorOptions(
            self.model,
            self.device,
            self.steps,
            None if self.max_field_age_ms is None else self.max_field_age_ms / 1000,
            token=None if self.remote_token is None else self.remote_token.get_secret_value(),
            certificate=self.remote_certificate,
            codec=self.codec,
            window=self.window,
            is_paper_mode=self.paper_mode,
            uses_fp8=self.fp8,
            lora=self.lora,
        )


@dataclass(frozen=True, slots=True)
class _Setting:
    """One value and the place it came from."""

    value: object
    place: str
    """For people: "config.toml line 3", "LIVEEDIT_CAM_WIDTH", "command line"."""


def load_config(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]
) -> Config:
    """Build the configuration of a run.

    ``path`` None = the user's own file where there is one; a flag that is None was not given.
    Raises ConfigError with place, value and what was expected.
    """
    settings = {
        **_from_file(path, environ),
        **_from_environ(environ),
        **{
            name: _Setting(value, "command line")
            for name, value in flags.items()
            if value is not None
        },
    }
    for name, setting in settings.items():
        if name not in Config.model_fields:
            raise _unknown(name, setting)
    try:
        return Config.model_validate({name: setting.value for name, setting in settings.items()})
    except ValidationError as error:
        raise _not_valid(error.errors()[0], settings) from error


def default_path(environ: Mapping[str, str], platform: str = sys.platform) -> Path:
    """Where the user's own configuration file is looked for; it need not exist."""
    return user_folder("config", environ, platform) / "config.toml"


def _from_file(path: Path | None, environ: Mapping[str, str]) -> dict[str, _Setting]:
    file = path or default_path(environ)
    if path is None and not file.exists():
        return {}
    try:
        text = file.read_text("utf-8")
        found = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            f"the configuration {file} cannot be read: {error.strerror}.",
            hint="Name a readable TOML file with --config.",
        ) from error
    except ValueError as error:  # bad TOML, bad UTF-8
        raise ConfigError(
            f"{file} is not valid TOML: {error}.", hint='Write lines such as: prompt = "..."'
        ) from error
    return {name: _Setting(value, _place(file, text, name)) for name, value in found.items()}


def line_of(name: str, lines: Sequence[str]) -> int | None:
    """Line of a key or table of TOML, from 0; None = it is not there, or written oddly."""
    pattern = re.compile(rf"\s*\[*\s*[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
    return next((at for at, line in enumerate(lines) if pattern.match(line)), None)


def _place(file: Path, text: str, name: str) -> str:
    """File and line of a top-level key or table; the file alone where that is not found."""
    at = line_of(name, text.splitlines())
    return str(file) if at is None else f"{file} line {at + 1}"


def _from_environ(environ: Mapping[str, str]) -> dict[str, _Setting]:
    found: dict[str, _Setting] = {}
    for variable, value in environ.items():
        if variable.startswith(PREFIX) and variable not in NOT_CONFIG:
            name = variable.removeprefix(PREFIX).lower()
            several = tuple(part.strip() for part in value.split(","))
            found[name] = _Setting(several if name == "sinks" else value, variable)
    return found


def _unknown(name: str, setting: _Setting) -> ConfigError:
    if name in RENAMED:
        return ConfigError(
            f"{setting.place}: {name!r} is no setting any more.",
            hint=f"The picture keeps the camera's rate now; see {RENAMED[name]!r}.",
        )
    return ConfigError(
        f"{setting.place}: no setting is called {name!r}.",
        hint=did_you_mean(name, Config.model_fields)
        or f"The settings are: {', '.join(Config.model_fields)}.",
    )


def _not_valid(found: ErrorDetails, settings: Mapping[str, _Setting]) -> ConfigError:
    name = str(found["loc"][0])
    setting = settings[name]
    expected = Config.model_fields[name].description
    value = "(hidden)" if name in SECRETS else shown(setting.value)
    return ConfigError(
        f"{setting.place}: got {name} = {value}, expected {expected}.",
        hint=f"Correct it there ({found['msg'][0].lower()}{found['msg'][1:]}).",
    )
