"""From a spec to a backend, in the tree and outside of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest

from liveedit_cam import registry
from liveedit_cam.errors import MissingDependencyError, UnknownBackendError, UsageError
from liveedit_cam.protocols import Source

EXAMPLE = Path(__file__).parent.parent / "plugins" / "example_source"

Install = Callable[[str, str, str | None], None]


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    """Make a plugin findable as pip would: a module and a dist-info folder on sys.path."""
    path_before, modules_before = list(sys.path), set(sys.modules)

    def add(kind: str, module: str, code: str | None) -> None:
        if code is not None:
            (tmp_path / f"{module}.py").write_text(code)
        folder = tmp_path / f"{module}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[liveedit_cam.sources]\n{kind} = {module}\n")

    sys.path[:0] = [str(tmp_path), str(EXAMPLE)]
    yield add
    sys.path[:] = path_before
    for name in set(sys.modules) - modules_before:
        if name.startswith(("liveedit_example", "plugin_")):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("auto", ("auto", "")),
        ("camera:0", ("camera", "0")),
        ("screen:monitor:1", ("screen", "monitor:1")),
        ("file:C:\\clip.mp4", ("file", "C:\\clip.mp4")),
        ("virtual_camera:/dev/video4", ("virtual-camera", "/dev/video4")),
        (" preview: ", ("preview", "")),
    ],
)
def test_a_spec_is_split_at_its_first_colon(spec: str, expected: tuple[str, str]) -> None:
    """Catches targets cut at their own colons and kinds spelt in two ways."""
    assert registry.parse_spec(spec) == expected


@pytest.mark.parametrize("spec", ["", ":x", "/dev/video0", "C:\\clip.mp4", "my clip.mp4"])
def test_a_spec_without_a_kind_is_refused_with_the_way_out(spec: str) -> None:
    """Catches a bare path taken for a kind."""
    with pytest.raises(UsageError, match="expected KIND") as caught:
        registry.parse_spec(spec)
    if spec.strip(":x"):
        assert f"file:{spec}" in str(caught.value)


def test_kinds_lists_the_folders() -> None:
    """Catches a backend file that is not found, and helpers listed as backends."""
    assert {"auto", "camera", "file", "pattern", "screen"} <= set(registry.kinds("sources"))
    assert {"auto", "file", "memory", "preview", "virtual-camera"} <= set(registry.kinds("sinks"))
    for group in registry.GROUPS:
        assert not [kind for kind in registry.kinds(group) if kind.startswith(("_", "-"))]


def test_listing_imports_no_backend() -> None:
    """Catches an import of OpenCV or PyAV in the help text's way; a fresh interpreter proves it."""
    code = (
        "import sys; from liveedit_cam import registry\n"
        "for group in registry.GROUPS: registry.kinds(group)\n"
        "heavy = {'cv2', 'av', 'mss', 'pyvirtualcam', 'numpy', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("group", ["sources", "sinks"])
def test_every_backend_describes_itself_in_one_line(group: str) -> None:
    """Catches a backend whose help is missing, long, or names another kind."""
    for kind, line in registry.descriptions(group):
        assert line.startswith(kind), line
        assert "\n" not in line
        assert len(line) <= 100


def test_an_unknown_kind_suggests_the_nearest() -> None:
    """Catches a bare "not found": a typing error must lead to the right word."""
    with pytest.raises(UnknownBackendError, match="Did you mean 'camera'") as caught:
        registry.load("sources", "camra")
    assert "pattern" in str(caught.value)


def test_a_spec_opens_its_sink() -> None:
    """Catches arguments lost between the spec and create()."""
    sink = registry.open_sink("memory", width=32, height=16, fps=10)
    assert "32x16" in sink.name
    sink.close()


def test_the_example_plugin_loads_through_its_entry_point(install: Install) -> None:
    """Catches a registry that only knows its own folder, and an example that rotted."""
    install("colour", "liveedit_example_source", None)
    assert "colour" in registry.kinds("sources")
    source = registry.open_source("colour", loop=False, realtime=False)
    assert isinstance(source, Source)
    first, later = source.read(), [source.read() for _ in range(30)][-1]
    assert first.pixels.shape == (source.height, source.width, 3)
    assert (first.index, later.index) == (0, 30)
    assert (first.pixels[0, 0] != later.pixels[0, 0]).any()
    source.close()


def test_size_and_stop_reach_a_source_that_can_use_them(install: Install) -> None:
    """Catches a camera never told of the sink's size, and a plugin broken by options it lacks."""
    code = (
        "def create(target, *, loop, realtime, width, height, fps, stop):\n"
        "    return width, height, fps, stop\n"
        "def describe(): return 'sized'\n"
    )
    stop = Event()
    install("sized", "plugin_sized", code)
    install("colour", "liveedit_example_source", None)
    opened = [
        registry.open_source(
            kind, loop=False, realtime=False, width=640, height=360, fps=15.0, stop=stop
        )
        for kind in ("sized", "colour")
    ]
    assert opened[0] == (640, 360, 15.0, stop)
    assert isinstance(opened[1], Source)
    opened[1].close()


def test_the_example_declares_the_entry_point_the_test_uses() -> None:
    """Catches a pyproject that installs a plugin under another group or module."""
    text = (EXAMPLE / "pyproject.toml").read_text()
    assert (
        '[project.entry-points."liveedit_cam.sources"]\ncolour = "liveedit_example_source"' in text
    )


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        ("import no_such_library", MissingDependencyError, "pip install no_such_library"),
        ("def create(:", UnknownBackendError, "SyntaxError"),
        ("raise RuntimeError('bad day')", UnknownBackendError, "bad day"),
        ("def create(): ...", UnknownBackendError, r"no describe\(\)"),
    ],
)
def test_a_broken_plugin_fails_alone(
    install: Install, code: str, error: type[Exception], said: str
) -> None:
    """Catches one bad plugin taking the list, the help or the other sources down with it."""
    install("broken", "plugin_broken", code)
    with pytest.raises(error, match=said):
        registry.load("sources", "broken")
    lines = dict(registry.descriptions("sources"))
    assert lines["broken"].startswith("not usable:")
    assert lines["pattern"].startswith("pattern")


def test_a_plugin_does_not_replace_a_backend_of_the_tree(install: Install) -> None:
    """Catches a foreign package that takes over the camera by naming itself so."""
    install("pattern", "plugin_pattern", "raise RuntimeError('taken over')")
    assert registry.load("sources", "pattern").__name__ == "liveedit_cam.sources.pattern"
