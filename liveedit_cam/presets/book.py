"""The presets in force: those shipped, and those of the user's file over them. Any thread."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from threading import Lock

from liveedit_cam.config import default_path
from liveedit_cam.errors import ConfigError, UsageError, shown
from liveedit_cam.files import replace_text, stamp_of
from liveedit_cam.presets.table import Preset, Table, read_tables, to_text

MAX_FILE_BYTES = 256 * 1024
NUM_NEAR = 3


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a look at the file found."""

    presets: tuple[Preset, ...]
    """In the order they are shown: the shipped ones, then the user's."""
    problems: tuple[str, ...]
    """What could not be read, each with its line; the others stay."""

    def find(self, name: str) -> Preset:
        """The preset of that name, upper or lower case. Raises UsageError with the near names."""
        wanted = " ".join(name.split()).casefold()
        known = {preset.name.casefold(): preset for preset in self.presets}
        if wanted in known:
            return known[wanted]
        near = difflib.get_close_matches(wanted, known, n=NUM_NEAR, cutoff=0.5)
        near = near or [one for one in known if wanted and wanted in one][:NUM_NEAR]
        names = ", ".join(repr(known[one].name) for one in near)
        raise UsageError(
            f"no preset is called {shown(name)}.",
            hint=f"Near: {names}." if near else "`liveedit-cam preset list` shows all.",
        )


def presets_path(environ: Mapping[str, str]) -> Path:
    """The user's file of presets, beside the configuration; it need not exist."""
    return default_path(environ).with_name("presets.toml")


class PresetBook:
    """The shipped presets and one file. Lock: ``_lock``, over the file and what is known of it."""

    def __init__(self, path: Path) -> None:
        """Read nothing yet; ``path`` need not exist."""
        self.path = path
        self._lock = Lock()
        self._shipped = shipped()
        self._stamp: tuple[int, int] | None = None
        self._shelf: Shelf | None = None

    def shelf(self) -> Shelf:
        """All presets as the file is now; it is read again where it has changed."""
        with self._lock:
            stamp = stamp_of(self.path)
            if self._shelf is None or stamp != self._stamp:
                self._stamp = stamp
                self._shelf = self._read()
            return self._shelf

    def find(self, name: str) -> Preset:
        """The preset of that name. Raises UsageError with the near names."""
        return self.shelf().find(name)

    def add(self, preset: Preset) -> None:
        """Write a preset into the file, in place of one of its name. Raises ConfigError."""
        with self._lock:
            text = self._text()
            self._write(_with(text, preset, self._tables(text)))

    def remove(self, name: str) -> Preset:
        """Take a preset away; a shipped one is marked as hidden. Raises UsageError, ConfigError."""
        preset = self.find(name)
        with self._lock:
            text = self._text()
            text = _without(text, preset.name, self._tables(text))
            if any(one.name == preset.name for one in self._shipped):
                text = _with(text, Preset(preset.name, hidden=True), [])
            self._write(text)
        return preset

    def _read(self) -> Shelf:
        try:
            tables = self._tables(self._text())
        except ConfigError as error:
            return Shelf(self._shipped, (str(error),))
        own = {table.preset.name: table.preset for table in tables if table.preset is not None}
        both = {**{preset.name: preset for preset in self._shipped}, **own}
        return Shelf(
            tuple(preset for preset in both.values() if not preset.hidden),
            tuple(table.problem for table in tables if table.problem is not None),
        )

    def _tables(self, text: str) -> list[Table]:
        return list(read_tables(text, str(self.path)))

    def _text(self) -> str:
        """The file's text, "" where there is none. Raises ConfigError."""
        return read_text(self.path) if self.path.exists() else ""

    def _write(self, text: str) -> None:
        """Replace the file in one step. Raises ConfigError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            replace_text(self.path, text)
        except OSError as error:
            raise ConfigError(
                f"the presets {self.path} cannot be written: {error.strerror or error}.",
                hint="Make room or give yourself access.",
            ) from error


def shipped() -> tuple[Preset, ...]:
    """The presets of the package."""
    text = resources.files("liveedit_cam.presets").joinpath("shipped.toml").read_text("utf-8")
    tables = list(read_tables(text, "shipped.toml"))
    assert all(table.problem is None for table in tables), [table.problem for table in tables]
    return tuple(table.preset for table in tables if table.preset is not None)


def read_text(path: Path) -> str:
    """Text of a file of presets. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(
                f"{path} has more than {MAX_FILE_BYTES} bytes, expected a file of presets.",
                hint="Take something away.",
            )
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"the presets {path} cannot be read: {error.strerror or error}.",
            hint="Name a readable file.",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is no text (byte {error.start}).", hint="Save it as UTF-8."
        ) from error


def as_file(presets: tuple[Preset, ...]) -> str:
    """A whole file of these presets."""
    return "\n".join(map(to_text, presets))


def _with(text: str, preset: Preset, tables: list[Table]) -> str:
    """The text with this table in place of the one of its name, else at its end."""
    text = _without(text, preset.name, tables).rstrip("\n")
    return f"{text}\n\n{to_text(preset)}" if text else to_text(preset)


def _without(text: str, name: str, tables: list[Table]) -> str:
    """The text without the table of that name; all else stays as it is, comments included."""
    lines = text.splitlines(keepends=True)
    for table in reversed(tables):
        if table.preset is not None and table.preset.name == name:
            del lines[table.first : table.end]
    return "".join(lines)
