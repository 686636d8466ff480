"""The arrows between layers, who may import which library, and the size of files and functions.

The rules are written as tables here; the checks read the source and run nothing of the package.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from architecture import PACKAGE, imports_of, module_of

MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60

VALUES = {"types", "errors"}
SEAMS = VALUES | {"protocols"}

MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "cores": set(),
    "backoff": set(),
    "child": set(),
    "distribution": set(),
    "v4l2": set(),
    "files": set(),
    "limits": VALUES,
    "pacing": set(),
    "protocols": VALUES,
    "config": SEAMS | {"folders", "limits", "prompt"},
    "pixels": VALUES,
    "prompt": VALUES,
    "folders": set(),
    "registry": SEAMS,
    "presets": VALUES | {"config", "files", "limits", "prompt"},
    "compositing": VALUES,
    "model": VALUES | {"compositing", "folders", "model.wan", "model.speed", "pixels", "prompt"},
    "model.wan": VALUES | {"model", "model.speed"},
    "model.speed": VALUES | {"model"},
    "store": VALUES | {"files", "folders", "model", "model.wan"},
    "lab": set(),
    "lab.edits": VALUES,
    "lab.training": VALUES | {"model", "model.wan", "lab.edits"},
    "lab.evaluation": VALUES | {"model", "lab.edits"},
    "lab.ablations": VALUES
    | {"compositing", "model", "model.speed"}
    | {"lab.edits", "lab.training", "lab.evaluation"},
    "lab.commands": VALUES | {"lab.ablations", "lab.training"},
    "media": VALUES,
    "sources": SEAMS | {"child", "distribution", "folders", "media", "pacing", "pixels", "v4l2"},
    "sinks": SEAMS | {"child", "distribution", "media", "registry", "v4l2"},
    "editors": SEAMS | {"model", "pixels", "remote"},
    "remote": SEAMS | {"backoff", "limits"},
    "service": SEAMS | {"control", "engine", "pixels", "remote"},
    "engine": SEAMS | {"backoff", "cores", "registry"},
    "daemon": SEAMS
    | {"backoff", "compositing", "config", "engine", "files", "limits", "pacing", "pixels"}
    | {"prompt", "registry"},
    "control": SEAMS | {"files", "folders", "limits", "pixels", "presets"},
    "obs": SEAMS
    | {"backoff", "config", "files", "folders", "limits", "presets", "prompt", "registry"},
    "setup": SEAMS
    | {"config", "control", "distribution", "folders", "obs", "registry", "sinks", "sources"}
    | {"store"},
    "selftest": SEAMS | {"config", "daemon", "registry"},
    "screen_lock": VALUES,
    "microphone": VALUES,
    "midi": VALUES | {"presets"},
    "hotkeys": VALUES | {"presets"},
    "osc": VALUES | {"limits", "presets"},
    "offline": SEAMS | {"media", "model", "pixels", "presets", "prompt"},
    "commands": SEAMS
    | {"cores", "config", "folders", "registry", "control", "obs", "daemon", "sources", "sinks"}
    | {"setup", "offline", "model", "model.wan", "osc", "presets", "screen_lock", "midi", "hotkeys"}
    | {"microphone", "commands.lab", "commands.serve", "remote", "selftest", "store"},
    "commands.serve": VALUES | {"commands", "control", "cores", "remote", "service"},
    "commands.lab": {"cores", "errors", "lab.training", "lab.evaluation", "lab.commands"},
    "cli": VALUES | {"commands"},
    "__main__": {"cli"},
    "__init__": set(),
}
"""Part of the package -> parts it may import besides itself. A new part needs a line here; a part
inside another one ("lab.edits") is a part of its own."""

OWNERS = {
    "torch": ("model", "lab", "editors", "offline.py", "store/needs.py"),
    "huggingface_hub": ("store/hub.py",),
    "filelock": ("store/hub.py",),
    "transformers": ("model/wan/umt5.py", "lab/evaluation/paper_metrics.py"),
    "tokenizers": ("model/wan/umt5.py",),
    "ftfy": ("model/wan/umt5.py",),
    "safetensors": ("model", "lab"),
    "diffusers": ("model",),
    "av": ("media", "sources/file.py", "sinks/file.py", "offline.py", "lab"),
    "numba": ("compositing/affine.py",),
    "cv2": (
        "pixels.py",
        "compositing",
        "media/tone.py",
        "media/writing.py",
        "model",
        "sources",
        "sinks/_v4l2loopback.py",
        "lab",
    ),
    "cv2_enumerate_cameras": ("sources/_camera_list.py",),
    "jeepney": ("sources/_portal.py",),
    "mss": ("sources/screen.py",),
    "pyvirtualcam": ("sinks/virtual_camera.py",),
    "obsws_python": ("obs/link.py",),
    "fastapi": ("control", "service"),
    "ray": ("service/deployment.py",),
    "starlette": ("control", "service/app.py"),
    "uvicorn": ("control/server.py", "control/connections.py"),
    "prometheus_client": ("control/metrics.py",),
    "mido": ("midi.py",),
    "sounddevice": ("microphone.py",),
    "pynput": ("hotkeys.py",),
    "pythonosc": ("osc.py",),
    "h11": ("control/connections.py",),
    "pydantic": (
        "config.py",
        "control/bodies.py",
        "obs/rule_tables.py",
        "lab/training/settings.py",
        "limits.py",
        "remote/messages.py",
        "service/settings.py",
        "commands/run.py",
        "commands/serve.py",
    ),
    "pydantic_core": ("config.py", "control/bodies.py", "obs/rule_tables.py"),
    "rich": ("commands/display.py", "commands/models.py", "lab"),
    "typer": ("commands", "lab"),
    "matplotlib": ("lab",),
}
"""Library -> the files and folders that may import it."""


def part_of(module: str) -> str:
    """The part a module belongs to, by its name within the package ("lab.edits.spec")."""
    first, _, rest = module.partition(".")
    inner = f"{first}.{rest.partition('.')[0]}"
    return inner if inner in MAY_IMPORT else first


def wrong_arrows(part: str, source: str) -> list[str]:
    """Imports of parts that ``part`` may not import; ``part`` as ``part_of`` names it."""
    assert part in MAY_IMPORT, f"{part} is new: add it to MAY_IMPORT with what it may import"
    found = []
    for one in imports_of(source):
        package, _, module = one.module.partition(".")
        other = part_of(module)
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_keeps_the_rules(path: Path) -> None:
    """Catches a wrong arrow, a library out of its place, and files or functions that grew."""
    relative = path.relative_to(PACKAGE).as_posix()
    source = path.read_text("utf-8")
    part = part_of(module_of(path) or "__init__")
    found = wrong_arrows(part, source) + foreign_libraries(relative, source)
    found += long_functions(source)
    num_lines = len(source.splitlines())
    if num_lines > MAX_FILE_LINES:
        found.append(f"{num_lines} lines, at most {MAX_FILE_LINES}")
    assert found == []


def test_no_files_import_each_other_in_a_circle() -> None:
    """Catches a circle, also one of imports inside functions or for types alone."""
    needs: dict[str, set[str]] = {}
    for path in MODULES:
        found = (one.module for one in imports_of(path.read_text("utf-8")))
        package = f"{PACKAGE.name}."
        module = module_of(path)
        needs[module] = {name.removeprefix(package) for name in found if name.startswith(package)}
    with pytest.raises(CycleError):
        TopologicalSorter({"a": {"b"}, "b": {"a"}}).prepare()
    TopologicalSorter(needs).prepare()


def test_no_permission_is_unused() -> None:
    """Catches an arrow that went and could come back unseen."""
    used: dict[str, set[str]] = {part: set() for part in MAY_IMPORT}
    for path in MODULES:
        part = part_of(module_of(path) or "__init__")
        found = (one.module.partition(".") for one in imports_of(path.read_text("utf-8")))
        used[part] |= {part_of(module) for package, _, module in found if package == PACKAGE.name}
    spare = {part: sorted(may - used[part] - SEAMS) for part, may in MAY_IMPORT.items()}
    assert {part: names for part, names in spare.items() if names} == {}


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
        ("commands", "from liveedit_cam.lab.training.commands import app"),
        ("commands", "from liveedit_cam.service.plain import PlainServer"),
        ("model", "from liveedit_cam.lab.edits.spec import Family"),
        ("lab.training", "from liveedit_cam.lab.evaluation.metrics import psnr"),
        ("lab.evaluation", "from liveedit_cam.lab.training.loop import Run"),
        ("lab.edits", "from liveedit_cam.lab.training.loop import Draws"),
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
