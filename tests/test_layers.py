"""The arrows between layers, who may import which library, and the size of files and functions.

The rules are written as tables here; the checks read the source and run nothing of the package.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import liveedit_cam

ROOT = Path(liveedit_cam.__file__).parent
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60

VALUES = {"types", "errors"}
SEAMS = VALUES | {"protocols"}
PICTURES = SEAMS | {"pixels", "pacing"}

MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "cores": set(),
    "pacing": set(),
    "protocols": VALUES,
    "config": VALUES,
    "pixels": VALUES,
    "prompt": VALUES,
    "folders": set(),
    "registry": SEAMS,
    "compositing": VALUES,
    "model": VALUES | {"compositing", "folders"},
    "store": VALUES | {"folders", "model"},
    "evaluation": VALUES | {"model", "pixels", "training"},
    "training": VALUES | {"model", "pixels", "evaluation"},
    "media": VALUES,
    "sources": PICTURES | {"registry", "media"},
    "sinks": PICTURES | {"registry", "media"},
    "editors": PICTURES | {"model"},
    "engine": SEAMS | {"cores", "registry"},
    "daemon": PICTURES | {"compositing", "config", "prompt", "registry", "engine"},
    "control": SEAMS | {"config", "pixels", "prompt", "registry", "daemon"},
    "obs": SEAMS | {"config", "prompt", "registry"},
    "setup": PICTURES
    | {"config", "control", "folders", "obs", "registry", "sinks", "sources", "store"},
    "offline": PICTURES | {"media", "model", "prompt", "registry", "editors"},
    "commands": PICTURES
    | {"cores", "config", "folders", "registry", "control", "obs", "daemon", "sources", "sinks"}
    | {"setup", "offline", "model", "training", "evaluation", "store"},
    "cli": VALUES | {"commands"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""Part of the package -> parts it may import besides itself. A new part needs a line here."""

