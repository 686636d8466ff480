"""What a server is asked to be, checked; the same for one process and for a cluster."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from liveedit_cam.engine.worker import load_editor
from liveedit_cam.errors import UsageError
from liveedit_cam.protocols import Editor, EditorOptions
from liveedit_cam.service.host import SessionHost
from liveedit_cam.service.scheduler import OneByOne
from liveedit_cam.service.tokens import Token, read_tokens


class ServeSettings(BaseModel):
    """Also the arguments of the application where Ray's own tools deploy it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )

    editor: str = "diffusion"
    """what edits, as kind or kind:target"""
    model: str = "nano"
    """name of the model, or its folder"""
    device: str = "auto"
    """where it runs: auto, cpu, cuda, cuda:1, mps"""
    max_sessions: int = Field(2, ge=1, le=1000)
    """cameras a replica takes; measure yours with benchmarks/serve.py"""
    max_field_age_ms: float | None = Field(500.0, gt=0, le=10_000)
    """time in milliseconds from one edit of a camera to the next above which steps are saved"""
    token: SecretStr | None = None
    """one token that opens any number of sessions; or else a token_file"""
    token_file: Path | None = None
    """TOML file of tokens with limits, see docs/serve.md; each replica reads it when it starts"""
    min_replicas: int = Field(1, ge=0, le=10_000)
    """replicas kept ready (Ray)"""
    max_replicas: int = Field(1, ge=1, le=10_000)
    """replicas at most (Ray)"""
    num_cpus: float = Field(1.0, ge=0, le=1024)
    """cores a replica reserves (Ray)"""
    num_gpus: float = Field(0.0, ge=0, le=64)
    """GPUs a replica reserves (Ray); a share lets several replicas use one"""

    def tokens(self) -> tuple[Token, ...]:
        """Who may come in. Raises UsageError where nobody may."""
        if self.token_file is not None:
            return read_tokens(self.token_file)
        if self.token is None:
            raise UsageError(
                "got no token, expected one: a server without would serve everybody",
                hint="Give a token file, see docs/serve.md.",
            )
        return (Token("own", self.token.get_secret_value()),)


def make_host(settings: ServeSettings) -> SessionHost:
    """Load the model and be ready for cameras. Raises UsageError, WeightsError."""
    age_ms = settings.max_field_age_ms
    options = EditorOptions(
        settings.model,
        settings.device,
        max_field_age_s=None if age_ms is None else age_ms / 1000,
    )

    def make() -> Editor:
        return load_editor(settings.editor, options)

    tokens = settings.tokens()  # first: it is wrong sooner than a model is loaded
    return SessionHost(OneByOne(make), tokens, settings.max_sessions)
