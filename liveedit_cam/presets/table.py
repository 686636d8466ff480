"""What a preset is, and its text in a file: one ``[[preset]]`` table each, read one by one.

A table that cannot be read is told with its line, and the others stay.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from liveedit_cam.config import line_of
from liveedit_cam.errors import ConfigError, InstructionError, did_you_mean, shown
from liveedit_cam.limits import is_inside, is_number
from liveedit_cam.prompt import checked_prompt
from liveedit_cam.types import MAX_TRANSITION_S, LatencyMode, Mode, OnFailure, Region

MAX_NAME_CHARS = 40
_HEADER = re.compile(r"\s*\[\[\s*preset\s*\]\]\s*(#.*)?$")
_TOML_LINE = re.compile(r" \(at line (\d+), column \d+\)$| \(at end of document\)$")

E = TypeVar("E", Mode, LatencyMode, OnFailure)


@dataclass(frozen=True, slots=True)
class Preset:
    """A look by its name; a field that is None is left as it is when it is applied."""

    name: str
    edit: str | None = None
    """The instruction."""
    strength: float = 1.0
    region: Region | None = None
    """Where the edit may act; None = everywhere."""
    mode: Mode | None = None
    latency: LatencyMode | None = None
    on_failure: OnFailure | None = None
    transition_s: float = 0.0
    """Seconds of the cross-fade from the edit before; 0 = a cut."""
    hotkey: str | None = None
    """A letter or digit that applies it on the page."""
    hidden: bool = False
    """True takes a shipped one of the same name away."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A preset that is in force, or will be with its instruction."""

    name: str
    revision: int | None
    """Of its instruction; None = it has none."""


@dataclass(frozen=True, slots=True)
class Table:
    """One piece of a file: a ``[[preset]]`` with its lines, also where it cannot be read."""

    first: int
    """Its first line, from 0, and the line after its last."""
    end: int
    preset: Preset | None
    problem: str | None
    """Line, what came and what was expected; None where it could be read."""


def read_tables(text: str, place: str) -> Iterator[Table]:
    """All tables of a file called ``place``, in order; never raises for what stands in it."""
    lines = text.splitlines()
    starts = [at for at, line in enumerate(lines) if _HEADER.match(line)]
    before = "\n".join(lines[: starts[0] if starts else len(lines)])
    if before.strip():
        problem = _problem_of(before, place, 0, is_table=False)
        if problem is not None:
            yield Table(0, starts[0] if starts else len(lines), None, problem)
    names: set[str] = set()
    for start, end in zip(starts, [*starts, len(lines)][1:], strict=True):
        try:
            preset = _read("\n".join(lines[start:end]), place, start)
            if preset.name in names:
                raise ConfigError(
                    f"{place} line {start + 1}: got a second preset {preset.name!r}, expected one.",
                    hint="The first one counts.",
                )
        except ConfigError as error:
            yield Table(start, end, None, str(error))
        else:
            names.add(preset.name)
            yield Table(start, end, preset, None)


def to_text(preset: Preset) -> str:
    """The table of a preset as it stands in a file; what is as usual is left out."""
    usual = Preset(preset.name)
    lines = ["[[preset]]", f"name = {_quoted(preset.name)}"]
    for one in fields(preset)[1:]:
        value = getattr(preset, one.name)
        if value != getattr(usual, one.name):
            lines.append(f"{one.name} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def checked(values: dict[str, Any]) -> Preset:
    """A preset from values of any type. Raises ConfigError: got, expected, for the first mistake.

    Its message begins with the name of the field and a blank.
    """
    for name in values:
        if name not in _CHECKS:
            raise ConfigError(
                f"{name} is no key of a preset, expected {', '.join(_CHECKS)}.",
                hint=did_you_mean(name, _CHECKS) or "Take it away.",
            )
    found = Preset(**{name: _CHECKS[name](values.get(name)) for name in ("name", *values)})
    if not (found.edit or found.mode or found.latency or found.on_failure or found.hidden):
        raise ConfigError(
            f"edit is missing in {found.name!r}, expected an instruction, a mode or a latency.",
            hint='Add a line such as: edit = "make it night"',
        )
    return found


def _read(text: str, place: str, start: int) -> Preset:
    problem = _problem_of(text, place, start, is_table=True)
    if problem is not None:
        raise ConfigError(problem)
    values = tomllib.loads(text)["preset"][0]
    try:
        return checked(values)
    except ConfigError as error:
        at = line_of(error.message.partition(" ")[0], text.splitlines()) or 0
        raise ConfigError(f"{place} line {start + at + 1}: {error.message}", hint=error.hint) from (
            error
        )


def _problem_of(text: str, place: str, start: int, *, is_table: bool) -> str | None:
    """Why a piece of the file that begins at line ``start`` is no TOML of ours; None = it is."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _TOML_LINE.search(str(error))
        last = len(text.splitlines())
        number = start + (int(where[1]) if where and where[1] else last)
        return f"{place} line {number}: {_TOML_LINE.sub('', str(error))}."
    others = [name for name in found if not (is_table and name == "preset")]
    if others:
        number = start + (line_of(others[0], text.splitlines()) or 0) + 1
        return f"{place} line {number}: got {others[0]!r}, expected [[preset]] tables only."
    return None


def _wrong(name: str, value: object, expected: str, hint: str | None = None) -> ConfigError:
    got = "is missing" if value is None else f"is {shown(value)}"
    return ConfigError(f"{name} {got}, expected {expected}.", hint=hint)


def _name(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise _wrong("name", value, "a short name in quotes")
    if len(value) > MAX_NAME_CHARS:
        raise _wrong("name", value, f"at most {MAX_NAME_CHARS} characters")
    return " ".join(value.split())


def _edit(value: object) -> str:
    try:
        return checked_prompt(value)
    except InstructionError as error:
        raise _wrong("edit", value, "an instruction", str(error)) from error


def _number(name: str, most: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        if not is_number(value, most):
            raise _wrong(name, value, f"a number from 0 to {most:g}")
        return float(value)

    return check


def _region(value: object) -> Region:
    values = list(value.values()) if isinstance(value, dict) else value
    if isinstance(values, list) and len(values) == 4 and is_inside(Region(*values)):
        return Region(*map(float, values))
    raise _wrong(
        "region",
        value,
        "[x, y, width, height] as shares of the picture, inside of it",
        "The left half is [0, 0, 0.5, 1].",
    )


def _choice(name: str, kind: type[E]) -> Callable[[object], E]:
    def check(value: object) -> E:
        if not isinstance(value, str) or value not in tuple(kind):
            raise _wrong(name, value, " or ".join(kind))
        return kind(value)

    return check


def _hotkey(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9]", value):
        raise _wrong("hotkey", value, "one letter from a to z or one digit, in quotes")
    return value


def _hidden(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong("hidden", value, "true or false")
    return value


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _name,
    "edit": _edit,
    "strength": _number("strength", 1.0),
    "region": _region,
    "mode": _choice("mode", Mode),
    "latency": _choice("latency", LatencyMode),
    "on_failure": _choice("on_failure", OnFailure),
    "transition_s": _number("transition_s", MAX_TRANSITION_S),
    "hotkey": _hotkey,
    "hidden": _hidden,
}
"""Field of a preset -> the value it stands for. Each raises ConfigError."""


def _toml(value: object) -> str:
    if isinstance(value, Region):
        numbers = (value.x, value.y, value.width, value.height)
        return f"[{', '.join(f'{number:.4g}' for number in numbers)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return _quoted(value) if isinstance(value, str) else f"{value:g}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
