"""Files replaced in one step, and the stamp by which a change is seen."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from liveedit_cam.files import replace_text, stamp_of


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """Catches presets or a receipt cut in the middle, and what was begun left behind."""
    path = tmp_path / "presets.toml"
    replace_text(path, "före")
    (tmp_path / f"{path.name}.{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        replace_text(path, "after")
    assert path.read_text("utf-8") == "före"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights there")
def test_a_file_gets_the_rights_it_was_given(tmp_path: Path) -> None:
    """Catches a token that others can read."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    replace_text(path, "secret", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_change_changes_the_stamp(tmp_path: Path) -> None:
    """Catches a file that is never read again, and one that is gone and counts as unchanged."""
    path = tmp_path / "obs.toml"
    assert stamp_of(path) is None
    replace_text(path, "a")
    first = stamp_of(path)
    replace_text(path, "ab")
    assert None not in (first, stamp_of(path))
    assert first != stamp_of(path)
