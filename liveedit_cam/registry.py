"""From ``"kind:target"`` to a module with ``create()``. Knows the folders, no backend by name.

A backend is one file in the folder of its group; its kind is the file's name with hyphens
(``sinks/virtual_camera.py`` is ``virtual-camera``); files that begin with an underscore are
helpers. Triggers are rows of one table instead. Packages outside the tree add kinds by an entry
point of the group ``liveedit_cam.sources``, ``liveedit_cam.sinks`` and so on. Listing imports no
backend.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any, Protocol, cast

from liveedit_cam.errors import (
    LiveEditError,
    MissingDependencyError,
    UnknownBackendError,
    UsageError,
    did_you_mean,
)
from liveedit_cam.protocols import Editor, EditorOptions, Sink, Source

GROUPS = ("sources", "sinks", "editors", "triggers")
"""The four seams; each is a folder of this package, or a table, and an entry-point group."""
_TABLES = {"triggers": "liveedit_cam.obs.triggers"}
"""Group -> the module whose ``KINDS`` holds its backends by kind."""

_SPEC = re.compile(r"(?P<kind>[a-z][a-z0-9_-]*)(:(?P<target>.*))?", re.DOTALL)

_PACKAGE_OF = {"cv2": "opencv-python-headless"}
"""Import name -> name to install, where the two differ."""

_PLUGIN_FAILURES = (
    SyntaxError,
    AttributeError,
    NameError,
    TypeError,
    ValueError,
    LookupError,
    OSError,
    RuntimeError,
)
"""What foreign code may raise while it is imported, besides ImportError."""


class Backend(Protocol):
    """One kind: a module, or a row of a table."""

    create: Callable[..., Any]
    """Makes the source, sink, editor or trigger."""
    describe: Callable[[], str]
    """One line of help."""


def parse_spec(spec: str) -> tuple[str, str]:
    """Split ``"kind:target"`` into ``("kind", "target")``; a missing target is ``""``.

    Only the first colon counts, so ``"file:C:\\clip.mp4"`` keeps its drive. Underscores in the
    kind become hyphens. Raises UsageError where no kind can be read.
    """
    text = spec.strip()
    match = _SPEC.fullmatch(text)
    if match is None:
        raise UsageError(
            f"Got {spec!r}, expected KIND or KIND:TARGET such as camera:0 or screen:monitor:1.",
            hint=f"A path needs its kind in front: file:{text}" if text else None,
        )
    return match["kind"].replace("_", "-"), match["target"] or ""


def kinds(group: str) -> tuple[str, ...]:
    """All kinds of a group, sorted: the folder's files and the entry points. Imports none."""
    return tuple(sorted({*_built_in(group), *_plugins(group)}))


def load(group: str, kind: str) -> Backend:
    """Import the backend ``kind`` of ``group``; a file of this package wins over a plugin.

    Raises UnknownBackendError (no such kind, or a plugin that cannot be used) and
    MissingDependencyError (a library it needs is not installed).
    """
    kind = kind.replace("_", "-")
    plugins = _plugins(group)
    if group in _TABLES and kind in _table(group):
        return _table(group)[kind]
    if kind in _built_in(group):
        module = _import_built_in(group, kind)
    elif kind in plugins:
        module = _import_plugin(group, plugins[kind])
    else:
        raise _unknown(group, kind)
    missing = [name for name in ("create", "describe") if not callable(vars(module).get(name))]
    if missing:
        raise UnknownBackendError(
            f"{module.__name__} is listed as {_singular(group)} {kind!r} but has no "
            f"{' and no '.join(f'{name}()' for name in missing)}.",
            hint="A backend module offers create() and describe().",
        )
    return module


