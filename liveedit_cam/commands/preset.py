"""``preset``: looks by name, in a file and in the running camera.

``apply`` is one HTTP call and loads nothing more; the others read the file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from liveedit_cam.commands.words import joined, region_of, share_of
from liveedit_cam.control.client import find_daemon
from liveedit_cam.control.state import runtime_path
from liveedit_cam.errors import ConfigError, UsageError
from liveedit_cam.types import LatencyMode, Mode, OnFailure

if TYPE_CHECKING:
    from liveedit_cam.presets import Preset, PresetBook


def main(arguments: Sequence[str]) -> str:
    """Run one command of presets; returns what the user reads.

    Raises LiveEditError; SystemExit after a usage error, which is then printed already.
    """
    wanted = _parser().parse_args(arguments)
    if wanted.command == "apply":
        applied = find_daemon(runtime_path(os.environ)).apply_preset(joined(wanted.name))
        return f"preset {applied}"
    from liveedit_cam.presets import PresetBook, presets_path

    book = PresetBook(presets_path(os.environ))
    if wanted.command == "add":
        return _add(book, wanted)
    if wanted.command == "remove":
        return f"removed {book.remove(joined(wanted.name)).name!r}"
    if wanted.command == "export":
        return _export(book, wanted.file)
    if wanted.command == "import":
        return _import(book, wanted.file)
    return _list(book)


def _list(book: PresetBook) -> str:
    shelf = book.shelf()
    width = max((len(preset.name) for preset in shelf.presets), default=0)
    for problem in shelf.problems:
        sys.stderr.write(f"liveedit-cam: {problem}\n")
    lines = [f"{preset.name:<{width}}  {_in_words(preset)}" for preset in shelf.presets]
    return "\n".join([*lines, f"(yours stand in {book.path})"])


def _in_words(preset: Preset) -> str:
    parts = [preset.edit]
    if preset.strength != 1:
        parts.append(f"strength {preset.strength:.0%}")
    if preset.region is not None:
        region = preset.region
        parts.append(f"region {region.x:g},{region.y:g},{region.width:g},{region.height:g}")
    parts.append(None if preset.mode is None else f"mode {preset.mode}")
    parts.append(None if preset.latency is None else f"latency {preset.latency}")
    rule = preset.on_failure
    parts.append(None if rule is None else f"on failure {rule}")
    parts.append(f"fades in {preset.transition_s:g} s" if preset.transition_s else None)
    parts.append(f"key {preset.hotkey}" if preset.hotkey else None)
    return ", ".join(part for part in parts if part)


def _add(book: PresetBook, wanted: argparse.Namespace) -> str:
    from liveedit_cam.presets import checked

    values = {
        "name": wanted.name,
        "edit": joined(wanted.prompt) or None,
        "strength": None if wanted.strength is None else share_of(wanted.strength),
        "region": None if wanted.region is None else region_of(wanted.region),
        "mode": wanted.mode,
        "latency": wanted.latency,
        "on_failure": wanted.on_failure,
        "transition_s": wanted.transition,
        "hotkey": wanted.hotkey,
    }
    region = values["region"]
    if region is not None:
        values["region"] = [region.x, region.y, region.width, region.height]
    preset = checked({name: value for name, value in values.items() if value is not None})
    book.add(preset)
    return f"{preset.name}: {_in_words(preset)}\nin {book.path}"


def _export(book: PresetBook, path: Path | None) -> str:
    from liveedit_cam.presets.book import as_file

    text = as_file(book.shelf().presets)
    if path is None:
        return text.rstrip()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already.", hint="Name another file.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error
    return f"{len(book.shelf().presets)} presets in {path}"


def _import(book: PresetBook, path: Path) -> str:
    from liveedit_cam.presets.book import read_text
    from liveedit_cam.presets.table import read_tables

    tables = list(read_tables(read_text(path), str(path)))
    found = [table.preset for table in tables if table.preset is not None]
    problems = [table.problem for table in tables if table.problem is not None]
    for problem in problems:
        sys.stderr.write(f"liveedit-cam: {problem}\n")
    for preset in found:
        book.add(preset)
    if not found:
        raise ConfigError(
            f"{path} has no preset that can be read.",
            hint="Expected [[preset]] tables, as `liveedit-cam preset export` writes them.",
        )
    return f"{len(found)} presets taken into {book.path}: {', '.join(one.name for one in found)}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="liveedit-cam preset", description="Looks by name.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, purpose: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)

    command("list", "Show all presets, the shipped ones and yours.")
    apply = command("apply", "Put a preset into force in the running camera.")
    apply.add_argument("name", nargs="+")
    _add_options(command("add", "Write a preset, in place of one of that name."))
    command("remove", "Take a preset away.").add_argument("name", nargs="+")
    export = command("export", "Write all presets into a new file, or print them.")
    export.add_argument("file", nargs="?", type=Path)
    command("import", "Take the presets of a file.").add_argument("file", type=Path)
    return parser


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", help='its name, in quotes where it has several words: "blue wall"')
    add("prompt", nargs="*", help="the instruction; none = mode or latency alone")
    add("--strength", metavar="0..1", help="how much of the edit is shown")
    add("--region", metavar="X,Y,W,H", help="where the edit may act, as shares of the picture")
    add("--mode", choices=[mode.value for mode in Mode], help="also switch what is shown")
    add("--latency", choices=[mode.value for mode in LatencyMode], help="also switch this")
    add("--on-failure", choices=list(OnFailure), help="shown while no edited picture is there")
    add("--transition", type=float, metavar="S", help="seconds of the cross-fade, 0 = a cut")
    add("--hotkey", metavar="KEY", help="a letter or digit that applies it on the page")
