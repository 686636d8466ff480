"""The wheel as a user gets it: small enough, and whole without a checkout beside it.

Skipped where pip cannot build one, for want of a network. About half a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_BYTES = 25e6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", folder, ROOT)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("the builder hatchling cannot be had here")
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with this wheel, and the libraries of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    installed = run(
        sys.executable, "-m", "pip", "install", "--no-deps", "-q", "--target", own, wheel
    )
    assert installed.returncode == 0, installed.stderr
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / ("Scripts" if sys.platform == "win32" else "bin")


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = {name: text for name, text in os.environ.items() if "LIVEEDIT" not in name}
    environ.pop("PYTHONPATH", None)
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_it_is_small(wheel: Path) -> None:
    """Catches a model, a picture or a test that slips into what everybody downloads."""
    assert wheel.stat().st_size <= MAX_BYTES, f"{wheel.stat().st_size / 1e6:.1f} MB"


@pytest.mark.slow
def test_it_works_without_a_checkout(bin_folder: Path, tmp_path: Path) -> None:
    """Catches a file that is found beside the source only: weights, page, script of OBS."""
    python = bin_folder / "python"
    where = run(python, "-c", "import liveedit_cam; print(liveedit_cam.__file__)", cwd=tmp_path)
    assert str(ROOT) not in where.stdout, where.stderr
    version = run(python, "-m", "liveedit_cam", "--version", cwd=tmp_path)
    assert version.stdout.startswith("liveedit-cam 0."), version.stderr
    looked = run(python, "-m", "liveedit_cam", "doctor", "--quick", "--json", cwd=tmp_path)
    findings = {one["check"]: one for one in json.loads(looked.stdout)["findings"]}
    assert findings["weights"]["verdict"] == "ok"
    code = (
        "from liveedit_cam.model import load; load('nano');"
        "from liveedit_cam.obs.setup import script_path; assert script_path();"
        "from pathlib import Path; from liveedit_cam.control import app;"
        "assert list((Path(app.__file__).parent / 'page').glob('*.html'))"
    )
    loaded = run(python, "-c", code, cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stderr
