"""What belongs to each model: read from ``files.toml`` beside its model card.

A model that has its config.json there instead is shipped whole with the package and is never
pulled or removed. Knows neither downloads nor network.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from liveedit_cam.errors import UsageError, WeightsError, did_you_mean
from liveedit_cam.model.config import PRESETS


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model, as the hub names it and as the model folder names it."""

    name: str
    """Path in the model folder, with slashes."""
    path: str
    """Path in the repository."""
    size_bytes: int | None = None
    """None = not known ahead; the hub says it."""
    sha256: str | None = None
    """64 hexadecimal digits; None = not known ahead."""


class Role(StrEnum):
    """What a part does in the model."""

    EDITOR = "editor"
    CODEC = "codec"
    TEXT = "text"
    LIGHT_CODEC = "light codec"


@dataclass(frozen=True, slots=True)
class Part:
    """Files of one role from one repository."""

    role: Role
    purpose: str
    """For people."""
    repository: str
    """Id on the hub, "owner/name"."""
    revision: str
    licence: str
    files: tuple[ModelFile, ...]
    num_parameters: int | None = None
    """Numbers in its weights; None = not known."""
    converted: str | None = None
    """Name in the model folder of what its one file is converted to; None = kept as it is."""
    is_optional: bool = False
    """The model works without it."""

    def installed_name(self, file: ModelFile) -> str:
        """What of ``file`` stays in the model folder."""
        return self.converted or file.name


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of this version."""

    name: str
    description: str
    parts: tuple[Part, ...]
    """() = shipped with the package."""

    @property
    def is_shipped(self) -> bool:
        """Whether it comes with the package."""
        return not self.parts


_SHIPPED_DESCRIPTION = (
    "small editor trained by this project, shipped with it; runs on two CPU cores"
)


def read_catalogue(shipped: Path) -> tuple[ModelEntry, ...]:
    """Every model this version knows. Raises WeightsError for a files.toml that is not right."""
    return tuple(_read_entry(name, shipped / name / "files.toml") for name in PRESETS)


def find_entry(name: str, catalogue: tuple[ModelEntry, ...]) -> ModelEntry:
    """The model of that name. Raises UsageError with the name that was most likely meant."""
    for entry in catalogue:
        if entry.name == name:
            return entry
    names = [entry.name for entry in catalogue]
    suggestion = did_you_mean(name.lower(), names, cutoff=0.4, quoted=str)
    raise UsageError(
        f"got model {name!r}, expected one of {', '.join(names)}",
        hint=f"{suggestion} See `liveedit-cam models list`.".lstrip(),
    )


def _read_entry(name: str, path: Path) -> ModelEntry:
    if not path.exists() and path.with_name("config.json").is_file():
        return ModelEntry(name, _SHIPPED_DESCRIPTION, ())
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        parts = tuple(_read_part(part) for part in values.pop("part"))
        entry = ModelEntry(name, values.pop("description"), parts)
        if values:
            raise ValueError(f"unknown keys {', '.join(values)}")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise WeightsError(
            f"got {path}, which does not list a model's files ({type(error).__name__}: {error})",
            hint="Reinstall liveedit-cam.",
        ) from error
    return entry


def _read_part(values: Mapping[str, Any]) -> Part:
    files = tuple(ModelFile(**file) for file in values["files"])
    part = Part(**{**values, "role": Role(values["role"]), "files": files})
    for file in files:
        _check_name(part.installed_name(file))
        _check_name(file.name)
        if file.sha256 is not None and (len(file.sha256) != 64 or int(file.sha256, 16) < 0):
            raise ValueError(f"{file.name} has no SHA-256 of 64 digits")
    if part.converted is not None and len(files) != 1:
        raise ValueError(f"{part.converted} is converted from one file, not {len(files)}")
    return part


def _check_name(name: str) -> None:
    """A name stays inside the model folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"{name!r} is no name inside a model folder")