OWNERS = {
    "torch": ("model", "training", "evaluation", "editors", "offline.py", "store/needs.py"),
    "huggingface_hub": ("store/hub.py",),
    "filelock": ("store/hub.py",),
    "transformers": ("model/umt5.py", "evaluation/paper_metrics.py"),
    "tokenizers": ("model/umt5.py",),
    "ftfy": ("model/umt5.py",),
    "safetensors": ("model", "training", "evaluation"),
    "diffusers": ("model",),
    "av": ("media", "sources/file.py", "sinks/file.py", "offline.py", "training", "evaluation"),
    "numba": ("compositing/affine.py",),
    "cv2": (
        "pixels.py",
        "compositing",
        "media/tone.py",
        "model",
        "sources",
        "sinks/_v4l2loopback.py",
        "training",
        "evaluation",
    ),
    "cv2_enumerate_cameras": ("sources/_camera_list.py",),
    "jeepney": ("sources/_portal.py",),
    "mss": ("sources/screen.py",),
    "pyvirtualcam": ("sinks/virtual_camera.py",),
    "obsws_python": ("obs/link.py",),
    "fastapi": ("control",),
    "starlette": ("control",),
    "uvicorn": ("control/server.py", "control/connections.py"),
    "pydantic": ("config.py", "control/app.py", "obs/rule_tables.py", "training/settings.py"),
    "accelerate": ("training/loop.py",),
    "pydantic_core": ("config.py", "control/app.py", "obs/rule_tables.py"),
    "rich": ("commands/display.py", "commands/models.py", "training", "evaluation"),
    "typer": ("commands", "training/commands.py", "evaluation/commands.py"),
    "matplotlib": ("training", "evaluation"),
}
"""Library -> the files and folders that may import it."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported module and the line it stands on."""

    module: str
    line: int


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports_of(source: str) -> Iterator[Import]:
    """All imports, also those inside functions, under TYPE_CHECKING and by import_module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if module == "liveedit_cam":  # the names are its parts
                yield from (Import(f"{module}.{name.name}", node.lineno) for name in node.names)
            else:
                yield Import(module, node.lineno)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            first = node.args[0]
            if isinstance(first, ast.Constant):
                yield Import(str(first.value), node.lineno)


def wrong_arrows(part: str, source: str) -> list[str]:
    """Imports of parts above ``part``; ``part`` is a folder or a file at the top, no suffix."""
    assert part in MAY_IMPORT, f"{part} is new: add it to MAY_IMPORT with what it may import"
    found = []
    for one in imports_of(source):
        package, _, rest = one.module.partition(".")
        other = rest.partition(".")[0]
        if package == "liveedit_cam" and other and other not in MAY_IMPORT[part] | {part}:
            found.append(f"line {one.line}: {part} must not import {other}")
    return found


def foreign_libraries(path: str, source: str) -> list[str]:
    """Imports of libraries that another file or folder owns; ``path`` is relative, with slashes."""
    found = []
    for one in imports_of(source):
        owners = OWNERS.get(one.module.partition(".")[0])
        if owners is not None and not any(is_inside(path, owner) for owner in owners):
            found.append(f"line {one.line}: {one.module} belongs to {', '.join(owners)}")
    return found


def is_inside(path: str, owner: str) -> bool:
    return path == owner or path.startswith(f"{owner}/")


def long_functions(source: str) -> list[str]:
    """Functions of more lines than allowed, docstring and decorators included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            num_lines = (node.end_lineno or first) - first + 1
            if num_lines > MAX_FUNCTION_LINES:
                found.append(f"line {first}: {node.name} has {num_lines} lines")
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_keeps_the_rules(path: Path) -> None:
    """Catches a wrong arrow, a library out of its place, and files or functions that grew."""
    relative = path.relative_to(ROOT).as_posix()
    source = path.read_text("utf-8")
    part = relative.partition("/")[0].removesuffix(".py")
    found = wrong_arrows(part, source) + foreign_libraries(relative, source)
    found += long_functions(source)
    num_lines = len(source.splitlines())
    if num_lines > MAX_FILE_LINES:
        found.append(f"{num_lines} lines, at most {MAX_FILE_LINES}")
    assert found == []


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("daemon", "from liveedit_cam.sources.camera import create"),
        ("daemon", "from liveedit_cam import sinks"),
        ("daemon", "def later():\n    import liveedit_cam.editors.diffusion"),
        ("daemon", "import importlib\nimportlib.import_module('liveedit_cam.sinks.file')"),
        ("model", "from liveedit_cam.daemon.service import Service"),
        ("model", "if TYPE_CHECKING:\n    from liveedit_cam.config import Config"),
        ("engine", "from liveedit_cam.daemon.board import Board"),
        ("types", "from liveedit_cam.errors import UsageError"),
        ("control", "from liveedit_cam.commands.serving import serve"),
        ("control", "from liveedit_cam.obs.session import ObsSession"),
        ("daemon", "from liveedit_cam.obs import lookup"),
        ("obs", "from liveedit_cam.control.app import Commands"),
    ],
)
def test_the_check_sees_a_wrong_arrow(part: str, source: str) -> None:
    """Catches a check that passes everything, lazy and type-only imports above all."""
    assert len(wrong_arrows(part, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("daemon/service.py", "import torch"),
        ("commands/run.py", "def run():\n    import torch.nn as nn"),
        ("sinks/preview.py", "from av.video import VideoFrame"),
        ("sinks/file.py", "import pyvirtualcam"),
        ("control/app.py", "import obsws_python as obs"),
        ("modelling.py", "import torch"),
    ],
)
def test_the_check_sees_a_library_out_of_place(path: str, source: str) -> None:
    """Catches a check that passes everything, or takes a name for a folder it begins like."""
    assert len(foreign_libraries(path, source)) == 1


def test_the_checks_pass_what_is_allowed() -> None:
    """Catches a check that refuses everything."""
    assert wrong_arrows("daemon", "from liveedit_cam.daemon.board import Board\nimport os") == []
    assert foreign_libraries("model/dit.py", "import torch.nn.functional as F") == []
    assert long_functions("def short():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1)) == []


def test_the_check_sees_a_long_function() -> None:
    """Catches a count that leaves out decorators, docstrings or methods."""
    body = "        x = 1\n" * (MAX_FUNCTION_LINES - 1)
    assert len(long_functions(f"class A:\n    @staticmethod\n    def long():\n{body}")) == 1