def open_source(
    spec: str,
    *,
    loop: bool,
    realtime: bool,
    width: int | None = None,
    height: int | None = None,
    fps: float | None = None,
    stop: Event | None = None,
) -> Source:
    """Create the source a user named. Raises what ``parse_spec``, ``load`` and ``create`` raise.

    The size and rate of the sinks, and an event that ends a long opening, are for a source that
    can use them: they are passed on where its ``create`` has parameters of these names.
    """
    kind, target = parse_spec(spec)
    create = load("sources", kind).create
    wanted = {"width": width, "height": height, "fps": fps, "stop": stop}
    taken = inspect.signature(create).parameters
    extra = {name: value for name, value in wanted.items() if value is not None and name in taken}
    return cast("Source", create(target, loop=loop, realtime=realtime, **extra))


def open_sink(spec: str, *, width: int, height: int, fps: float) -> Sink:
    """Create the sink a user named. Raises what ``parse_spec``, ``load`` and ``create`` raise."""
    kind, target = parse_spec(spec)
    return cast("Sink", load("sinks", kind).create(target, width=width, height=height, fps=fps))


def open_editor(spec: str, options: EditorOptions) -> Editor:
    """Create the editor a user named, with the target of its name in ``options``.

    Raises what ``parse_spec``, ``load`` and ``create`` raise.
    """
    kind, target = parse_spec(spec)
    return cast("Editor", load("editors", kind).create(replace(options, target=target)))


def descriptions(group: str) -> tuple[tuple[str, str], ...]:
    """``(kind, line of help)`` for every kind; imports them all.

    One that cannot be imported says why in its line and does not hide the others.
    """
    return tuple((kind, _describe(group, kind)) for kind in kinds(group))


def _describe(group: str, kind: str) -> str:
    try:
        return str(load(group, kind).describe())
    except LiveEditError as error:
        return f"not usable: {error}"


def _built_in(group: str) -> frozenset[str]:
    assert group in GROUPS, f"no group {group!r}; the groups are {GROUPS}"
    if group in _TABLES:
        return frozenset(_table(group))
    folder = Path(__file__).parent / group
    names = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return frozenset(name.replace("_", "-") for name in names if not name.startswith("_"))


def _plugins(group: str) -> dict[str, EntryPoint]:
    points = entry_points(group=f"liveedit_cam.{group}")
    return {point.name.replace("_", "-"): point for point in points}


def _table(group: str) -> Mapping[str, Backend]:
    return cast("Mapping[str, Backend]", importlib.import_module(_TABLES[group]).KINDS)


def _import_built_in(group: str, kind: str) -> ModuleType:
    name = f"liveedit_cam.{group}.{kind.replace('-', '_')}"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(group, kind, error) from error


def _import_plugin(group: str, point: EntryPoint) -> ModuleType:
    kind = point.name.replace("_", "-")
    try:
        module = point.load()
    except ImportError as error:
        raise _missing(group, kind, error) from error
    except _PLUGIN_FAILURES as error:
        raise UnknownBackendError(
            f"The plugin {point.value!r} for {_singular(group)} {kind!r} cannot be imported: "
            f"{type(error).__name__}: {error}.",
            hint="Update or uninstall that plugin; everything else goes on without it.",
        ) from error
    if not isinstance(module, ModuleType):
        raise UnknownBackendError(
            f"The plugin {point.value!r} for {_singular(group)} {kind!r} is a "
            f"{type(module).__name__}, expected a module.",
            hint=f'Write the entry point as {kind} = "package.module", without a colon.',
        )
    return module


def _missing(group: str, kind: str, error: ImportError) -> MissingDependencyError:
    imported = (error.name or "").partition(".")[0]
    package = _PACKAGE_OF.get(imported, imported)
    return MissingDependencyError(
        f"{_singular(group).capitalize()} {kind!r} cannot be loaded: {error}.",
        hint=f"Install it: pip install {package}" if package else None,
    )


def _unknown(group: str, kind: str) -> UnknownBackendError:
    known = kinds(group)
    return UnknownBackendError(
        f"There is no {_singular(group)} {kind!r}.",
        hint=f"{did_you_mean(kind, known)} Known: {', '.join(known) or 'none'}.".lstrip(),
    )


def _singular(group: str) -> str:
    return group.removesuffix("s")
