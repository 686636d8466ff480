"""Draw docs/architecture.svg: the rooms of the package and who imports whom, read from the source.

    python scripts/architecture.py

A room is a folder of ``liveedit_cam``, or of ``lab``; ``cli.py`` and ``offline.py`` are rooms too.
The other files at the top (values, seams, settings) are what every room stands on and get no
arrows. An arrow that follows from others is left out. Runs nothing of the package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "liveedit_cam"
PICTURE = ROOT / "docs" / "architecture.svg"
BASE = "types, protocols, errors, config, registry and the other files at the top"
"""Name of the box of the files at the top."""
STARTS = ("cli", "offline")
"""Files at the top that are rooms of their own."""
ORDER = ("control", "obs", "daemon", "sinks", "sources", "offline", "store", "editors")
"""From left to right, so that few arrows cross; a new room comes after these."""
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 118, 42, 20, 46, 20
CAMERA, LAB, STAND = "#e8f0fa", "#f3ecdc", "#eeeeee"

Arrows = Mapping[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module and the line it stands on."""

    module: str
    line: int


def imports_of(source: str) -> Iterator[Import]:
    """All imports, also those inside functions, under TYPE_CHECKING and by import_module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for name in node.names:
                part = f"{module}.{name.name}"
                yield Import(part if _is_file(part) else module, node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield Import(str(first.value), node.lineno)


def _is_file(module: str) -> bool:
    """Whether ``module`` is a file or folder of this repository, and no name inside one."""
    path = ROOT.joinpath(*module.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def module_of(path: Path) -> str:
    """Name of a file of the package within it: "lab.edits.spec"; "" for its ``__init__``."""
    name = path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix("__init__").removesuffix(".")


def room_of(module: str) -> str:
    """The room a module (as ``module_of`` names it) lies in."""
    first, _, rest = module.partition(".")
    if first == "lab" and (PACKAGE / "lab" / rest.partition(".")[0]).is_dir():
        return f"lab/{rest.partition('.')[0]}" if rest else "lab"
    return first if (PACKAGE / first).is_dir() or first in STARTS else BASE


def read_arrows() -> Arrows:
    """Every room, and the rooms its files import; without ``BASE``, which all of them do."""
    arrows: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(module_of(path))
        if not path.name.startswith("__"):
            arrows.setdefault(room, set())
        for one in imports_of(path.read_text("utf-8")):
            package, _, module = one.module.partition(".")
            if package == "liveedit_cam" and module:
                arrows.setdefault(room, set()).add(room_of(module))
    return {room: frozenset(to - {room, BASE}) for room, to in arrows.items() if room != BASE}


def below(room: str, arrows: Arrows) -> frozenset[str]:
    """All rooms that ``room`` needs, directly or not."""
    return arrows[room].union(*(below(other, arrows) for other in arrows[room]))


def rows_of(arrows: Arrows) -> list[list[str]]:
    """The rooms in rows, each one row below the lowest that imports it.

    What nobody imports, because the registry finds it by its name, stands beside those like it.
    """

    def depth(room: str) -> int:
        importers = [other for other in arrows if room in arrows[other]]
        return 1 + max(map(depth, importers)) if importers else 0 if room == "cli" else 2

    rows: dict[int, list[str]] = {}
    for room in sorted(arrows):
        rows.setdefault(depth(room), []).append(room)
    return [rows[number] for number in sorted(rows)]


def place(arrows: Arrows) -> dict[str, tuple[float, float]]:
    """Upper left corner of every room's box: the camera's under their importers, lab right."""
    places: dict[str, tuple[float, float]] = {}
    step = BOX_WIDTH + GAP_X
    camera_width = max(sum(not _is_lab(room) for room in row) for row in rows_of(arrows)) * step
    for number, row in enumerate(rows_of(arrows)):
        y = MARGIN + number * (BOX_HEIGHT + GAP_Y)
        camera = sorted(
            (room for room in row if not _is_lab(room)),
            key=lambda room: (ORDER.index(room) if room in ORDER else 99, room),
        )
        wished = {room: _under(room, arrows, places) for room in camera}
        if number == 2 or not all(wished.values()):
            first = (camera_width - len(camera) * step) / 2
            wished = {room: first + place * step for place, room in enumerate(camera)}
        x = -step
        for room in sorted(camera, key=lambda room: wished[room] or 0.0):
            x = max(x + step, wished[room] or 0.0)
            places[room] = (MARGIN + x, y)
        lab = [room for room in row if _is_lab(room)]
        for column, room in enumerate(lab):
            middle = camera_width + GAP_X + step / 2 * (2 - len(lab))
            places[room] = (MARGIN + middle + column * step, y)
    return places


def _is_lab(room: str) -> bool:
    return room.partition("/")[0] == "lab"


def _under(room: str, arrows: Arrows, places: Mapping[str, tuple[float, float]]) -> float | None:
    """Mean place, from the margin on, of the camera's rooms that import ``room``."""
    above = [places[o][0] - MARGIN for o in arrows if room in arrows[o] and not _is_lab(o)]
    return sum(above) / len(above) if above else None


def draw(arrows: Arrows) -> str:
    """The picture as SVG."""
    places = place(arrows)
    width = max(x for x, _ in places.values()) + BOX_WIDTH + MARGIN
    height = max(y for _, y in places.values()) + 2 * BOX_HEIGHT + GAP_Y / 2 + MARGIN
    lines = [
        _arrow(places[room], places[other])
        for room in arrows
        for other in sorted(arrows[room])
        if not any(other in below(third, arrows) for third in arrows[room])
    ]
    boxes = [
        _box(*corner, BOX_WIDTH, room, LAB if _is_lab(room) else CAMERA)
        for room, corner in places.items()
    ]
    boxes.append(_box(MARGIN, height - MARGIN - BOX_HEIGHT, width - 2 * MARGIN, BASE, STAND))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}"'
            ' font-family="sans-serif" font-size="15" text-anchor="middle">',
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8"'
            ' markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
            f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    to_x, to_y = end[0] + BOX_WIDTH / 2, end[1]
    bend = (to_y - y) / 2
    return (
        f'<path d="M{x:g} {y:g}C{x:g} {y + bend:g} {to_x:g} {to_y - bend:g} {to_x:g} {to_y:g}"'
        ' fill="none" stroke="#555" marker-end="url(#head)"/>'
    )


def _box(x: float, y: float, width: float, name: str, colour: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX_HEIGHT}" rx="6"'
        f' fill="{colour}" stroke="#555"/>'
        f'<text x="{x + width / 2:g}" y="{y + BOX_HEIGHT / 2 + 5:g}">{escape(name)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(read_arrows()), "utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")
