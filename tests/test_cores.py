"""The engine next to other programs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from liveedit_cam.cores import SPINS, share_cores


@pytest.mark.parametrize(
    ("environ", "spins"),
    [({}, SPINS), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_what_the_user_chose_stands(environ: dict[str, str], spins: str | None) -> None:
    """Catches a setting that overrules the user's."""
    share_cores(environ, 3)
    assert environ.get("GOMP_SPINCOUNT") == spins
    assert environ["OMP_NUM_THREADS"] == "3"
    share_cores(environ, 7)
    assert environ["OMP_NUM_THREADS"] == "3"


def test_the_engine_has_not_loaded_torch_before_it_shares() -> None:
    """Catches an import that loads torch before ``share_cores``, which then has no effect."""
    code = "import sys, liveedit_cam.engine.worker; print('torch' in sys.modules)"
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
